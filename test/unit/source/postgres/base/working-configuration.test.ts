/** Configurations of servers as one that works in a recovered data directory. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  includesIn,
  settingIn,
  withLists,
  type ConfigurationKind,
} from '../../../../../src/source/postgres/base/configuration-text.ts';
import { recordedConfiguration } from '../../../../../src/source/postgres/base/configuration.ts';
import { overridesFor } from '../../../../../src/source/postgres/base/usable-here.ts';
import {
  withoutOldPlace,
  workingConfiguration,
} from '../../../../../src/source/postgres/base/working-configuration.ts';

const dataDirectory = '/var/lib/pg/main';

function file(path: string, text: string, kind: ConfigurationKind = 'config_file') {
  return { path, kind, base64: Buffer.from(text).toString('base64') };
}

function textsOf(files: ReturnType<typeof file>[]): Record<string, string> {
  const working = workingConfiguration({ format: 1, dataDirectory, files });
  return Object.fromEntries(working.files.map(({ name, text }) => [name, text]));
}

test('settings are read as PostgreSQL reads them', () => {
  const read = (line: string): string | undefined => settingIn(line)?.value;
  assert.equal(read("  Data_Directory = '/a''b' # there"), "/a'b");
  assert.equal(read("x.y 'a\\'b\\101'"), "a'bA");
  assert.equal(read('port=5433#x'), '5433');
  for (const line of ['', '# a = b', 'a =', "a 'b", 'a b c']) assert.equal(settingIn(line), undefined, line);
});

test('includes and lists are found', () => {
  const paths = (text: string, kind: ConfigurationKind): string[] => includesIn(text, kind).map(({ path }) => path);
  assert.deepEqual(paths("include 'a'\nINCLUDE_DIR='b c'\n#include 'd'\ninclude_if_exists e.conf\n", 'config_file'), [
    'a',
    'b c',
    'e.conf',
  ]);
  const hba = 'local @dbs,x @"the names",postgres md5 # @no\ninclude_dir "more"\nlocal "@db" all md5\n';
  assert.deepEqual(paths(hba, 'hba_file'), ['dbs', 'the names', 'more']);
  assert.equal(
    withLists('local @a,b,@"c d" # @e', (path) => `../${path}`),
    'local @"../a",b,@"../c d" # @e',
  );
});

test('every file gets a place of its own, and what names it follows', () => {
  const etc = '/etc/pg/main';
  const files = [
    file(`${etc}/postgresql.conf`, `data_directory='${dataDirectory}'\ninclude_dir 'conf.d'\ninclude 'gone'\nport=1`),
    file(`${etc}/conf.d/a.conf`, `include '${dataDirectory}/own/b.conf'`),
    file(`${dataDirectory}/own/b.conf`, "include 'c.conf'"),
    file(`${dataDirectory}/own/c.conf`, 'work_mem=4MB'),
    file('/srv/hba/pg_hba.conf', 'local all @/srv/names trust\ninclude "rules"', 'hba_file'),
    file('/srv/names', 'x\n', 'hba_file'),
    file('/srv/hba/rules', 'local all all md5', 'hba_file'),
  ];
  const texts = textsOf(files);
  const changed = (old: string, now: string): string => `#lifeboat: ${old}\n${now}`;
  assert.deepEqual(texts, {
    'postgresql.conf': [
      `#lifeboat: data_directory='${dataDirectory}'`,
      changed("include_dir 'conf.d'", "include_dir 'configuration/etc/pg/main/conf.d'"),
      "#lifeboat: include 'gone'",
      'port=1',
    ].join('\n'),
    'configuration/etc/pg/main/conf.d/a.conf': changed(
      `include '${dataDirectory}/own/b.conf'`,
      "include '../../../../../own/b.conf'",
    ),
    'own/b.conf': "include 'c.conf'",
    'own/c.conf': 'work_mem=4MB',
    'pg_hba.conf': [
      changed('local all @/srv/names trust', 'local all @"configuration/srv/names" trust'),
      changed('include "rules"', 'include "configuration/srv/hba/rules"'),
    ].join('\n'),
    'configuration/srv/names': 'x\n',
    'configuration/srv/hba/rules': 'local all all md5',
  });
  const { dropped } = workingConfiguration({ format: 1, dataDirectory, files });
  assert.deepEqual(dropped, [`${etc}/postgresql.conf: ${etc}/gone`]);
});

test('a folder of that name in the data directory is left to its owner', () => {
  const main = file('/etc/pg/postgresql.conf', `include '${dataDirectory}/configuration/x'\ninclude 'x'`);
  const names = Object.keys(textsOf([main, file(`${dataDirectory}/configuration/x`, 'a=1'), file('/etc/pg/x', 'a=2')]));
  assert.deepEqual(names, ['postgresql.conf', 'configuration/x', 'configuration-2/etc/pg/x']);
});

test('postgresql.auto.conf loses what leads to the old place', () => {
  assert.equal(withoutOldPlace("hba_file = '/x'\nport = '1'\n"), "#lifeboat: hba_file = '/x'\nport = '1'\n");
});

test('an artifact that leads out of the data directory is none', async () => {
  const read = async (document: unknown): Promise<unknown> => {
    const bytes = Buffer.from(JSON.stringify(document));
    const open = async function* (): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(bytes);
    };
    const artifacts = [{ name: 'configuration.json', mediaType: 'application/json', bytes: bytes.length }];
    return recordedConfiguration({ artifacts, open });
  };
  const of = (path: string, folder = dataDirectory) => ({ format: 1, dataDirectory: folder, files: [file(path, '')] });
  assert.ok(await read(of('/etc/pg/x')));
  for (const path of ['/etc/../../x', 'etc/x', '/etc/x/', '/etc//x', '/a\0b', '/etc/.']) {
    await assert.rejects(async () => read(of(path)), { code: 'integrity' }, path);
  }
  await assert.rejects(async () => read(of('/etc/x', '/var/..')), { code: 'integrity' });
  await assert.rejects(async () => read({ ...of('/etc/x'), more: 1 }), { code: 'integrity' });
});

test('what is not on this host is set otherwise', (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'here-'));
  t.after(() => rmSync(dataDir, { recursive: true }));
  const overrides = (settings: Record<string, string>): Record<string, string> =>
    Object.fromEntries(overridesFor(new Map(Object.entries(settings)), { dataDir, owner: undefined }));
  assert.deepEqual(overrides({ unix_socket_directories: `${dataDir}, @x`, listen_addresses: '*', ssl: 'off' }), {});
  assert.deepEqual(
    overrides({
      unix_socket_directories: `/nonexistent,${dataDir}`,
      listen_addresses: '192.0.2.7, 2001:db8::7',
      ssl: 'on',
      logging_collector: 'yes',
      log_directory: '/nonexistent/log',
    }),
    { unix_socket_directories: dataDir, listen_addresses: 'localhost', ssl: 'off', log_directory: 'log' },
  );
  assert.deepEqual(overrides({ unix_socket_directories: '/nonexistent', listen_addresses: '192.0.2.7,db.example' }), {
    unix_socket_directories: '/tmp',
  });
});
