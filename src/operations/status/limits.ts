/** What status holds a repository against. */
import type { MonitoringConfig } from '../../config/config.ts';

export interface Limits extends MonitoringConfig {
  /** --max-age: over every target. */
  readonly maxAgeMs: number | undefined;
  /** How far back runs count. */
  readonly days: number;
}
