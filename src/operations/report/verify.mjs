/**
 * Verifies a bundle of evidence that `lifeboat report --bundle` wrote. Needs Node.js 18 or newer and nothing else:
 *
 *     node verify.mjs [<public key of a writer>...]
 *
 * in the folder that the bundle was unpacked into. Says what it checked; exit code 0 if all of it holds, else 1.
 * Whose keys to believe is not for this file to say: name those that you were given by another way.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const believed = new Set(process.argv.slice(2));
const problems = [];
const writers = new Map();

const files = readdirSync('.', { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name).replace(/^\.\//, ''))
  .filter((path) => path !== 'SHA256SUMS');
checkSums(files);

const records = new Map();
for (const path of files.filter((each) => each.startsWith('records/')).sort()) {
  const record = readRecord(path);
  if (record !== undefined) records.set(path.slice('records/'.length), record);
}
const chains = checkChains();
const proofs = checkEvidence();

console.log(`${files.length} files have the checksums of SHA256SUMS, which says nothing of who wrote them`);
for (const [key, count] of writers) {
  const word = believed.has(key) ? 'believed' : 'NOT among the keys that you named';
  console.log(`${count} records are signed by ${key}: ${word}`);
  if (!believed.has(key)) problems.push(`nobody vouches for the writer ${key}`);
}
console.log(`${chains} chains of the audit log have no gap and no changed record`);
console.log(`${proofs} pieces of evidence are of the backups in this bundle`);
for (const problem of problems) console.log(`PROBLEM: ${problem}`);
console.log(problems.length === 0 ? 'all of it holds' : `${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;

function checkSums(present) {
  const sums = new Map(
    readFileSync('SHA256SUMS', 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => [line.slice(66), line.slice(0, 64)]),
  );
  for (const path of present) {
    const sum = createHash('sha256').update(readFileSync(path)).digest('hex');
    if (sums.get(path) !== sum) problems.push(`${path} is not what SHA256SUMS says`);
    sums.delete(path);
  }
  for (const path of sums.keys()) problems.push(`${path} is missing`);
}

/** The signature covers every byte before its line, the one after it is the seal's. */
function readRecord(path) {
  const bytes = readFileSync(path);
  const text = bytes.toString('latin1');
  const end =
    /\n  "signature": \{\n    "key": "([^"]+)",\n    "value": "([^"]+)"\n  \},\n  "seal": "([0-9a-f]{64})"\n\}\n$/;
  const [, key, value, seal] = end.exec(text) ?? [];
  if (key === undefined) {
    problems.push(`${path} is not signed`);
    return undefined;
  }
  const signed = bytes.subarray(0, end.exec(text).index + 1);
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(key, 'base64')]);
  const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' });
  if (!verify(null, signed, publicKey, Buffer.from(value, 'base64'))) {
    problems.push(`${path} is not what its writer signed`);
    return undefined;
  }
  writers.set(key, (writers.get(key) ?? 0) + 1);
  const members = JSON.parse(bytes.toString('utf8'));
  const name = members.object ?? `${path.split('/')[1]}/${members.id}.json`;
  if (`records/${name}` !== path) problems.push(`${path} was written as ${name}`);
  return { ...members, seal };
}

/** Each record of a host names the seal of the one before it. */
function checkChains() {
  const hosts = new Map();
  for (const [object, record] of records) {
    const [, host, number] = /^audit\/([^/]+)\/(\d{20})\.json$/.exec(object) ?? [];
    if (host !== undefined) hosts.set(host, [...(hosts.get(host) ?? []), { number: Number(number), ...record }]);
  }
  for (const [host, chain] of hosts) {
    chain.sort((a, b) => a.number - b.number);
    for (const [n, record] of chain.entries()) {
      const before = chain[n - 1];
      if (before === undefined) continue;
      if (record.number !== before.number + 1) problems.push(`audit/${host}: ${before.number + 1} is missing`);
      else if (record.before !== before.seal) problems.push(`audit/${host}: ${record.number} follows another record`);
    }
  }
  return hosts.size;
}

function checkEvidence() {
  let count = 0;
  for (const [object, record] of records) {
    if (!object.startsWith('evidence/')) continue;
    const manifest = records.get(`manifests/${record.backup}.json`) ?? records.get(`trash/${record.backup}.json`);
    if (manifest === undefined) continue;
    if (manifest.seal === record.manifestSeal) count++;
    else problems.push(`${object} was written of another backup than the one in this bundle`);
  }
  return count;
}
