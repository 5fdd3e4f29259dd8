/** Sizes and numbers for people. */

const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** 1536 → "1.5 KiB". */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1023.95 && unit < names.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${names[unit]}`;
}

/** "1 table", "2,000 tables"; `many` where an s does not do. */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en-US')} ${number === 1 ? one : many}`;
}

/** `500MB`, `2GB`, `1.5GiB` in bytes; a bare number counts 10^6 bytes. Undefined: no size, or less than 1 MB. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(|[KMGT]i?B)$/i.exec(text);
  const unit = (match?.[2] ?? '').toUpperCase();
  const power = ['K', 'M', 'G', 'T'].indexOf(unit === '' ? 'M' : unit.charAt(0)) + 1;
  const bytes = Math.round(Number(match?.[1]) * (unit.includes('I') ? 1024 : 1000) ** power);
  return match === null || bytes < 1_000_000 ? undefined : bytes;
}
