/** When slots run: by which clock, and how long is waited between attempts. */

/** Clock and pauses, for tests. */
export interface SlotTimes {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Before the second, third, … attempt; the last one counts for those after it. */
  readonly pausesMs: readonly number[];
}

export const slotTimes: SlotTimes = { now: () => Date.now(), pausesMs: [60_000, 300_000, 1_500_000] };
