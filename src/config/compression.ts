/** Method and level in one text, as the environment and flags have them. */
import { didYouMean } from '../lib/suggest.ts';

/** In the order that messages name them. */
export const compressionMethods = ['none', 'gzip', 'zstd', 'lz4'] as const;

/** A configuration's `compression`; whether the method has this level is checked with the document. */
export interface CompressionSettings {
  readonly method: (typeof compressionMethods)[number];
  readonly level?: number;
}

/** The level where none is named; lz4 and none have no levels. */
export const defaultLevels = { none: 0, gzip: 6, zstd: 3, lz4: 0 } as const;

/** `zstd:3` or `none`; else an Error whose message goes on from the text's name. */
export function parseCompression(text: string): CompressionSettings | Error {
  const [, word = '', level] = /^([^:]*)(?::(\d{1,2}))?$/.exec(text) ?? [];
  const method = compressionMethods.find((each) => each === word);
  if (method === undefined) {
    const nearest = didYouMean(text.replace(/:.*/, ''), compressionMethods);
    return new Error(`is not a method and level such as zstd:3${nearest}`);
  }
  return level === undefined ? { method } : { method, level: Number(level) };
}
