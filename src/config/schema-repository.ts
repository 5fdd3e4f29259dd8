/** The sections of the configuration file that say how backups are stored: repository, encryption, compression. */
import { z } from 'zod';
import { compressionMethods } from './compression.ts';
import { positive, secretSchema } from './schema-pieces.ts';

/** Where backups rest. */
export const repositorySchema = z.union(
  [
    z.string().min(1).describe('file:///path, s3://bucket/prefix or sftp://user@host/path'),
    z.strictObject({
      url: z.string().min(1).describe('file:///path, s3://bucket/prefix or sftp://user@host/path'),
      region: z.string().min(1).optional().describe('S3 region; default: what the AWS default chain says'),
      endpoint: z
        .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
        .optional()
        .describe('URL of a compatible server'),
      pathStyle: z
        .boolean()
        .optional()
        .describe('bucket in the path instead of the host name; default: true with an endpoint, else false'),
      storageClass: z.string().min(1).optional().describe('storage class of new objects'),
      serverSideEncryption: z.enum(['AES256', 'aws:kms']).optional().describe('x-amz-server-side-encryption header'),
      kmsKeyId: z.string().min(1).optional().describe('key for aws:kms'),
      objectLock: z
        .strictObject({
          days: positive
            .max(36_500)
            .describe(
              'so many days from its beginning nobody can delete what belongs to a backup; cleanup deletes it later',
            ),
          mode: z
            .enum(['governance', 'compliance'])
            .default('compliance')
            .describe('governance: who has the right to bypass it can; compliance: nobody can'),
        })
        .optional()
        .describe('retain backups by object lock, in a bucket that was made with it; default: not'),
      sshConfig: z
        .string()
        .min(1)
        .optional()
        .describe("of sftp://: a configuration for ssh (ssh -F), instead of the user's and the system's"),
      accessKey: secretSchema.optional().describe('access key id; without keys the AWS default chain'),
      secretKey: secretSchema.optional().describe('secret access key'),
      sessionToken: secretSchema.optional().describe('token of temporary credentials'),
    }),
  ],
  { error: 'must be a URL, or an object with "url"' },
);

/** Who can read them. */
export const encryptionSchema = z.strictObject({
  enabled: z.boolean().default(true).describe('encrypt all that is stored'),
  key: secretSchema.optional().describe('64 hex digits, base64 of 32 bytes, or a passphrase'),
  passphrase: secretSchema.optional().describe('always taken as a passphrase'),
  identity: secretSchema.optional().describe('an age identity (AGE-SECRET-KEY-1…), or a file of them'),
  recipients: z
    .array(z.string().regex(/^age1[0-9a-z]+$/, 'must be an age recipient (age1…)'))
    .default([])
    .describe('age recipients that can read new backups'),
  trustedKeys: z
    .array(z.string().regex(/^[A-Za-z0-9+/]{43}=$/, 'must be base64 of 32 bytes'))
    .default([])
    .describe('public keys of writers to trust, base64'),
});

const levels = { none: [0, 0], lz4: [0, 0], gzip: [1, 9], zstd: [1, 19] } as const;

/** How small they are. */
export const compressionSchema = z
  .strictObject({
    method: z.enum(compressionMethods).default('zstd').describe('how chunks are compressed'),
    level: z.number().int().optional().describe('gzip 1–9 (default 6), zstd 1–19 (default 3); lz4 and none have none'),
  })
  .superRefine(({ method, level }, context) => {
    const [low, high] = levels[method];
    if (level === undefined || (level >= low && level <= high)) return;
    const message = high === 0 ? `${method} has no levels` : `${method} has the levels ${low} to ${high}`;
    context.addIssue({ code: 'custom', path: ['level'], message });
  });
