/** Tells systemd of timers that were put in place, and of those that go; where it does not run, they wait for it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LifeboatError } from '../../lib/errors.ts';
import { runTool } from '../../lib/exec.ts';
import type { UnitScope } from './unit.ts';

export interface SystemdOf {
  readonly scope: UnitScope;
  /** Of a system that does not run: its root folder. */
  readonly root?: string | undefined;
  /** Where programs of the user keep their configuration. */
  readonly userFolder?: string | undefined;
}

export class Timers {
  readonly #of: SystemdOf;

  constructor(of: SystemdOf) {
    this.#of = of;
  }

  /** Those that go stop, before their files are removed. */
  async disable(names: readonly string[]): Promise<void> {
    if (names.length > 0) await this.#call('disable', ...(this.#isRunning ? ['--now'] : []), ...names);
  }

  /** After files were changed. */
  async reload(): Promise<void> {
    if (this.#isRunning) await this.#call('daemon-reload');
  }

  /** `changed`: those that run already take over their new times. Returns what is to be known. */
  async enable(names: readonly string[], changed: readonly string[]): Promise<string[]> {
    if (names.length === 0) return [];
    const isThere = await this.#call('enable', ...(this.#isRunning ? ['--now'] : []), ...names);
    if (!isThere) {
      return [
        'systemctl is not installed here: once it is, enable the timers (systemctl enable --now lifeboat-*.timer)',
      ];
    }
    if (this.#isRunning && changed.length > 0) await this.#call('restart', ...changed);
    if (this.#of.root !== undefined || this.#isRunning) return this.#of.scope === 'user' ? [lingering] : [];
    return ['systemd does not run here: the timers count from when it does'];
  }

  get #isRunning(): boolean {
    const { root, scope } = this.#of;
    if (root !== undefined) return false;
    return existsSync(scope === 'system' ? '/run/systemd/system' : join(runtimeFolder(), 'systemd'));
  }

  /** False: there is no systemctl. */
  async #call(...words: string[]): Promise<boolean> {
    const { scope, root, userFolder } = this.#of;
    const where = scope === 'user' ? ['--user'] : root === undefined ? [] : [`--root=${root}`];
    const env = scope === 'user' ? { XDG_RUNTIME_DIR: runtimeFolder(), XDG_CONFIG_HOME: userFolder ?? '' } : {};
    try {
      await runTool({ file: 'systemctl', args: [...where, '--quiet', ...words], env });
      return true;
    } catch (error) {
      if (error instanceof LifeboatError && error.code === 'tool') return false;
      throw error;
    }
  }
}

function runtimeFolder(): string {
  return `/run/user/${process.geteuid?.() ?? 0}`;
}

const lingering = 'timers of a user stop when that user logs out, unless: loginctl enable-linger';
