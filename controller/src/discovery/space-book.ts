// All spaces that count: the ones that operators declare, then those that connectors found. Each is kept as content of the one file shape
// that docs/nat.md describes, so that one reader checks them all.
import { SPACES_KEY, type SpacesRecord, type TranslationRecord } from '../store/records.js';
import { declareSpaces } from '../topology/declare.js';
import { withObserved } from '../topology/observed.js';
import { type Space, SpaceTree } from '../topology/spaces.js';

const CONNECTOR = 'connector:';

/** Key of what one connector found, in the store's spaces. */
export function connectorKey(name: string): string {
  return `${CONNECTOR}${name}`;
}

/** Where a space comes from: empty for a declared one, else the connector's name. */
export function originOf(records: ReadonlyMap<string, SpacesRecord>, space: string): string {
  for (const [key, { content }] of records) {
    if (!key.startsWith(CONNECTOR)) continue;
    if (read(content).some(({ name }) => name === space)) return key.slice(CONNECTOR.length);
  }
  return '';
}

/**
 * The tree of all spaces, with what gateways were seen to do. What an operator declares comes first: a connector's space of the same name is
 * left out, and so is its claim to a host that stands elsewhere already. Throws when what was accepted once cannot be read: to go on without
 * would show peers under wrong addresses.
 */
export function storedTree(
  records: ReadonlyMap<string, SpacesRecord>,
  translations: ReadonlyMap<string, TranslationRecord>,
): SpaceTree {
  const spaces = new Map<string, Space>();
  const placed = new Set<string>();
  const keys = [...records.keys()].sort(
    (a, b) => Number(a !== SPACES_KEY) - Number(b !== SPACES_KEY) || (a < b ? -1 : 1),
  );
  for (const key of keys) {
    for (const space of read(records.get(key)?.content ?? '')) {
      if (spaces.has(space.name)) continue;
      spaces.set(space.name, { ...space, hosts: space.hosts.filter((host) => !placed.has(host)) });
      for (const host of space.hosts) placed.add(host);
    }
  }
  if (spaces.size === 0) return SpaceTree.EMPTY;
  return withObserved(new SpaceTree([...spaces.values()]), (gatewayId) => translations.get(gatewayId)?.pairs ?? []);
}

/** Content is read once: stored content does not change under its text. */
const READ = new Map<string, readonly Space[]>();
const READ_MAX = 64;

function read(content: string): readonly Space[] {
  const known = READ.get(content);
  if (known !== undefined) return known;
  const { tree, problems } = declareSpaces('spaces', content);
  if (tree === undefined) throw new Error(`Cannot read the stored spaces: ${problems[0]?.message ?? ''}`);
  if (READ.size >= READ_MAX) READ.clear();
  const spaces = tree.all();
  READ.set(content, spaces);
  return spaces;
}
