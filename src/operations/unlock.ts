/** Not written yet: the shape only. */
import type { Operation, UnlockRequest, UnlockResult } from './requests.ts';

export const unlock: Operation<UnlockRequest, UnlockResult> = async () => {
  throw new Error('unlock is not written yet');
};
