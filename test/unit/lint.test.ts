/**
 * The lint rules find what they are for. In a copy of the tree's layout each case plants one violation,
 * and the configuration that the project uses must report exactly that rule in exactly that file: rules
 * that silently stopped working (an override replacing another, a plugin that does not load) fail here.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';

const root = dirname(dirname(import.meta.dirname));
const copy = mkdtempSync(join(tmpdir(), 'lint-'));
after(() => rmSync(copy, { recursive: true, force: true }));

/** One exported name in each folder, to import from elsewhere. */
const folders = [
  'lib',
  'config',
  'storage',
  'storage/s3',
  'source/postgres/server',
  'source/postgres/dump',
  'source/redis',
  'repository',
  'repository/box',
  'repository/keys',
  'repository/manifests',
  'operations',
  'operations/audit',
  'operations/proof',
  'operations/status',
  'operations/wal/stream',
  'ui',
  'ui/json',
  'report',
  'commands',
  'commands/shared',
];

/** What must not be imported from where: [file, import]. */
const upward: readonly (readonly [string, string])[] = [
  ['lib/bad.ts', '../config/one.ts'],
  ['config/bad.ts', '../storage/one.ts'],
  ['config/bad.ts', '../source/redis/one.ts'],
  ['storage/bad.ts', '../source/postgres/server/one.ts'],
  ['source/postgres/server/bad.ts', '../../../storage/one.ts'],
  ['storage/bad.ts', '../repository/one.ts'],
  ['source/redis/bad.ts', '../../repository/one.ts'],
  ['repository/bad.ts', '../operations/one.ts'],
  ['operations/bad.ts', '../ui/one.ts'],
  ['operations/bad.ts', '../report/one.ts'],
  ['ui/bad.ts', '../report/one.ts'],
  ['report/bad.ts', '../ui/one.ts'],
  ['ui/bad.ts', '../commands/one.ts'],
  ['report/bad.ts', '../commands/shared/one.ts'],
  ['commands/bad.ts', './one.ts'],
  ['commands/shared/bad.ts', '../one.ts'],
  ['commands/bad.ts', '../program.ts'],
  ['nowhere/bad.ts', '../lib/one.ts'],
  ['lib/bad.ts', '../../test/one.ts'],
];

/** What must not be imported within a floor, likewise. */
const uphill: readonly (readonly [string, string])[] = [
  ['operations/bad-beside.ts', './audit/one.ts'],
  ['operations/audit/bad.ts', '../proof/one.ts'],
  ['operations/proof/bad.ts', '../choose-backup.ts'],
  ['operations/list/bad.ts', '../status/one.ts'],
  ['operations/audit/bad.ts', '../wal/stream/one.ts'],
  ['operations/wal/bad.ts', './stream/one.ts'],
  ['repository/box/bad.ts', '../keys/one.ts'],
  ['repository/manifests/bad.ts', '../repository.ts'],
  ['repository/repository.ts', './create.ts'],
  ['source/bad-beside.ts', './redis/one.ts'],
  ['source/postgres/server/bad.ts', '../dump/one.ts'],
  ['source/postgres/server/bad.ts', '../../redis/one.ts'],
  ['source/redis/bad.ts', '../postgres/server/one.ts'],
  ['source/redis/rdb/bad.ts', '../one.ts'],
  ['storage/bad-beside.ts', './open.ts'],
  ['storage/local/bad.ts', '../s3/one.ts'],
  ['ui/json/bad.ts', '../one.ts'],
];

/** Every way to import. */
const forms: Readonly<Record<string, (from: string) => string>> = {
  value: (from) => `import { one } from '${from}';\nexport const two = one;\n`,
  type: (from) => `import type { One } from '${from}';\nexport type Two = One;\n`,
  late: (from) => `export const two = async (): Promise<unknown> => await import('${from}');\n`,
  'type of a module': (from) => `export type Two = typeof import('${from}');\n`,
};

const planted: Record<string, { rule: string; text: string }> = {};

