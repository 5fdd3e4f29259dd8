/** A notice as the JSON document that programs get. */
import type { Notice } from '../notice.ts';

/** As Standard Webhooks recommends: type, timestamp, data. */
export function documentOf({ event, at, ping: _ping, ...data }: Notice): object {
  return { type: event, timestamp: at, data };
}
