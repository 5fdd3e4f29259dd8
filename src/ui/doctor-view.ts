/** What `lifeboat doctor` prints. */
import type { View } from './view.ts';
import type { DoctorResult } from '../operations/doctor/request.ts';

export const doctorView: View<DoctorResult> = {
  schema: 'lifeboat.doctor/v1',
  kind: 'query',
  text: ({ checks }, paint) => {
    const marks = { ok: paint.green('ok  '), warn: paint.yellow('warn'), fail: paint.red('FAIL') };
    return checks
      .map(
        ({ ok, name, message, hint }) =>
          `${marks[ok]}  ${name}: ${message}${ok === 'ok' || hint === undefined ? '' : `\n      hint: ${hint}`}`,
      )
      .join('\n');
  },
};
