/**
 * Datagrams of DogStatsD, for Datadog's agent: `name:value|g|#label:value`, several lines in one as far as it fits.
 * Datagrams are not answered: only a port that nobody listens on is noticed. (docs.datadoghq.com, "DogStatsD datagram
 * format".)
 */
import { createSocket, type Socket } from 'node:dgram';
import type { Family } from './family.ts';

/** What passes an Ethernet in one piece. */
const mostBytes = 1432;
/** The refusal of a port comes with the next call of the socket. */
const refusalMs = 50;

/** `address`: host:port. Rejects where nobody listens. */
export async function sendDogstatsd(address: string, families: readonly Family[]): Promise<void> {
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  try {
    await connect(socket, Number(port), host);
    for (const datagram of datagrams(families)) await send(socket, datagram);
  } finally {
    socket.close();
  }
}

/** Lines put together. */
export function datagrams(families: readonly Family[]): string[] {
  const found: string[] = [];
  for (const line of families.flatMap(lines)) {
    const last = found.at(-1);
    const isRoom = last !== undefined && Buffer.byteLength(last) + 1 + Buffer.byteLength(line) <= mostBytes;
    if (isRoom) found[found.length - 1] = `${last}\n${line}`;
    else found.push(line);
  }
  return found;
}

/** A counter is told as the gauge that it is at the moment: "c" would add it up anew with each datagram. */
function lines({ name, samples }: Family): string[] {
  return samples.map(({ labels = {}, value }) => {
    const tags = Object.entries(labels).map(([key, text]) => `${key}:${text.replaceAll(/[,|#\s]/g, '_')}`);
    return `${name}:${value}|g${tags.length === 0 ? '' : `|#${tags.join(',')}`}`;
  });
}

async function connect(socket: Socket, port: number, host: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(port, host, () => resolve());
  });
}

async function send(socket: Socket, datagram: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.send(datagram, (error) => {
      if (error !== null) return reject(error);
      return setTimeout(resolve, refusalMs);
    });
  });
}
