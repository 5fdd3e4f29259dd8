/**
 * When the certificates end that are configured for a target: those that we show to its servers, and those that theirs
 * are held against. A backup that fails for one of them could have been foreseen.
 */
import { X509Certificate } from 'node:crypto';
import type { Config, TargetConfig } from '../../config/config.ts';
import { readAtMost } from '../../lib/bounded-read.ts';

export interface SurveyedCertificate {
  readonly target: string;
  readonly path: string;
  /** Milliseconds since 1970. */
  readonly endsMs: number;
}

/** Larger than any bundle that a distribution ships. */
const mostBytes = 4 * 1024 * 1024;

/** Files that cannot be read are told where they are used. `only`: of this target. */
export async function surveyCertificates(
  { targets }: Pick<Config, 'targets'>,
  only: string | undefined,
): Promise<SurveyedCertificate[]> {
  const found: SurveyedCertificate[] = [];
  for (const target of targets.values()) {
    if (only !== undefined && target.name !== only) continue;
    for (const path of certificateFiles(target)) {
      const endsMs = await endOf(path);
      if (endsMs !== undefined) found.push({ target: target.name, path, endsMs });
    }
  }
  return found;
}

function certificateFiles({ postgres, redis }: TargetConfig): string[] {
  const parameters = postgres === undefined ? undefined : parametersOf(postgres.url);
  const of = [redis?.certFile, redis?.caFile, parameters?.get('sslcert'), parameters?.get('sslrootcert')];
  return [...new Set(of.flatMap((path) => (path?.startsWith('/') ? [path] : [])))];
}

/** Undefined: the URL was not to be had. */
function parametersOf(url: NonNullable<TargetConfig['postgres']>['url']): ReadonlyMap<string, string> | undefined {
  try {
    return url.parameters;
  } catch {
    return undefined;
  }
}

/** When none of it is good any more: of a bundle, the last one. */
async function endOf(path: string): Promise<number | undefined> {
  try {
    const text = (await readAtMost(path, mostBytes)).toString('latin1');
    const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    const ends = blocks.map((block) => Date.parse(new X509Certificate(block).validTo));
    return ends.length === 0 ? undefined : Math.max(...ends);
  } catch {
    return undefined;
  }
}