for (const [number, [file, from]] of upward.entries()) {
  for (const [form, write] of Object.entries(forms)) {
    plant(file.replace('bad', `bad-${number}-${form.replaceAll(' ', '-')}`), 'lifeboat(floors)', write(from));
  }
}
for (const [number, [file, from]] of uphill.entries()) {
  for (const [form, write] of Object.entries(forms)) {
    const name = file.includes('bad') ? file.replace('bad', `bad-hill-${number}-${form.replaceAll(' ', '-')}`) : file;
    if (!(name in planted)) plant(name, 'lifeboat(rooms)', write(from));
  }
}
plant('operations/nowhere/bad.ts', 'lifeboat(rooms)', `export const three = 3;\n`);
plant('operations/audit/nowhere/bad.ts', 'lifeboat(rooms)', `export const three = 3;\n`);
plant('lib/nowhere/bad.ts', 'lifeboat(rooms)', `export const three = 3;\n`);
plant('source/postgres/bad-beside.ts', 'lifeboat(rooms)', `export const three = 3;\n`);
for (const [form, write] of Object.entries(forms)) {
  const name = `bad-circle-${form.replaceAll(' ', '-')}`;
  plant(`lib/${name}.ts`, 'lifeboat(no-circle)', write(`./${name}-back.ts`));
  plant(
    `lib/${name}-back.ts`,
    'lifeboat(no-circle)',
    `export const one = 1;\nexport type One = 1;\nexport type Back = typeof import('./${name}.ts');\n`,
  );
}
for (const [name, next] of Object.entries({ first: 'second', second: 'third', third: 'first' })) {
  plant(
    `lib/bad-circle-${name}.ts`,
    'lifeboat(no-circle)',
    `import type { One as Next } from './bad-circle-${next}.ts';\nexport interface One {\n  readonly next: Next;\n}\n`,
  );
}
for (const [file, from] of [
  ['operations/bad-chalk.ts', 'chalk'],
  ['commands/bad-ora.ts', 'ora'],
  ['report/bad-table.ts', 'cli-table3'],
  ['source/postgres/server/bad-spawn.ts', 'node:child_process'],
  ['storage/bad-spawn.ts', 'child_process'],
  ['operations/bad-execa.ts', 'execa'],
  ['operations/bad-flags.ts', 'commander'],
  ['repository/bad-s3.ts', '@aws-sdk/client-s3'],
  ['source/redis/bad-pg.ts', 'pg'],
  ['source/postgres/server/bad-redis.ts', 'ioredis'],
  ['commands/bad-zod.ts', 'zod'],
] as const) {
  plant(file, 'lifeboat(packages-in-place)', `import * as all from '${from}';\nexport const two = all;\n`);
  plant(
    file.replace('.ts', '-late.ts'),
    'lifeboat(packages-in-place)',
    `export const two = async (): Promise<unknown> => await import('${from}');\n`,
  );
}
const environment = 'lifeboat(environment-in-place)';
plant('operations/bad-env.ts', environment, `export const home = process.env['HOME'];\n`);
plant('cli-bad.ts', environment, `export const { env } = process;\n`);
plant('lib/bad-env.ts', environment, `export const all = process['env'];\n`);
plant('ui/bad-env.ts', environment, `import { env } from 'node:process';\nexport const all = env;\n`);
const byPath = 'lifeboat(files-in-place)';
const callsByPath = {
  chown: "import { chown } from 'node:fs/promises';\nexport const three = chown;\n",
  remove: "import { rmSync } from 'node:fs';\nexport const three = rmSync;\n",
  renamed: "import { writeFile as put } from 'fs/promises';\nexport const three = put;\n",
  member: "import fs from 'node:fs';\nexport const three = (): void => fs.chmodSync('/three', 3);\n",
  promises: "import fs from 'node:fs';\nexport const three = fs.promises.rm;\n",
  'all-promises': "import { promises as files } from 'node:fs';\nexport const three = files.unlink;\n",
  open: "import { openSync } from 'node:fs';\nexport const three = openSync('/three', 'w');\n",
  'open-later': "import * as fs from 'node:fs/promises';\nexport const three = fs.open('/three', 'a', 0o600);\n",
};
for (const [name, text] of Object.entries(callsByPath)) plant(`operations/bad-file-${name}.ts`, byPath, text);
plant('lib/bad-barrel.ts', 'lifeboat(no-barrel)', `export * from './one.ts';\n`);
plant('lib/bad-export.ts', 'lifeboat(no-barrel)', `export { one } from './one.ts';\n`);
plant('lib/utils.ts', 'lifeboat(file-name)', `export const three = 3;\n`);
plant('lib/badName.ts', 'lifeboat(file-name)', `export const three = 3;\n`);
plant('lib/lib-bad.ts', 'lifeboat(file-name)', `export const three = 3;\n`);
plant('repository/keys/key-bad.ts', 'lifeboat(file-name)', `export const three = 3;\n`);
plant('lib/bad-line.ts', 'lifeboat(line-length)', `// ${'3'.repeat(118)}\nexport const three = 3;\n`);
plant(
  'lib/bad-curly.ts',
  'eslint(curly)',
  'export function three(of: number): number {\n  if (of > 3)\n    return 3;\n  return 4;\n}\n',
);
plant(
  'lib/bad-cycle.ts',
  'import(no-cycle)',
  `import { back } from './bad-cycle-back.ts';\nexport const there = (): string => back();\n`,
);
plant(
  'lib/bad-cycle-back.ts',
  'import(no-cycle)',
  `import { there } from './bad-cycle.ts';\nexport const back = (): string => there();\n`,
);
plant('lib/bad-default.ts', 'import(no-default-export)', `export default 3;\n`);
const promised = 'const later = async (): Promise<boolean> => await Promise.resolve(true);\n';
plant(
  'lib/bad-floating.ts',
  'typescript(no-floating-promises)',
  `${promised}export function start(): void {\n  later();\n}\n`,
);
plant(
  'lib/bad-misused.ts',
  'typescript(no-misused-promises)',
  `${promised}export const three = (): number => (later() ? 3 : 4);\n`,
);
plant('lib/bad-listener.ts', 'typescript(no-misused-promises)', `${promised}process.on('exit', later);\n`);
plant('lib/bad-await.ts', 'typescript(await-thenable)', `export const three = async (): Promise<number> => await 3;\n`);
plant('lib/bad-any.ts', 'typescript(no-explicit-any)', `export const three = (all: any): unknown => all;\n`);
plant(
  'lib/bad-null.ts',
  'typescript(no-non-null-assertion)',
  `export const three = (all: readonly string[]): string => all[0]!;\n`,
);
plant(
  'lib/bad-throw.ts',
  'typescript(only-throw-error)',
  `export const three = (): never => {\n  throw 'three';\n};\n`,
);
plant(
  'lib/bad-type-import.ts',
  'typescript(consistent-type-imports)',
  `import { One } from './one.ts';\nexport type Two = One;\n`,
);
plant(
  'lib/bad-return.ts',
  'typescript(return-await)',
  `${promised}export async function three(): Promise<boolean> {\n  try {\n    return later();\n  } catch {\n    ` +
    'return false;\n  }\n}\n',
);
plant(
  'lib/bad-switch.ts',
  'typescript(switch-exhaustiveness-check)',
  "export function three(of: 'a' | 'b'): number {\n  switch (of) " +
    "{\n    case 'a':\n      return 3;\n  }\n  return 4;\n}\n",
);

