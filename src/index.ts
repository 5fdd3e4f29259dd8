/**
 * The library: `import { openLifeboat } from 'lifeboat'`. Everything that a program may use is named
 * here; nothing else is promised to stay.
 */
export { openLifeboat, type CallOptions, type Lifeboat, type OpenOptions, type ReadOptions } from './lifeboat.ts';
export type {
  AcknowledgeOptions,
  BackupOptions,
  CleanupOptions,
  DrillOptions,
  ExportOptions,
  HoldOptions,
  InitOptions,
  PitrOptions,
  ReleaseOptions,
  RestoreOptions,
  UndeleteOptions,
  UndoRestoreOptions,
  UnlockOptions,
  WalFetchOptions,
  WalPushOptions,
} from './library-requests.ts';
export { AbortedError, exitCodeOf, LifeboatError, type ErrorCode } from './lib/errors.ts';
export type { EventSink, LifeboatEvent } from './lib/events.ts';
export { Secret } from './lib/secret.ts';
export type { AuditedRun, AuditRequest, AuditResult } from './operations/audit-log.ts';
export type { EmergencyPlan } from './operations/emergency-plan.ts';
export type { EmergencyRequest, EmergencyResult } from './operations/emergency-restore.ts';
export type { EmergencyStatusRequest, EmergencyStatusResult } from './operations/emergency-status.ts';
export type { PitrRequest, PitrResult, RestorePointRequest, RestorePointResult } from './operations/pitr-requests.ts';
export type {
  AcknowledgeResult,
  BackedUpComponent,
  BackupResult,
  BackupSummary,
  BackupType,
  CleanupResult,
  ComponentName,
  ComponentSizes,
  Confirm,
  Damage,
  DoctorCheck,
  DoctorResult,
  DrilledBackup,
  DrilledComponent,
  DrillResult,
  ExportResult,
  HoldResult,
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
  StatusReason,
  StatusRequest,
  StatusResult,
  StatusTarget,
  StatusWal,
  TouchedArtifact,
  TouchedBackup,
  Trust,
  UndeleteResult,
  UndoRestoreResult,
  UnlockResult,
  ValidatedBackup,
  ValidateRequest,
  ValidateResult,
} from './operations/requests.ts';
export type { RunbookRequest, RunbookResult } from './operations/runbook.ts';
export type { WalFetchResult, WalGap, WalPushResult, WalStatusRequest, WalStatusResult, WalSystem, WalTimeline } from './operations/wal-requests.ts';
export type { BackupState, Milestone, Standing } from './operations/states.ts';
