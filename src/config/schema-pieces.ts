/** The pieces that sections of the configuration file are made of: secrets, counts, waiting times, paths. */
import { z } from 'zod';
import { messageOf } from '../lib/errors.ts';
import { checkTimeZone } from '../lib/time-zone.ts';

const secretForms = 'must be a text, {"env": NAME}, {"file": PATH} or {"command": [PROGRAM, ARGUMENT…]}';

/** A secret value: the text itself, or where to get it. */
export const secretSchema = z
  .union(
    [
      z.string().min(1),
      z.strictObject({ env: z.string().min(1).describe('name of an environment variable') }),
      z.strictObject({ file: z.string().min(1).describe('path of a file; one line end at its end is dropped') }),
      z.strictObject({
        command: z
          .array(z.string())
          .min(1)
          .describe('program and arguments, started without a shell; what it prints is the value'),
      }),
    ],
    { error: secretForms },
  )
  .meta({ id: 'secret', description: 'a text, {"env": NAME}, {"file": PATH} or {"command": [PROGRAM, ARGUMENT…]}' });

/** A count of at least one. */
export const positive = z.number().int().min(1);
/** A limit that is longer limits nothing, and PostgreSQL's timers hold no more than 24 days. */
export const secondsOfWaiting = positive.max(604_800);
/** A path, absolute or relative to the configuration file. */
export const path = z.string().min(1);
/** A list of texts, none of them empty. */
export const texts = z.array(z.string().min(1));

/** No expression and no zone has more characters. */
const mostCharacters = 200;

/** What `check` throws is a fault of the text. */
export function checkText(check: (text: string) => void, input: string, context: z.RefinementCtx<string>): void {
  if (input.length > mostCharacters) {
    context.addIssue({ code: 'custom', message: `has more than ${mostCharacters} characters`, input });
    return;
  }
  try {
    check(input);
  } catch (error) {
    context.addIssue({ code: 'custom', message: messageOf(error), input });
  }
}

/** An IANA name, such as Europe/Berlin. */
export const timeZone = z.string().superRefine((text, context) => checkText(checkTimeZone, text, context));
