/** What the accounting of a repository comes to: findings, each with its weight, and what is counted only. */
import type { IntegrityFinding } from './request.ts';

/** So many objects are named of each kind of finding. */
const maxNamed = 1000;

export class Ledger {
  readonly #findings: IntegrityFinding[] = [];
  readonly #counts = new Map<string, number>();

  /** Something is lost, changed or cannot be explained. */
  fault(kind: IntegrityFinding['kind'], object: string, problem: string, backups: readonly string[]): void {
    this.#add({ kind, weight: 'fault', object, problem, backups });
  }

  /** Nothing is lost, but somebody should look. */
  warning(kind: IntegrityFinding['kind'], object: string, problem: string, backups: readonly string[] = []): void {
    this.#add({ kind, weight: 'warning', object, problem, backups });
  }

  findings(): IntegrityFinding[] {
    return this.#findings.toSorted((a, b) => (a.object < b.object ? -1 : a.object > b.object ? 1 : 0));
  }

  /** All there were, by kind. */
  counts(): Record<string, number> {
    return Object.fromEntries([...this.#counts].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  #add(finding: IntegrityFinding): void {
    const count = (this.#counts.get(finding.kind) ?? 0) + 1;
    this.#counts.set(finding.kind, count);
    if (count <= maxNamed) this.#findings.push(finding);
  }
}
