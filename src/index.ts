/**
 * The library: `import { openLifeboat } from 'lifeboat'`. Everything that a program may use is named
 * here; nothing else is promised to stay.
 */
export { openLifeboat, type CallOptions, type Lifeboat, type OpenOptions } from './lifeboat.ts';
export type { BackupOptions, ExportOptions, InitOptions, RestoreOptions, UndoRestoreOptions, UnlockOptions } from './library-requests.ts';
export { AbortedError, exitCodeOf, LifeboatError, type ErrorCode } from './lib/errors.ts';
export type { EventSink, LifeboatEvent } from './lib/events.ts';
export { Secret } from './lib/secret.ts';
export type { AuditedRun, AuditRequest, AuditResult } from './operations/audit-log.ts';
export type { EmergencyPlan } from './operations/emergency-plan.ts';
export type { EmergencyRequest, EmergencyResult } from './operations/emergency-restore.ts';
export type { EmergencyStatusRequest, EmergencyStatusResult } from './operations/emergency-status.ts';
export type {
  BackedUpComponent,
  BackupResult,
  BackupSummary,
  BackupType,
  ComponentName,
  ComponentSizes,
  Confirm,
  Damage,
  DoctorCheck,
  DoctorResult,
  ExportResult,
  InitResult,
  IntegrityFinding,
  KeysAddRequest,
  KeysChangeResult,
  KeysGenerateResult,
  KeysListResult,
  Lease,
  ListRequest,
  ListResult,
  PlannedComponent,
  RepositoryAccount,
  RestoredComponent,
  RestoreResult,
  ShownEvidence,
  ShowRequest,
  ShowResult,
  TouchedArtifact,
  TouchedBackup,
  Trust,
  UndoRestoreResult,
  UnlockResult,
  ValidatedBackup,
  ValidateRequest,
  ValidateResult,
} from './operations/requests.ts';
export type { BackupState, Milestone, Standing } from './operations/states.ts';
