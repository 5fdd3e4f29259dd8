/**
 * A server whose configuration lies outside of its data directory, as Debian has it, with links, includes and lists of
 * names: the old host is gone, and the recovered cluster starts by the command that is printed, with those settings.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  lchownSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import type { RunContext } from '../../src/lib/events.ts';
import { checkConfiguration } from '../../src/operations/doctor/configuration.ts';
import { backup } from '../../src/operations/backup/backup.ts';
import { parsePostgresUrl } from '../../src/config/postgres-url-parser.ts';
import { endProcess, pitrOf, quiet, startPitrCluster, type PitrCluster } from '../helpers/cluster/pitr-cluster.ts';

let cluster: PitrCluster;
let etc: string;
let other: string;
let real: string;

before(async () => {
  cluster = await startPitrCluster();
  await layOutside();
});
after(async () => cluster?.[Symbol.asyncDispose]());

function place(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  execFileSync('chown', ['-R', `${cluster.owner.uid}:${cluster.owner.gid}`, dirname(path)]);
}

function link(to: string, path: string): void {
  symlinkSync(to, path);
  lchownSync(path, cluster.owner.uid, cluster.owner.gid);
}

/** The server's folder becomes one of configuration only, and its data lies beside. */
async function layOutside(): Promise<void> {
  const { server } = cluster;
  const { dataDir, socketDir } = server;
  await server.query('postgres', 'CREATE ROLE listed LOGIN; CREATE ROLE stranger LOGIN; CHECKPOINT');
  await server.kill();
  [etc, other, real] = [dataDir, join(socketDir, "the other's"), join(socketDir, 'real')];
  renameSync(dataDir, real);
  const settings = [
    `data_directory = '${real}'`,
    `hba_file = '${etc}/pg_hba.conf'`,
    `ident_file = '${other.replaceAll("'", "''")}/pg_ident.conf'`,
    `external_pid_file = '${socketDir}/old.pid'`,
    "include_dir = 'conf.d'",
    "include_if_exists 'nowhere.conf'",
    `include '${real}/inside.conf' # a link`,
    "work_mem = '3MB'",
  ];
  place(join(etc, 'postgresql.conf'), settings.join('\n'));
  place(
    join(etc, 'pg_hba.conf'),
    `local all @"../the other's/names" trust\nlocal all,replication postgres,keeper trust\n`,
  );
  place(join(other, 'names'), '# who may\nlisted\n');
  place(join(other, 'pg_ident.conf'), 'map nobody postgres\n');
  place(join(other, 'linked.conf'), "maintenance_work_mem = '77MB'\n");
  place(join(etc, 'conf.d/20.conf'), "effective_cache_size = '123MB'\ninclude '../conf.d/nested'\n");
  place(join(etc, 'conf.d/nested'), "random_page_cost = '3.25'\n");
  for (const name of ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf']) rmSync(join(real, name));
  link(join(other, 'linked.conf'), join(etc, 'conf.d/10.conf'));
  place(join(other, 'inside.conf'), "temp_buffers = '9MB'\n");
  link(join(other, 'inside.conf'), join(real, 'inside.conf'));
  link('/etc/hostname', join(real, 'stray'));
  for (const name of ['postmaster.pid', 'pg_wal']) link(join(real, name), join(etc, name));
  await server.start();
}

/** Warnings that a base backup gives. */
async function base(of: PitrCluster): Promise<string[]> {
  const warnings: string[] = [];
  const emit: RunContext['emit'] = (event) => {
    if (event.type === 'warning') warnings.push(event.message);
  };
  const request = { components: ['base'], tags: [], ifRunning: { action: 'fail' }, dryRun: false } as const;
  const done = await backup(of.loaded, request, { ...quiet, emit });
  assert.equal(done.outcome, 'done');
  await of.archived();
  return warnings;
}

/** Runs the command that was printed, as the server's user; the log of the server. */
async function startAsPrinted(steps: readonly string[], work: () => Promise<void>): Promise<void> {
  const command = steps.flatMap((step) => /^start it: (.*)$/.exec(step)?.[1] ?? [])[0] ?? '';
  const log = join(cluster.home, 'start.log');
  const out = openSync(log, 'w');
  const { uid, gid } = cluster.owner;
  const { status } = spawnSync('sh', ['-c', command], { uid, gid, cwd: '/', stdio: ['ignore', out, out] });
  assert.equal(status, 0, readFileSync(log, 'utf8'));
  const dataDir = / -D (\S+) /.exec(command)?.[1] ?? '';
  try {
    await work();
  } finally {
    await endProcess(Number(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]));
  }
}

