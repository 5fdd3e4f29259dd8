import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import type { Command } from 'commander';
import { generatedFiles } from '../../.ci/build/manual.ts';
import { commands } from '../../src/command-list.ts';
import { manuals } from '../../src/manuals.ts';
import { declareAll } from '../../src/program.ts';
import { runCli } from '../helpers/cli/run-cli.ts';

const sections = ['DESCRIPTION', 'OPTIONS', 'EXIT STATUS', 'ENVIRONMENT', 'FILES', 'EXAMPLES', 'SEE ALSO'];
const pages = await generatedFiles();

/** The command line as declared, with actions that do nothing but tell that they were called. */
async function rehearsal(called: () => void): Promise<Command> {
  const nowhere = new PassThrough();
  const program = await declareAll({ stdin: nowhere, stdout: nowhere, stderr: nowhere, env: {}, cwd: '/' });
  const replaceActions = (command: Command): void => {
    if (command.commands.length === 0) command.action(called);
    command.commands.forEach(replaceActions);
  };
  replaceActions(program);
  return program;
}

/** Words as a shell splits them; where the output goes is dropped. */
function wordsOf(line: string): string[] {
  const words: string[] = line.match(/'[^']*'|"[^"]*"|\S+/g) ?? [];
  const redirected = words.indexOf('>');
  return words.slice(0, redirected < 0 ? undefined : redirected).map((word) => word.replaceAll(/^['"]|['"]$/g, ''));
}

test('the manuals are those of the commands', () => {
  assert.deepEqual(
    Object.keys(manuals),
    commands.map(({ name }) => name),
  );
});

for (const { name } of commands) {
  describe(`manual of ${name}`, () => {
    test('has every section, and pages that it names exist', async () => {
      const text = pages.get(`man/lifeboat-${name}.1`) ?? '';
      for (const section of sections) assert.match(text, new RegExp(`^\\.SH ${section}\\n.`, 'm'), `no ${section}`);
      for (const page of (await manuals[name]?.())?.manual.seeAlso.filter((each) => each.startsWith('lifeboat')) ??
        []) {
        const [, title, section] = /^(.*)\((\d)\)$/.exec(page) ?? [];
        assert.ok(['1', '7'].includes(section ?? ''), page);
        if (section === '1') assert.ok(pages.has(`man/${title}.1`), `${page} does not exist`);
      }
    });

    test('gives two to five command lines that parse', async () => {
      const { examples } = (await manuals[name]?.())?.manual ?? { examples: [] };
      assert.ok(examples.length >= 2 && examples.length <= 5, `${examples.length} examples`);
      for (const { line, purpose } of examples) {
        let calls = 0;
        const program = await rehearsal(() => calls++);
        const [first, ...words] = wordsOf(line);
        assert.equal(first, 'lifeboat', line);
        assert.equal(words[0], name, line);
        await program.parseAsync(words, { from: 'user' });
        assert.equal(calls, 1, line);
        assert.doesNotMatch(purpose, /[\n.]$/, 'a phrase without a full stop');
      }
    });
  });
}

test('help ends with two examples, that of a subcommand with its own', async () => {
  for (const { name } of commands) {
    const { stdout, exitCode } = await runCli([name, '--help']);
    assert.equal(exitCode, 0);
    const [, examples = ''] = stdout.split('\nExamples:\n');
    assert.match(examples, new RegExp(`^  # .+\n  lifeboat ${name}.*\n  # .+\n  lifeboat ${name}.*\n$`), name);
  }
  assert.match((await runCli(['help', 'wal'])).stdout, /\nExamples:\n/);
  assert.match(
    (await runCli(['wal', 'fetch', '-h'])).stdout,
    /\nExamples:\n {2}# .*\n {2}lifeboat wal fetch [^\n]*\n$/,
  );
});
