/**
 * Reading a share of many objects each time, so that all have been read after as many times as there are parts. Which
 * part an object is in a hash of its name decides, since names may be of somebody's choosing; it stays in it, whenever
 * others come and go.
 */
import { createHash } from 'node:crypto';

/** Part `part` (from 1) of `parts`. */
export interface Share {
  readonly part: number;
  readonly parts: number;
}

const dayMs = 86_400_000;

/** How many parts there are if each is to hold so many percent, over 0 to 100. */
export function partsOf(percent: number): number {
  return Math.max(1, Math.ceil(100 / percent - 1e-9));
}

/** For who does not know which part was read last; `now` in milliseconds since 1970. */
export function shareOfDay(parts: number, now = Date.now()): Share {
  return { part: (Math.floor(now / dayMs) % parts) + 1, parts };
}

export function shareAfter({ part, parts }: Share): Share {
  return { part: (part % parts) + 1, parts };
}

/** `name`: what the object is known by. */
export function isInShare(name: string | Uint8Array, { part, parts }: Share): boolean {
  return createHash('sha256').update(name).digest().readUInt32LE(0) % parts === part - 1;
}
