import { binding } from './binding.js';
import { CAPABILITIES } from './kernel.js';

/**
 * Replaces this process by `path`, which has no other capabilities than `keep` (names as effectiveCapabilities gives them), nor has anything
 * that it will run: the bounding set is narrowed and no_new_privs is set. For uid 0; process id, open standard streams and working
 * directory stay. Does not return. Throws RF_KERNEL, then possibly with fewer capabilities than before.
 *
 * A process that only gave them up itself would keep them in the threads that Node has by then.
 */
export function execBounded(
  keep: Iterable<string>,
  path: string,
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): never {
  let mask = 0n;
  for (const name of keep) {
    const bit = CAPABILITIES.indexOf(name);
    if (bit < 0)
      throw new RangeError(`Cannot keep capability ${name}: found an unknown name, wanted one such as CAP_BPF`);
    mask |= 1n << BigInt(bit);
  }
  const variables = Object.entries(environment).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  return binding().execBounded(Number(mask & 0xffff_ffffn), Number(mask >> 32n), path, [...argv], variables);
}
