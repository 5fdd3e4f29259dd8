/** package-lock.json is one that `npm ci` takes, with whatever registry it was written. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { missingFrom } from '../../.ci/build/complete-lock.ts';

const root = dirname(dirname(import.meta.dirname));

test('the lock file holds every optional dependency that it names', () => {
  const text = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const { packages } = JSON.parse(text) as { packages: Parameters<typeof missingFrom>[0] };
  assert.deepEqual(
    missingFrom(packages).map(([path]) => path),
    [],
    'run: npm run lock',
  );
  assert.doesNotMatch(text, /"resolved"/, 'a registry belongs to the machine, not to the project');
});

test('the lock file agrees with package.json', () => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Record<string, unknown>>;
  };
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown>;
  for (const key of ['name', 'version', 'dependencies', 'optionalDependencies', 'devDependencies', 'engines', 'bin']) {
    assert.deepEqual(lock.packages['']?.[key], own[key], key);
  }
});

test('entries for other platforms tell what they are for', () => {
  const packages = {
    'node_modules/tool': {
      dev: true,
      optionalDependencies: { '@tool/binding-linux-arm-musleabihf': '1.2.3', '@tool/darwin-arm64': '1.2.3' },
    },
  };
  assert.deepEqual(missingFrom(packages), [
    [
      'node_modules/@tool/binding-linux-arm-musleabihf',
      { version: '1.2.3', cpu: ['arm'], dev: true, libc: ['musl'], optional: true, os: ['linux'] },
    ],
    [
      'node_modules/@tool/darwin-arm64',
      { version: '1.2.3', cpu: ['arm64'], dev: true, optional: true, os: ['darwin'] },
    ],
  ]);
  assert.throws(
    () => missingFrom({ 'node_modules/tool': { optionalDependencies: { '@tool/something': '1.2.3' } } }),
    /by hand/,
  );
});
