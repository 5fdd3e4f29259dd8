/**
 * Plain pg_dump texts made comparable. PostgreSQL's COPY puts a short row into the free space of an
 * earlier page, so a restored table gives its rows in another order than the source: rows of each COPY
 * block are sorted. setval lines go: sequences do not follow a snapshot.
 */
import assert from 'node:assert/strict';

/** The text with rows sorted within each COPY block and without setval lines. */
export function comparableDump(text: string): string {
  return text
    .replaceAll(/^SELECT pg_catalog\.setval\(.*$/gm, '')
    .replaceAll(
      /^(COPY .* FROM stdin;\n)((?:.*\n)*?)(?=\\\.\n)/gm,
      (_, head: string, rows: string) => head + rows.split('\n').sort().join('\n'),
    );
}

/** Fails at the first line that differs, naming it with a few more: the texts are far too long to print. */
export function assertSameText(actual: string, expected: string): void {
  const [a, b] = [actual.split('\n'), expected.split('\n')];
  const at = a.findIndex((line, i) => line !== b[i]);
  if (at >= 0) assert.deepEqual(a.slice(at, at + 3), b.slice(at, at + 3), `line ${at + 1}`);
  assert.equal(a.length, b.length);
}
