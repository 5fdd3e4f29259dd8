/**
 * Every document that --json prints, as a schema: published for programs that read them, and what the
 * tests hold the documents against. Not loaded when a command runs.
 */
import { z } from 'zod';
import { auditDocuments } from './audit-documents.ts';
import { reportDocuments } from './report-documents.ts';
import { backupDocuments } from './backup-documents.ts';
import { cleanupDocuments } from './cleanup-documents.ts';
import { emergencyDocuments } from './emergency-documents.ts';
import { metricsDocuments } from './metrics-documents.ts';
import { notifyDocuments } from './notify-documents.ts';
import { pitrDocuments } from './pitr-documents.ts';
import { proofDocuments } from './proof-documents.ts';
import { restoreDocuments } from './restore-documents.ts';
import { scheduleDocuments } from './schedule-documents.ts';
import { setupDocuments } from './setup-documents.ts';
import { statusDocuments } from './status-documents.ts';
import { walDocuments } from './wal-documents.ts';

/** By the name in `schema` (without `lifeboat.` and `/v1`). */
export const documents = {
  ...auditDocuments,
  ...reportDocuments,
  ...backupDocuments,
  ...cleanupDocuments,
  ...emergencyDocuments,
  ...metricsDocuments,
  ...notifyDocuments,
  ...pitrDocuments,
  ...proofDocuments,
  ...restoreDocuments,
  ...scheduleDocuments,
  ...setupDocuments,
  ...statusDocuments,
  ...walDocuments,
} as const;

export type DocumentName = keyof typeof documents;

/** The JSON Schema (draft 2020-12) of one document. */
export function documentJsonSchema(name: DocumentName): Record<string, unknown> {
  return { ...z.toJSONSchema(documents[name]), title: `Document lifeboat.${name}/v1` };
}
