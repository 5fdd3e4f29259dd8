/** What `lifeboat init` prints. */
import type { InitResult } from '../operations/setup/request.ts';
import type { View } from './view.ts';

export const initView: View<InitResult> = {
  schema: 'lifeboat.init/v1',
  kind: 'action',
  text: (result) =>
    [
      ...(result.created.length === 0
        ? ['everything was there already; nothing was changed']
        : ['created:', ...result.created.map((each) => `  ${each}`)]),
      '',
      'For the recovery sheet (keep it where this machine cannot take it along):',
      `  repository    ${result.repository} (${result.repositoryId})`,
      ...(result.encrypted
        ? [
            `  key           ${result.keyFile ?? 'the configured one'}: copy it to a safe place now; without it ` +
              'the backups are lost',
          ]
        : ['  key           none: not encrypted']),
      ...(result.publicKey === undefined ? [] : [`  our writer    ${result.publicKey}`]),
      `  rescue.mjs    SHA-256 ${result.rescueSha256}`,
      '',
      'Next:',
      ...result.nextSteps.map((step) => `  ${step}`),
    ].join('\n'),
};
