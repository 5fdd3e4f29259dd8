/** Not written yet: the shape only. */
import type { Operation, RestoreRequest, RestoreResult } from './requests.ts';

export const restore: Operation<RestoreRequest, RestoreResult> = async () => {
  throw new Error('restore is not written yet');
};
