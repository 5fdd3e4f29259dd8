/**
 * What the servers' own checkers, redis-check-rdb and valkey-check-rdb, say of a file that our reader has been through.
 * Each knows the files of its own make and time only: one that does not know the file's magic, version or types is no
 * judge of it. Where the checksum matches, what was stored is what the server wrote, whatever a checker makes of it.
 */
import { LifeboatError } from '../../lib/errors.ts';
import type { RunContext } from '../../lib/events.ts';
import { runTool, ToolError } from '../../lib/exec.ts';
import type { RedisFacts } from './facts.ts';
import type { RdbSummary } from './rdb/summary.ts';

type Checker = Exclude<RedisFacts['checkedBy'], 'lifeboat'>;

/**
 * Who has checked the file: the first checker that is installed and takes it for sound, else our reader alone. A damage
 * that one finds is a warning where the checksum was verified, else it is thrown (integrity).
 */
export async function judgeRdb(
  path: string,
  summary: Pick<RdbSummary, 'valkey' | 'crc'>,
  context: RunContext,
): Promise<RedisFacts['checkedBy']> {
  for (const checker of summary.valkey ? valkeyCheckers : redisCheckers) {
    const verdict = await verdictOf(checker, path, context);
    if (verdict === 'sound') return checker;
    if (verdict === undefined) continue;
    if (summary.crc !== 'verified') throw new LifeboatError('integrity', foundBy(checker, verdict));
    const message = `${foundBy(checker, verdict)}; its checksum is right, so that is how the server has written it`;
    context.emit({ type: 'warning', component: 'redis', message });
  }
  return 'lifeboat';
}

/** Redis knows nothing of Valkey's magic; Valkey reads Redis' files, those of later Redis' in part. */
const redisCheckers: readonly Checker[] = ['redis-check-rdb', 'valkey-check-rdb'];
const valkeyCheckers: readonly Checker[] = ['valkey-check-rdb'];

function foundBy(checker: Checker, what: string): string {
  return `${checker} finds the Redis snapshot damaged: ${what}`;
}

/** What it says where the file is of another make or version than it knows, or holds types that it does not have. */
const notItsKind = /signature|(?:format|foreign) version|(?:object|value) type|opcode|module/i;

/** What is damaged; undefined: it is not installed, or cannot tell. */
async function verdictOf(file: Checker, path: string, { signal }: RunContext): Promise<string | undefined> {
  try {
    const { exitCode, stdout, stderr } = await runTool({ file, args: [path], signal, okExitCodes: [0, 1] });
    if (exitCode === 0) return 'sound';
    const said = /^\[offset \d+\] (?!Checking|AUX|Selecting|Foreign)(.*)$/m.exec(stdout)?.[1] ?? stderr.trim();
    return notItsKind.test(said) ? undefined : said.slice(0, 200);
  } catch (error) {
    if (error instanceof ToolError || (error instanceof LifeboatError && error.code === 'tool')) return undefined;
    throw error;
  }
}
