/** What the manual says of lifeboat completion. */
import type { Manual } from '../shared/manual-page.ts';

/** See Manual. */
export const manual: Manual = {
  description: [
    'Prints a script that lets the shell complete commands and flags of this version. It reads and changes nothing; ' +
      'put its output where the shell finds it, and again after an upgrade.',
  ],
  examples: [
    { line: 'lifeboat completion bash > /etc/bash_completion.d/lifeboat', purpose: 'for bash, for all users' },
    { line: 'lifeboat completion zsh > /usr/local/share/zsh/site-functions/_lifeboat', purpose: 'for zsh' },
    { line: 'lifeboat completion fish > /etc/fish/completions/lifeboat.fish', purpose: 'for fish' },
  ],
  files: [
    ['/etc/bash_completion.d/lifeboat', 'a place where bash-completion looks'],
    ['/usr/local/share/zsh/site-functions/_lifeboat', 'a place in the fpath of zsh'],
  ],
  exits: { done: 'printed', usage: 'no such shell is known' },
  seeAlso: ['bash(1)', 'zsh(1)', 'fish(1)'],
};
