/** What operations say their needs with, and complete their requests with. */
import { resolve } from 'node:path';
import type { SecretNeeds } from '../config/parser.ts';

/** The repository and its key. */
export const repositoryNeeds: SecretNeeds = { repository: true, encryption: true };

/** Every target too; but the answer is worth having without what a vault does not give in a moment. */
export const surveyNeeds: SecretNeeds = { ...repositoryNeeds, targets: 'all', mayLackTargets: true };

/** The servers of one target too. */
export function targetNeeds({ target }: { readonly target?: string | undefined }): SecretNeeds {
  return { ...repositoryNeeds, targets: { name: target } };
}

/** A request of which all may be left out. */
export type Some<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** Without members that are undefined: those must not hide a default. */
export function given<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

/** An optional path, made absolute. */
export function pathOf(path: string | undefined, cwd: string): string | undefined {
  return path === undefined ? undefined : resolve(cwd, path);
}
