/** How far a backup has been proven, in the documents that tell of backups; see documents.ts. */
import { z } from 'zod';
import { evidenceLevels } from '../../repository/backups/evidence-record.ts';
import { durationMs, text, time } from './shapes.ts';

const milestone = z
  .strictObject({ at: time, durationMs, level: z.enum(evidenceLevels), object: text })
  .describe('when this was last found, how long it took, and the evidence');

/** Absent where no key can tell. */
export const standing = z
  .strictObject({
    state: z.enum(['stored', 'checked', 'decoded', 'proven']),
    checked: milestone.optional(),
    decoded: milestone.optional(),
    proven: milestone.optional(),
    lastFailure: milestone.optional(),
    failing: z.boolean().describe('the last failure was not followed by a success that would have found the same'),
    restored: milestone.optional().describe('a real restore that verified well'),
    recovered: milestone.optional().describe('a recovery to a moment behind it that a drill has proven'),
  })
  .describe('how far it has been proven; absent where no key can tell');