let found: Map<string, string[]>;

before(() => {
  for (const name of ['.oxlintrc.json', 'tsconfig.json', '.ci/lint']) {
    cpSync(join(root, name), join(copy, name), { recursive: true });
  }
  switchOn('lifeboat/line-length');
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const one = 'export const one = 1;\nexport type One = 1;\n';
  for (const folder of [...folders, '../test', '../examples']) write(join('src', folder, 'one.ts'), one);
  for (const file of ['program', 'operations/choose-backup', 'repository/create', 'storage/open']) {
    write(`src/${file}.ts`, one);
  }
  write('package.json', '{"type":"module"}');
  // What is allowed, beside what is not: a rule that reports everything is no rule.
  write(
    'src/repository/good.ts',
    "import type { One } from '../storage/one.ts';\nimport { one } from '../source/redis/one.ts';\nexport const " +
      'two: One = one;\n',
  );
  write(
    'src/operations/status/good.ts',
    "import type { One } from '../one.ts';\nimport { one } from " +
      "'../wal/stream/one.ts';\nexport const two: One = one;\n",
  );
  write('src/operations/wal/good.ts', "import type { One } from '../choose-backup.ts';\nexport const two: One = 1;\n");
  write(
    'src/operations/good-file.ts',
    "import { open, rename } from 'node:fs/promises';\nexport const move = rename;\n" +
      "export const three = [open('/three'), open('/three', 'r')];\n",
  );
  write('src/lib/held-files.ts', "import { unlink } from 'node:fs/promises';\nexport const three = unlink;\n");
  write('src/lib/good-line.ts', `// ${'3'.repeat(117)}\nexport const three = 3;\n`);
  write(
    'src/commands/good.ts',
    "import { one } from '../operations/one.ts';\nimport type { One } from './shared/one.ts';\nexport const two: " +
      'One = one;\n',
  );
  write(
    'src/ui/good.ts',
    "import type { One } from '../operations/one.ts';\nexport const two = async (): Promise<One> => {\n  await " +
      "import('chalk');\n  return 1;\n};\n",
  );
  write(
    'src/lib/exec.ts',
    "import { spawn } from 'node:child_process';\nexport const path " +
      "= process.env['PATH'];\nexport const start = spawn;\n",
  );
  write('src/index.ts', `export { one } from './lib/one.ts';\n`);
  for (const [file, { text }] of Object.entries(planted)) write(join('src', file), text);
  found = lint();
});

