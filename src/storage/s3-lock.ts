/** Object lock: an object's newest version cannot be deleted before a moment, which can be moved later but not earlier. */
import { PutObjectRetentionCommand, type ObjectLockRetentionMode, type S3Client } from '@aws-sdk/client-s3';
import type { S3Location } from '../config/config.ts';
import { objectOf } from './s3-client.ts';
import { judge } from './s3-errors.ts';

export function lockModeOf({ objectLock }: S3Location): ObjectLockRetentionMode {
  return objectLock?.mode === 'governance' ? 'GOVERNANCE' : 'COMPLIANCE';
}

/** False where the server does not allow it: no right to, no such object, or it is locked for longer in the other mode. Throws the SDK's error otherwise. */
export async function extendLock(client: S3Client, s3: S3Location, key: string, untilMs: number, options: { abortSignal?: AbortSignal }): Promise<boolean> {
  try {
    await client.send(new PutObjectRetentionCommand({ ...objectOf(s3, key), Retention: { Mode: lockModeOf(s3), RetainUntilDate: new Date(untilMs) } }), options);
    return true;
  } catch (error) {
    if (['denied', 'absent', 'unsupported', 'other'].includes(judge(error)) && isAnswer(error)) return false;
    throw error;
  }
}

/** Not a failure on this side, which would be ours to mend. */
function isAnswer(error: unknown): boolean {
  return error instanceof Error && '$metadata' in error && (error.$metadata as { httpStatusCode?: number }).httpStatusCode !== undefined;
}
