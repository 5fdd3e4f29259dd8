/** Stretches of nothing but zeros, which need be neither stored nor written. */

const stepBytes = 64 * 1024;
const zeros = Buffer.alloc(stepBytes);

export function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += stepBytes) {
    const step = bytes.subarray(at, at + stepBytes);
    if (zeros.compare(step, 0, step.length, 0, step.length) !== 0) return false;
  }
  return true;
}
