/** Not written yet: the shape only. */
import type { Operation, ExportRequest, ExportResult } from './requests.ts';

export const exportBackup: Operation<ExportRequest, ExportResult> = async () => {
  throw new Error('exportBackup is not written yet');
};
