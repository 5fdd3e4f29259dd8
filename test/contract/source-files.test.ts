import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { filesSource } from '../../src/source/files/source.ts';
import { sourceContract, type SourceCase } from './source-suite.ts';

let folder: string;

const subject: SourceCase = {
  start: async () => {
    folder = mkdtempSync(join(tmpdir(), 'files-'));
    const tail = 'long'.repeat(50);
    for (let n = 0; n < 500; n++) writeFileSync(join(folder, `${n}-${tail}`), `content of ${n}`.repeat(100));
  },
  stop: async () => rmSync(folder, { recursive: true }),
  open: (scratchDir) => filesSource({ paths: [folder], include: [], exclude: [], scratchDir }),
  state: async () => execFileSync('find', [folder, '-printf', '%p %m %U:%G %s %T@ %C@\\n'], { encoding: 'utf8' }),
  held: async () => '',
  // No program and no server: the disk that the catalog is spooled to is full in the middle of the tar.
  dying: async (scratchDir) => {
    const small = join(scratchDir, 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', small]);
    return {
      source: subject.open(small),
      strike: () => {},
      end: async () => {
        execFileSync('umount', ['-l', small]);
        rmSync(small, { recursive: true });
      },
    };
  },
};

sourceContract('files', subject);
