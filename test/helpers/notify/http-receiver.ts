/** An HTTP server on loopback that takes notifications, and behaves as a test says. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ReceivedCall {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** How it answers; undefined: never. */
export type Behaviour = { readonly status: number; readonly text?: string; readonly headers?: Record<string, string> };

export interface HttpReceiver extends AsyncDisposable {
  readonly url: string;
  /** What came, taken or not, in order. */
  readonly calls: ReceivedCall[];
  /** For what comes from now on. */
  behave(behaviour: Behaviour | undefined): void;
  /** As many calls as that have come, and have been answered. */
  has(count: number): Promise<void>;
}

export async function startHttpReceiver(port = 0): Promise<HttpReceiver> {
  const calls: ReceivedCall[] = [];
  let behaviour: Behaviour | undefined = { status: 200 };
  let answered = 0;
  const server = createServer((incoming, answer) => {
    void take(incoming).then((call) => {
      calls.push(call);
      reply(answer);
    });
  });
  const reply = (answer: ServerResponse): void => {
    if (behaviour === undefined) return;
    answer.writeHead(behaviour.status, behaviour.headers).end(behaviour.text ?? '');
    answered++;
  };
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    behave: (next) => void (behaviour = next),
    has: async (count) => {
      for (let n = 0; n < 600 && answered < count; n++) await sleep(50);
      if (answered < count) throw new Error(`only ${answered} of ${count} calls have come`);
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function take(incoming: IncomingMessage): Promise<ReceivedCall> {
  let text = '';
  for await (const piece of incoming.setEncoding('utf8')) text += String(piece);
  return { method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers, text };
}
