/**
 * Validation of a repository that is larger than memory should be, and of one that is damaged in many places at once.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { damagedRepository } from '../helpers/repository/validation.ts';

test('1 GB in packs, shared by three backups: each pack read once, under 300 MiB, quick and deep, too', async () => {
  using home = await damagedRepository();
  const big = openSync(join(home.work, 'main', 'big'), 'w');
  for (let n = 0; n < 64; n++) writeSync(big, randomBytes(16 * 1024 * 1024));
  closeSync(big);
  for (let n = 0; n < 3; n++) {
    writeFileSync(join(home.work, 'main', `small${n}`), `${n}`);
    await home.backup('main');
  }
  for (const level of ['quick', 'stored', 'deep']) {
    const script = `import { loadConfig } from '${import.meta.dirname}/../../src/config/load.ts';
      import { validate } from '${import.meta.dirname}/../../src/operations/validate/validate.ts';
      const [work] = process.argv.slice(1);
      const encryption = { key: '${'c3'.repeat(32)}' };
      const repository = 'file://' + work + '/repository';
      const document = { repository, encryption, stateDir: work + '/state', jobs: 2 };
      const loaded = await loadConfig({ cwd: work, env: {}, document });
      const context = { signal: new AbortController().signal, emit: () => {} };
      const result = await validate(loaded, { ids: [], all: true, level: '${level}' }, context);
      const { counts, damaged, durationMs, bytes } = result;
      const peakKiB = process.resourceUsage().maxRSS;
      console.log(JSON.stringify({ counts, damaged: damaged.length, durationMs, bytes, peakKiB }));`;
    const out = execFileSync(process.execPath, ['--input-type=module', '-e', script, home.work], { encoding: 'utf8' });
    const { counts, damaged, durationMs, bytes, peakKiB } = JSON.parse(out) as {
      counts: Record<string, number>;
      damaged: number;
      durationMs: number;
      bytes: number;
      peakKiB: number;
    };
    assert.equal(damaged, 0);
    if (level !== 'quick') assert.equal(counts['packsRead'], counts['packs']);
    assert.ok(peakKiB < 300 * 1024, `${level}: ${Math.round(peakKiB / 1024)} MiB`);
    process.stdout.write(
      `# ${level}: ${Math.round(bytes / 1e6)} MB in ${durationMs} ms, ${Math.round(peakKiB / 1024)} MiB\n`,
    );
  }
});

test('many objects damaged at once are all named, with exactly what cannot be read', async () => {
  using home = await damagedRepository();
  for (const target of ['main', 'other', 'main', 'other']) {
    writeFileSync(
      join(home.work, target, `added${readdirSync(join(home.work, target)).length}`),
      randomBytes(6_000_000),
    );
    await home.backup(target);
  }
  const restore = await home.keep();
  for (let round = 0; round < 30; round++) {
    const objects = readdirSync(home.root, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /^packs\/.*\.pack$|\.index$/.test(name),
    );
    const harmed = new Set<string>();
    for (const object of objects) {
      const dice = randomBytes(2);
      if ((dice[0] ?? 0) > 60) continue;
      harmed.add(object);
      harm(join(home.root, object), (dice[1] ?? 0) % 4);
    }
    const lost = await home.unreadable();
    const { damaged } = await home.validate();
    assert.deepEqual(new Set(damaged.map(({ object }) => object)), harmed);
    assert.deepEqual(
      new Set(
        damaged.flatMap(({ backups }) =>
          backups.flatMap(({ id, artifacts }) => artifacts.map(({ name }) => `${id}:${name}`)),
        ),
      ),
      lost,
    );
    await restore();
  }
});

function harm(path: string, how: number): void {
  const bytes = readFileSync(path);
  if (how === 0) return rmSync(path);
  if (how === 1) return truncateSync(path, Math.floor(bytes.length * Math.random()));
  const at =
    how === 2
      ? bytes.length - 1 - Math.floor(Math.random() * Math.min(100, bytes.length))
      : Math.floor(Math.random() * bytes.length);
  bytes[at] = (bytes[at] ?? 0) ^ 0x80;
  writeFileSync(path, bytes);
}
