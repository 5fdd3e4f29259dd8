/** The journal of one process: what it holds, line by line, in a folder that nobody else can write to. */
import fs from 'node:fs';
import type { HeldFolder } from './held-folder.ts';
import { processStart } from './process-identity.ts';

/** A journal with more lines than this is written anew: a long run remembers thousands of short-lived files. */
const maxLines = 1000;

/** Our own journal in one folder (a program may use several). */
export class Journal {
  readonly folder: HeldFolder;
  readonly #name = `${process.pid}-${processStart(process.pid) ?? '0'}.ndjson`;
  readonly #held = new Set<string>();
  #lines = 0;

  constructor(folder: HeldFolder) {
    this.folder = folder;
  }

  // Neither throws: work must not fail because it could not be written down or struck off, or because the state folder
  // is gone, full or read-only.
  add(text: string): void {
    this.#held.add(text);
    this.#write(`{"add":${text}}`);
  }

  drop(text: string): void {
    this.#held.delete(text);
    if (this.#held.size > 0) return this.#write(`{"drop":${text}}`);
    this.#lines = 0;
    try {
      fs.rmSync(this.folder.child(this.#name), { force: true });
    } catch {
      return;
    }
  }

  #write(line: string): void {
    try {
      if (++this.#lines <= maxLines) {
        return appendLine(this.folder.child(this.#name), line);
      }
      const fresh = this.folder.child(`${this.#name}.new`);
      fs.writeFileSync(fresh, [...this.#held].map((text) => `{"add":${text}}\n`).join(''), { mode: 0o600 });
      fs.renameSync(fresh, this.folder.child(this.#name));
      this.#lines = this.#held.size;
    } catch {
      return;
    }
  }
}

const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW } = fs.constants;

/** To a file in that folder; made if need be, never by a link. */
export function appendLine(path: string, line: string): void {
  const fd = fs.openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
  try {
    fs.writeSync(fd, `${line}\n`);
  } finally {
    fs.closeSync(fd);
  }
}
