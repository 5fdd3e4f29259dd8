/** What whoever verifies a bundle of evidence reads first. */

/** `from` and `to`: days, as 2026-01-31. */
export function bundleReadme(from: string, to: string, leftOut: readonly string[]): string {
  return `EVIDENCE OF BACKUPS, ${from} TO ${to}

In records/ lie, byte for byte as they are in the repository, the records of this time:

  manifests/   what each backup holds, when and where it was made
  evidence/    what was proven of a backup, when and how
  notes/       what was held, released, acknowledged, moved to trash or taken back
  schedules/   what was to run, and what became of each attempt
  audit/       who backed up, restored, exported and deleted what: one chain for each host
  trash/       backups that were deleted and can still be taken back

Each is signed (Ed25519) by the host that wrote it. report.json and report.html, where they are there, were made from
these and other records; they are not signed.

TO VERIFY ALL OF IT

1. Get the public keys of the hosts from their operators, by another way than this file: \`lifeboat init\` printed them
   as "our writer", and configurations have them as encryption.trustedKeys.
2. Read verify.mjs, which needs Node.js 18 or newer and nothing else, and run it with these keys:

    node verify.mjs <key> [<key>...]

TO VERIFY ONE RECORD WITH NOTHING BUT A SHELL AND OPENSSL

    f=records/<path>.json
    line=$(grep -n '^  "signature": {' "$f" | tail -n 1 | cut -d: -f1)
    key=$(tail -n 7 "$f" | sed -n 's/^    "key": "\\(.*\\)",$/\\1/p')
    tail -n 7 "$f" | sed -n 's/^    "value": "\\(.*\\)"$/\\1/p' | base64 -d >signature
    head -n $((line - 1)) "$f" >signed
    printf -- '-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEA%s\\n-----END PUBLIC KEY-----\\n' "$key" >key.pem
    openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in signed -sigfile signature

and compare "$key" with those of the operators.

WHAT THIS DOES NOT SHOW

A record that somebody took away whole, before this bundle was made, is missed only in audit/ (its numbers have no gap),
and by whoever has the repository. The "seal" of a record can be checked only with the repository's key. Details of
audit records (arguments, messages) are encrypted.
${leftOutText(leftOut)}`;
}

function leftOutText(keys: readonly string[]): string {
  if (keys.length === 0) return '';
  return `\nLEFT OUT, SINCE NO RECORD IS SO LARGE\n\n${keys.map((key) => `  ${key}\n`).join('')}`;
}
