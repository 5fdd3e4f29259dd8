/** Not written yet: the shape only. */
import type { Operation, UndoRestoreRequest, UndoRestoreResult } from './requests.ts';

export const undoRestore: Operation<UndoRestoreRequest, UndoRestoreResult> = async () => {
  throw new Error('undoRestore is not written yet');
};