test('each planted violation is found, by the rule that is there for it', () => {
  const wanted = Object.entries(planted).map(([file, { rule }]) => `${file}: ${rule}`);
  const missed = Object.entries(planted).filter(([file, { rule }]) => !(found.get(`src/${file}`) ?? []).includes(rule));
  assert.deepEqual(
    missed.map(([file, { rule }]) => `${file}: ${rule}, found: ${found.get(`src/${file}`)?.join() ?? 'nothing'}`),
    [],
  );
  assert.ok(wanted.length > 150);
});

test('what is allowed is not reported', () => {
  assert.deepEqual(
    [...found.keys()].filter((file) => !(file.slice('src/'.length) in planted)),
    [],
  );
});

test('a warning fails the run, and so does a rule that is switched off without need', () => {
  rmSync(join(copy, 'src'), { recursive: true });
  write('src/lib/one.ts', '// oxlint-disable-next-line typescript/no-explicit-any\nexport const one = 1;\n');
  assert.notEqual(runLint().status, 0);
  write('src/lib/one.ts', 'export const one = 1;\n');
  assert.equal(runLint().status, 0);
});

function plant(file: string, rule: string, text: string): void {
  assert.equal(file in planted, false, file);
  planted[file] = { rule, text };
}

function write(path: string, text: string): void {
  mkdirSync(dirname(join(copy, path)), { recursive: true });
  writeFileSync(join(copy, path), text);
}

/** A rule that the tree does not keep yet. */
function switchOn(rule: string): void {
  const file = join(copy, '.oxlintrc.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace(`"${rule}": "off"`, `"${rule}": "error"`));
}

/** The rules that complained, by file. */
function lint(): Map<string, string[]> {
  const { stdout, stderr, status } = runLint();
  assert.equal(stderr, '');
  assert.equal(status, 1);
  const report = JSON.parse(stdout) as { diagnostics: { code: string; filename: string }[] };
  const byFile = new Map<string, string[]>();
  for (const { code, filename } of report.diagnostics) byFile.set(filename, [...(byFile.get(filename) ?? []), code]);
  return byFile;
}

function runLint() {
  const oxlint = join(root, 'node_modules/.bin/oxlint');
  // The current Node first: oxlint's own first line takes the one in PATH.
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` };
  return spawnSync(oxlint, ['--format=json'], { cwd: copy, env, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
}
