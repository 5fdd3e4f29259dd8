/** What a schedule runs, as its runs are told of. */
import type { Schedule } from '../../config/config.ts';

/** The command, and the parts of the target that it is for; empty: all. */
export function commandOf({ type }: Schedule): { readonly command: string; readonly parts: readonly string[] } {
  switch (type) {
    case 'full':
      return { command: 'backup', parts: [] };
    case 'database':
    case 'redis':
    case 'files':
    case 'base':
      return { command: 'backup', parts: [type] };
    case 'drill-pitr':
      return { command: 'drill', parts: [] };
    case 'validate':
    case 'integrity':
    case 'drill':
    case 'cleanup':
    case 'report':
    case 'status':
      return { command: type, parts: [] };
  }
}
