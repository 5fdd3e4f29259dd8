/** One thing that somebody is to hear of, in words that hold no secret, and as it lies in the state folder. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { z } from 'zod';
import { outcomes, pingSignals, severities } from '../../config/schema-notifications.ts';
import { oneLine, withoutSecrets } from './words.ts';

/** Times RFC 3339 in UTC. */
export const noticeSchema = z.object({
  /** A UUID: the same however often it is sent. */
  id: z.uuid(),
  /** Such as backup.failed. */
  event: z.string(),
  outcome: z.enum(outcomes),
  severity: z.enum(severities),
  at: z.iso.datetime(),
  host: z.string(),
  target: z.string().optional(),
  /** What ran: backup, drill. */
  command: z.string().optional(),
  title: z.string(),
  text: z.string(),
  /** What to do now: a command, or a sentence. */
  next: z.string().optional(),
  exitCode: z.int().optional(),
  code: z.string().optional(),
  backup: z.string().optional(),
  /** The incident that it is about: its key, a UUID, since when it lasts, how often it was seen. */
  incident: z.object({ key: z.string(), id: z.uuid(), since: z.iso.datetime(), count: z.int() }).optional(),
  isTest: z.boolean().optional(),
  /** Of a ping: which call, of which run, and the last lines of its log. */
  ping: z.object({ signal: z.enum(pingSignals), run: z.uuid(), log: z.array(z.string()) }).optional(),
});

export type Notice = Readonly<z.infer<typeof noticeSchema>>;

/** What is to be said, before it is cleaned and dated. */
export type NoticeDraft = Omit<Notice, 'id' | 'at' | 'host'>;

const mostCharacters = 2000;

/** Texts are cleaned of secrets, connection strings and whatever drives terminals, and shortened. */
export function noticeOf(draft: NoticeDraft, nowMs = Date.now()): Notice {
  const { title, text, next, ping } = draft;
  return {
    ...draft,
    id: randomUUID(),
    at: new Date(nowMs).toISOString(),
    host: hostname(),
    title: oneLine(withoutSecrets(title), 200),
    text: oneLine(withoutSecrets(text), mostCharacters),
    ...(next === undefined ? {} : { next: oneLine(withoutSecrets(next), 500) }),
    ...(ping === undefined
      ? {}
      : { ping: { ...ping, log: ping.log.map((line) => oneLine(withoutSecrets(line), 500)) } }),
  };
}
