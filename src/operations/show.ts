/** Not written yet: the shape only. */
import type { Operation, ShowRequest, ShowResult } from './requests.ts';

export const show: Operation<ShowRequest, ShowResult> = async () => {
  throw new Error('show is not written yet');
};
