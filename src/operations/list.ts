/** Not written yet: the shape only. */
import type { Operation, ListRequest, ListResult } from './requests.ts';

export const list: Operation<ListRequest, ListResult> = async () => {
  throw new Error('list is not written yet');
};
