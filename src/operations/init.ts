/** Not written yet: the shape only. */
import type { Operation, InitRequest, InitResult } from './requests.ts';

export const init: Operation<InitRequest, InitResult> = async () => {
  throw new Error('init is not written yet');
};
