/** Numbers that look like chance, and are the same in each run. */

/** Numerical Recipes' linear congruential generator: 0 to 1. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
