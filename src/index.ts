/**
 * The library: `import { openLifeboat } from 'lifeboat'`. Everything that a program may use is named
 * here; nothing else is promised to stay.
 */
export { openLifeboat, type Lifeboat } from './lifeboat.ts';
export type { CallOptions, OpenOptions, ReadOptions } from './library-calls.ts';
export { AbortedError, exitCodeOf, LifeboatError, type ErrorCode } from './lib/errors.ts';
export type { EventSink, LifeboatEvent } from './lib/events.ts';
export { exitCodeOfResult } from './operations/perform.ts';
export { Secret } from './lib/secret.ts';
export type { AuditedRun, AuditRequest, AuditResult } from './operations/audit/audit.ts';
export type { EmergencyPlan } from './operations/emergency/plan.ts';
export type { EmergencyOptions, EmergencyRequest, EmergencyResult } from './operations/emergency/request.ts';
export type { EmergencyStatusRequest, EmergencyStatusResult } from './operations/emergency/status.ts';
export type {
  PitrOptions,
  PitrRequest,
  PitrResult,
  RestorePointRequest,
  RestorePointResult,
} from './operations/pitr/request.ts';
export type { BackedUpComponent, BackupOptions, BackupResult, PlannedComponent } from './operations/backup/request.ts';
export type { ComponentSizes } from './operations/component.ts';
export type {
  CleanupOptions,
  CleanupResult,
  HoldOptions,
  HoldResult,
  ReleaseOptions,
  UndeleteOptions,
  UndeleteResult,
} from './operations/cleanup/request.ts';
export type { IntegrityFinding, RepositoryAccount } from './operations/integrity/request.ts';
export type { DrilledBackup, DrilledComponent, DrillOptions, DrillResult } from './operations/drill/request.ts';
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
  RestoreOptions,
  RestoreResult,
  RestoredComponent,
  UndoRestoreOptions,
  UndoRestoreResult,
} from './operations/restore/request.ts';
export type { ExportOptions, ExportResult } from './operations/restore/export.ts';
export type {
  InitOptions,
  InitResult,
  KeysAddRequest,
  KeysChangeResult,
  KeysGenerateOptions,
  KeysGenerateResult,
  KeysListResult,
  KeysRemoveOptions,
  Lease,
  UnlockOptions,
  UnlockResult,
} from './operations/setup/request.ts';
export type { DoctorCheck, DoctorResult } from './operations/doctor/request.ts';
export type { Family, Sample } from './operations/metrics/family.ts';
export type { MetricsOptions, MetricsResult } from './operations/metrics/request.ts';
export type {
  AcknowledgeOptions,
  AcknowledgeResult,
  StatusOptions,
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
  ValidateOptions,
  ValidateRequest,
  ValidateResult,
  ValidatedBackup,
} from './operations/validate/request.ts';
export type {
  ChannelFacts,
  NotifyFlushOptions,
  NotifyFlushResult,
  NotifyListResult,
  NotifyTestOptions,
  NotifyTestResult,
} from './operations/notify/request.ts';
export type { RunbookOptions, RunbookRequest, RunbookResult } from './operations/emergency/runbook.ts';
export type {
  WalFetchOptions,
  WalFetchResult,
  WalGap,
  WalPushOptions,
  WalPushResult,
  WalStatusRequest,
  WalStatusResult,
  WalSystem,
  WalTimeline,
} from './operations/wal/request.ts';
export type { BackupState, Milestone, ProofState } from './operations/proof/state.ts';
