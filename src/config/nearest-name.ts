/**
 * The known name that was probably meant.
 *
 * @param wanted what was written
 * @param known the names that exist
 * @returns the name fewest edits away (insert, delete, replace, swap neighbours);
 *   undefined when even that one is more than a third of its length away
 * @example
 * nearestName("kafka-boker", ["kafka-broker", "kafka-topic"]); // "kafka-broker"
 */
export function nearestName(wanted: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestEdits = Infinity;
  for (const name of known) {
    const edits = countEdits(wanted.toLowerCase(), name.toLowerCase());
    if (edits < bestEdits && edits <= Math.max(1, Math.floor(name.length / 3))) {
      best = name;
      bestEdits = edits;
    }
  }
  return best;
}

/** Optimal string alignment distance, three rows at a time. */
function countEdits(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let edits = Math.min(replace, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(edits);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
