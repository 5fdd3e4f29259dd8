/** Several notices as one. Pure. */
import { severities } from '../../config/schema-notifications.ts';
import type { Notice } from './notice.ts';

/** The only one as it is. The list must not be empty. */
export function digestOf(notices: readonly Notice[]): Notice {
  const [first, ...others] = notices;
  if (first === undefined) throw new TypeError('no notice');
  if (others.length === 0) return first;
  const worst = notices.reduce((a, b) => (severities.indexOf(b.severity) > severities.indexOf(a.severity) ? b : a));
  const bad = notices.filter(({ outcome }) => outcome === 'failure').length;
  const { id, at, host } = first;
  return {
    id,
    at,
    host,
    event: 'digest',
    outcome: bad > 0 ? 'failure' : 'recovery',
    severity: worst.severity,
    title: `${notices.length} messages, ${bad} of what is wrong`,
    text: notices.map(({ at, title, text }) => `${at} ${title}: ${text}`).join('\n'),
    next: 'lifeboat status',
  };
}
