/** Many objects in one request, where the server knows how. */
import { DeleteObjectsCommand, type S3Client } from '@aws-sdk/client-s3';
import { judge } from './errors.ts';

/**
 * Deletes up to 1,000 objects; absent ones are fine. False if the server does not take the request. Throws the SDK's
 * error, or one that looks like it for the first object that stays.
 */
export async function deleteBatch(
  client: S3Client,
  bucket: string,
  paths: readonly string[],
  options: { abortSignal?: AbortSignal },
): Promise<boolean> {
  try {
    const answer = await client.send(
      new DeleteObjectsCommand({ Bucket: bucket, Delete: { Quiet: true, Objects: paths.map((Key) => ({ Key })) } }),
      options,
    );
    const kept = (answer.Errors ?? []).find(({ Code }) => Code !== 'NoSuchKey');
    // An InternalError of one object is as passing as one of the request.
    if (kept !== undefined) {
      throw Object.assign(new Error(kept.Message ?? ''), {
        name: kept.Code ?? '',
        $metadata: { httpStatusCode: statusOfCode[kept.Code ?? ''] ?? 400 },
      });
    }
    return true;
  } catch (error) {
    // A poor server answers 400 to what it does not understand; single deletes then tell what is really wrong.
    const fault = judge(error);
    if (fault === 'unsupported' || fault === 'other') return false;
    throw error;
  }
}

const statusOfCode: Readonly<Record<string, number>> = { InternalError: 500, ServiceUnavailable: 503 };
