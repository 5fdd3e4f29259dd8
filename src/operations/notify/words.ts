/** Text that leaves this host: without secrets and connection strings, and safe to show wherever it is shown. */
import { printable } from '../../lib/printable.ts';

/** The text on one line, at most so many characters. */
export function oneLine(text: string, mostCharacters: number): string {
  const line = printable(text.replaceAll(/\s*\n\s*/g, ' ').trim());
  return line.length <= mostCharacters ? line : `${[...line].slice(0, mostCharacters - 1).join('')}…`;
}

/**
 * Messages of ours hold no secrets; but those of servers and programs are told too, and whatever they quote. Places
 * of repositories stay, unless they hold a user.
 */
export function withoutSecrets(text: string): string {
  return text
    .replaceAll(/\b([a-z][a-z0-9+.-]*):\/\/[^\s"'<>]+/gi, (url, scheme: string) =>
      /^(file|s3)$/i.test(scheme) && !url.includes('@') ? url : `${scheme}://…`,
    )
    .replaceAll(connectionWords, '$1=…')
    .replaceAll(/AGE-SECRET-KEY-1[0-9A-Z]+/gi, 'AGE-SECRET-KEY-…')
    .replaceAll(/\bwhsec_[A-Za-z0-9+/=]+/g, 'whsec_…')
    .replaceAll(/\b(?:AKIA|ASIA)[0-9A-Z]{12,}\b/g, '…')
    .replaceAll(/\b[0-9a-f]{64,}\b/gi, (hex) => `${hex.slice(0, 8)}…`);
}

const names = 'password|passwd|passphrase|secret|token|apikey|api_key|user|host|hostaddr|port|dbname|sslkey';
const connectionWords = new RegExp(`\\b(${names})=('[^']*'|"[^"]*"|[^\\s,;]+)`, 'gi');
