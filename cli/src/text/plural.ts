/** A count with its noun: "1 rule", "2 rules", "0 identities". */
export function plural(count: number | bigint, noun: string, many = `${noun}s`): string {
  return `${count} ${count === 1 || count === 1n ? noun : many}`;
}
