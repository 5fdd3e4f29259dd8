/** Comparing printed samples with what programs print today: whatever differs from run to run is left out of both. */

/** Text without what is of one run only: ids, times, sizes, numbers, temporary folders; blanks count once. */
export function withoutRun(line: string): string {
  return line
    .replaceAll(/\/\S*?lifeboat-(quickstart|readme)-\w+/g, '<folder>')
    .replaceAll(/(?<![0-9A-Za-z])\d{8}T\d{6}Z?\b/g, '<time>')
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ?/g, '<time>')
    .replaceAll(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, '<uuid>')
    .replaceAll(/\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b|\b[0-9a-f]{8}$/g, '<hex>')
    .replaceAll(/[A-Za-z0-9+/]{43}=/g, '<key>')
    .replaceAll(/\b\d[\d,.]*( (B|[KMGT]iB|ms|s|min))?\b/g, '<n>')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

/** Lines of a sample that the real output does not have; a line of `…` stands for any left out. */
export function linesMissing(sample: string, real: string): string[] {
  const lines = new Set(real.split('\n').map(withoutRun));
  return sample.split('\n').filter((line) => !/^\s*…?\s*$/.test(line) && !lines.has(withoutRun(line)));
}

/** A fenced block of a Markdown text. */
export interface Fence {
  /** What stands behind the backquotes, e.g. "sh". */
  readonly info: string;
  readonly text: string;
  /** Of its first line, from 1. */
  readonly line: number;
}

/** All fenced blocks, in order. */
export function fencesOf(markdown: string): Fence[] {
  const fences: Fence[] = [];
  const pattern = /^```(.*)\n([\s\S]*?)^```$/gm;
  for (const match of markdown.matchAll(pattern)) {
    fences.push({
      info: match[1] ?? '',
      text: match[2] ?? '',
      line: markdown.slice(0, match.index).split('\n').length + 1,
    });
  }
  return fences;
}
