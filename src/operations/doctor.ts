/** Not written yet: the shape only. */
import type { Operation, DoctorRequest, DoctorResult } from './requests.ts';

export const doctor: Operation<DoctorRequest, DoctorResult> = async () => {
  throw new Error('doctor is not written yet');
};
