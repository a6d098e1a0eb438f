// What names may look like, and the dimensions that exist without being declared.

/** Dimensions every policy has. A file may declare one again to give it permitted values. */
export const DEFAULT_DIMENSIONS = ['role', 'env', 'app', 'loc', 'line-of-business', 'user-group'] as const;

/** The dimension that follows logins, by the rules of `userGroups`. */
export const USER_GROUP_DIMENSION = 'user-group';

/** Names of users and groups as hosts have them: a directory's may hold spaces, backslashes and @. */
export const ACCOUNT_PATTERN = /^[^\p{Cc}:,]{1,256}$/u;
export const ACCOUNT_WANTED = 'a user or group name: 1 to 256 characters without colons, commas or control characters';

/** Names of dimensions, groups, lists, services: also Kubernetes label keys fit. */
export const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$/;
export const NAME_WANTED = 'a letter or digit, then letters, digits and . _ / - (200 at most)';

/** Ids of rules, rule sets, modes, workloads. */
export const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$/;
export const ID_WANTED = 'a letter or digit, then letters, digits and . _ : / @ - (200 at most)';

/** Label values: Kubernetes allows the empty one. */
export const VALUE_PATTERN = /^[^\p{Cc}]{0,253}$/u;
export const VALUE_WANTED = 'up to 253 characters without control characters';

/** A list of names for an error text: the first few, then how many more. */
export function someOf(names: Iterable<string>): string {
  const all = [...names].sort();
  if (all.length === 0) return 'none is declared';
  const shown = all.slice(0, 8).join(', ');
  return all.length > 8 ? `one of ${shown} and ${all.length - 8} more` : `one of ${shown}`;
}
