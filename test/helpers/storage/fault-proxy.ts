/**
 * A small HTTP proxy in front of a real S3 server that misbehaves for chosen requests. Host and path
 * pass unchanged, so that signatures hold.
 */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export type ProxyFault =
  /** Answers without asking the server. `code` is the XML error code; without it the body is empty. */
  | { readonly kind: 'status'; readonly status: number; readonly code?: string }
  /** Works, later. */
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** Sends the server's head and so many bytes of its body, then cuts the connection. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Cuts the connection: without asking the server, or after the server has done it (an answer that is lost). */
  | { readonly kind: 'drop'; readonly when: 'before' | 'after' }
  /** Takes the request and says nothing, until the proxy stops or the client goes. */
  | { readonly kind: 'hang' };

export interface ProxiedRequest {
  readonly method: string;
  /** Path with query, percent-encoded. */
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
}

export interface FaultProxy {
  readonly endpoint: string;
  /**
   * The next `times` (default 1) requests that match suffer it. Several faults are tried in the order they were given.
   */
  inject(fault: ProxyFault, matches?: (request: ProxiedRequest) => boolean, times?: number): void;
  /** Asked for each request that no injected fault hits; `index` counts these from 0. */
  misbehave(choose: (request: ProxiedRequest, index: number) => ProxyFault | undefined): void;
  /** Forgets the faults that are left over; tells how many requests they would still have hit. */
  clear(): number;
  /** Every request so far, in order of arrival. */
  readonly requests: readonly ProxiedRequest[];
  stop(): Promise<void>;
}

const behave = (): undefined => undefined;

interface Rule {
  readonly fault: ProxyFault;
  readonly matches: (request: ProxiedRequest) => boolean;
  left: number;
}

/** `target` is the endpoint of the real server, e.g. http://127.0.0.1:8000. */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const { hostname, port } = new URL(target);
  const requests: ProxiedRequest[] = [];
  let rules: Rule[] = [];
  let choose: Parameters<FaultProxy['misbehave']>[0] = behave;
  let index = 0;
  const sockets = new Set<Socket>();
  const server = createServer((incoming, outgoing) => {
    const seen = { method: incoming.method ?? '', url: incoming.url ?? '', headers: incoming.headers };
    requests.push(seen);
    const rule = rules.find(({ left, matches }) => left > 0 && matches(seen));
    if (rule !== undefined) rule.left--;
    const fault = rule === undefined ? choose(seen, index++) : rule.fault;
    handle({ host: hostname, port: Number(port) }, incoming, outgoing, fault).catch(() => outgoing.destroy());
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    inject: (fault, matches = () => true, times = 1) => void rules.push({ fault, matches, left: times }),
    misbehave: (chosen) => {
      choose = chosen;
      index = 0;
    },
    clear: () => {
      choose = behave;
      const left = rules.reduce((sum, rule) => sum + rule.left, 0);
      rules = [];
      return left;
    },
    stop: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function handle(
  target: { host: string; port: number },
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  fault: ProxyFault | undefined,
): Promise<void> {
  const body = await collect(incoming);
  switch (fault?.kind) {
    case 'hang':
      return;
    case 'status':
      return answer(outgoing, fault.status, fault.code);
    case 'drop':
      if (fault.when === 'after') await collect(await forward(target, incoming, body));
      outgoing.destroy();
      return;
    case 'delay':
      await sleep(fault.delayMs);
      return relay(await forward(target, incoming, body), outgoing);
    case 'cut': {
      const real = await forward(target, incoming, body);
      const whole = await collect(real);
      const { connection: _, ...headers } = real.headers;
      // The answer to a HEAD announces a length that is not its own.
      outgoing.writeHead(
        real.statusCode ?? 500,
        incoming.method === 'HEAD' ? headers : { ...headers, 'content-length': String(whole.length) },
      );
      outgoing.write(whole.subarray(0, fault.afterBytes), () => outgoing.destroy());
      return;
    }
    default:
      return relay(await forward(target, incoming, body), outgoing);
  }
}

function forward(
  target: { host: string; port: number },
  incoming: IncomingMessage,
  body: Buffer,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { connection: _, ...headers } = incoming.headers;
    const upstream = httpRequest(
      { ...target, method: incoming.method, path: incoming.url, headers, agent: false },
      resolve,
    );
    upstream.on('error', reject);
    upstream.end(body);
  });
}

async function relay(real: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const { connection: _, ...headers } = real.headers;
  outgoing.writeHead(real.statusCode ?? 500, headers);
  for await (const chunk of real) outgoing.write(chunk);
  outgoing.end();
}

function answer(outgoing: ServerResponse, status: number, code: string | undefined): void {
  const body = code === undefined ? '' : `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code></Error>`;
  outgoing.writeHead(status, { 'content-type': 'application/xml', 'content-length': String(body.length) });
  outgoing.end(body);
}

async function collect(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
