/** What has changed between two texts, by lines, as `diff -u` shows it; for texts that were changed in one place. */

const context = 3;

/** Lines with their marks: `-` gone, `+` new, a blank for what stands around; none if the texts are the same. */
export function lineDiff(before: string, after: string): string[] {
  const [old, now] = [linesOf(before), linesOf(after)];
  let first = 0;
  while (first < Math.min(old.length, now.length) && old[first] === now[first]) first++;
  let last = 0;
  while (last < Math.min(old.length, now.length) - first && old.at(-1 - last) === now.at(-1 - last)) last++;
  const [gone, come] = [old.slice(first, old.length - last), now.slice(first, now.length - last)];
  if (gone.length === 0 && come.length === 0) return [];
  return [
    ...old.slice(Math.max(0, first - context), first).map((line) => ` ${line}`),
    ...gone.map((line) => `-${line}`),
    ...come.map((line) => `+${line}`),
    ...old.slice(old.length - last, old.length - last + context).map((line) => ` ${line}`),
  ];
}

function linesOf(text: string): string[] {
  const lines = text.split(/\r\n|\r|\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
