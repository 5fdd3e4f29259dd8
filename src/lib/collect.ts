/**
 * Compressing, sealing and decompressing leave buffers behind that V8 sees only by their small handles,
 * so it is in no hurry to collect them. A young collection every 8 MiB (about 1 ms) keeps memory
 * bounded whatever the size of what is backed up or restored.
 */

const everyBytes = 8 * 1024 * 1024;
let leftBytes = everyBytes;

/**
 * Gives a buffer's memory back at once: it is empty from then on. For one that nobody will look at again; a part of a
 * larger one is left to the collector, and counted.
 */
export function discard({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
  else countGarbage(byteLength);
}

/** Counts bytes of buffers that are done with. The entry script asks Node for `gc`; without it this does nothing. */
export function countGarbage(bytes: number): void {
  leftBytes -= bytes;
  if (leftBytes > 0) return;
  leftBytes = everyBytes;
  globalThis.gc?.({ type: 'minor', execution: 'sync' });
}
