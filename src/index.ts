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
export type { AuditedRun, AuditRequest, AuditResult } from './operations/audit/audit.ts';
export type { EmergencyPlan } from './operations/emergency/plan.ts';
export type { EmergencyRequest, EmergencyResult } from './operations/emergency/restore.ts';
export type { EmergencyStatusRequest, EmergencyStatusResult } from './operations/emergency/status.ts';
export type { PitrRequest, PitrResult, RestorePointRequest, RestorePointResult } from './operations/pitr/request.ts';
export type { BackedUpComponent, BackupResult, ComponentSizes, PlannedComponent } from './operations/backup/request.ts';
export type { CleanupResult, HoldResult, UndeleteResult } from './operations/cleanup/request.ts';
export type {
  DrilledBackup,
  DrilledComponent,
  DrillResult,
  IntegrityFinding,
  RepositoryAccount,
} from './operations/integrity/request.ts';
export type {
  BackupSummary,
  ListRequest,
  ListResult,
  ShownEvidence,
  ShowRequest,
  ShowResult,
  Trust,
} from './operations/list/request.ts';
export type { BackupType, ComponentName, Confirm } from './operations/operation.ts';
export type {
  ExportResult,
  RestoredComponent,
  RestoreResult,
  UndoRestoreResult,
} from './operations/restore/request.ts';
export type {
  DoctorCheck,
  DoctorResult,
  InitResult,
  KeysAddRequest,
  KeysChangeResult,
  KeysGenerateResult,
  KeysListResult,
  Lease,
  UnlockResult,
} from './operations/setup/request.ts';
export type {
  AcknowledgeResult,
  StatusReason,
  StatusRequest,
  StatusResult,
  StatusTarget,
  StatusWal,
} from './operations/status/request.ts';
export type {
  Damage,
  TouchedArtifact,
  TouchedBackup,
  ValidatedBackup,
  ValidateRequest,
  ValidateResult,
} from './operations/validate/request.ts';
export type { RunbookRequest, RunbookResult } from './operations/emergency/runbook.ts';
export type {
  WalFetchResult,
  WalGap,
  WalPushResult,
  WalStatusRequest,
  WalStatusResult,
  WalSystem,
  WalTimeline,
} from './operations/wal/request.ts';
export type { BackupState, Milestone, ProofState } from './operations/proof/state.ts';
