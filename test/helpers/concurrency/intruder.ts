/**
 * A user of this host without any rights, who goes on doing something in their own folders until they are stopped: what
 * is done to root or a service user that works there meanwhile.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Nobody's. */
export const intruder = { uid: 65534, gid: 65534 } as const;

export interface Watcher extends AsyncDisposable {
  readonly pid: number;
}

/**
 * Starts `loop`, the text of a JavaScript function body that is called again and again as that user, with `fs`; what it
 * throws is ignored. Resolves once it runs.
 */
export async function startWatcher(loop: string): Promise<Watcher> {
  const program = `
    const fs = require('node:fs');
    process.setgroups([]); process.setgid(${intruder.gid}); process.setuid(${intruder.uid});
    const step = () => { try { ${loop} } catch {} };
    process.on('SIGTERM', () => process.exit());
    process.stdout.write('ready');
    const turn = () => { for (let n = 0; n < 500; n++) step(); setImmediate(turn); };
    turn();`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return {
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      // Between two rounds: what the loop puts back is put back.
      child.kill('SIGTERM');
      await ended;
    },
  };
}