test('a role without the rights is told what is missing, and the least configuration starts', async () => {
  await cluster.server.query('postgres', 'CREATE ROLE keeper LOGIN REPLICATION; GRANT pg_read_all_settings TO keeper');
  await cluster.archived();
  const url = cluster.server.url('postgres', 'keeper');
  const of = await pitrOf(cluster, url);
  const warnings = await base(of);
  assert.match(warnings.join('\n'), /not in the base backup: .*postgresql\.conf: .*permission denied.*\n?/);
  assert.match(warnings.join('\n'), /GRANT pg_read_all_settings, pg_read_server_files TO/);
  const [check] = await checkConfiguration('c', { url: parsePostgresUrl(url), base: {} }, quiet);
  assert.equal(check?.ok, 'warn');
  const dataDir = cluster.folder('least');
  const done = await of.run('latest', { dataDir, action: 'shutdown' });
  assert.ok(done.outcome === 'done');
  assert.match(done.nextSteps.join('\n'), /is not in this backup/);
  await cluster.server.kill();
  await startAsPrinted(done.nextSteps, async () => {
    assert.equal(readFileSync(join(dataDir, 'pg_hba.conf'), 'utf8'), 'local all all peer\n');
    await Promise.resolve();
  });
  rmSync(dataDir, { recursive: true });
  await cluster.server.start();
});

test('it starts by the printed command with its settings, where nothing of the old host is left', async () => {
  const { server } = cluster;
  const [check] = await checkConfiguration('c', { url: parsePostgresUrl(server.url()), base: {} }, quiet);
  assert.equal(check?.ok, 'ok', check?.message);
  const warnings = await base(cluster);
  assert.deepEqual(
    warnings.filter((each) => !each.includes('stray')),
    [],
  );
  assert.equal(warnings.length, 1, 'the link that no file names is told of');
  const dataDir = cluster.folder('recovered');
  const done = await cluster.run('latest', { dataDir, action: 'shutdown' });
  assert.ok(done.outcome === 'done');
  await server.kill();
  for (const path of [etc, other, real, join(server.socketDir, 'old.pid')]) rmSync(path, { recursive: true });
  await startAsPrinted(done.nextSteps, async () => {
    const shown = async (name: string): Promise<string | null | undefined> =>
      (await server.query('postgres', `SELECT current_setting('${name}') AS value`))[0]?.['value'];
    const expected = {
      data_directory: dataDir,
      config_file: join(dataDir, 'postgresql.conf'),
      hba_file: join(dataDir, 'pg_hba.conf'),
      ident_file: join(dataDir, 'pg_ident.conf'),
      external_pid_file: '',
      work_mem: '3MB',
      maintenance_work_mem: '77MB',
      effective_cache_size: '123MB',
      random_page_cost: '3.25',
      temp_buffers: '9MB',
      archive_mode: 'off',
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(await shown(name), value, name);
    const faults = await server.query(
      'postgres',
      'SELECT error FROM pg_hba_file_rules WHERE error IS NOT NULL UNION ALL ' +
        'SELECT error FROM pg_file_settings WHERE error IS NOT NULL',
    );
    assert.deepEqual(faults, []);
    const [rule] = await server.query('postgres', 'SELECT user_name FROM pg_hba_file_rules ORDER BY line_number');
    assert.match(rule?.['user_name'] ?? '', /listed/);
  });
  assert.equal(existsSync(join(server.socketDir, 'old.pid')), false);
});
