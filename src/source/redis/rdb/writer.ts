/** The pieces of an RDB file, for one that is put together from DUMP payloads. */

/** `REDIS0010`, or `VALKEY080` from Valkey 9 on. */
export function headerOf(version: number): Buffer {
  return Buffer.from(
    version >= 80 ? `VALKEY${String(version).padStart(3, '0')}` : `REDIS${String(version).padStart(4, '0')}`,
    'latin1',
  );
}

export function auxOf(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([250]), stringOf(Buffer.from(name)), stringOf(Buffer.from(value))]);
}

/** Selects a database and gives the server a hint of its size. */
export function databaseOf(db: number, keys: number, expires: number): Buffer {
  return Buffer.concat([Buffer.from([254]), lengthOf(db), Buffer.from([251]), lengthOf(keys), lengthOf(expires)]);
}

/** What stands before a key's value: expiry (ms since 1970), type, key. */
export function keyOf(key: Uint8Array, typeCode: number, expireAtMs: number | undefined): Buffer {
  const length = lengthOf(key.length);
  const expire = expireAtMs === undefined ? 0 : 9;
  const out = Buffer.allocUnsafe(expire + 1 + length.length + key.length);
  if (expireAtMs !== undefined) {
    out[0] = 252;
    out.writeBigInt64LE(BigInt(expireAtMs), 1);
  }
  out[expire] = typeCode;
  out.set(length, expire + 1);
  out.set(key, expire + 1 + length.length);
  return out;
}

/** The byte before the checksum. */
export const endOpcode = Buffer.from([255]);

function stringOf(bytes: Uint8Array): Buffer {
  return Buffer.concat([lengthOf(bytes.length), bytes]);
}

function lengthOf(length: number): Buffer {
  if (length < 64) return Buffer.from([length]);
  if (length < 16_384) return Buffer.from([64 | (length >> 8), length & 255]);
  const wide = length > 0xffffffff;
  const out = Buffer.alloc(wide ? 9 : 5);
  out[0] = wide ? 0x81 : 0x80;
  if (wide) out.writeBigUInt64BE(BigInt(length), 1);
  else out.writeUInt32BE(length, 1);
  return out;
}
