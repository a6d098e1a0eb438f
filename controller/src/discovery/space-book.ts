// All spaces that count: the ones that operators declare, then those that connectors found. Each is kept as content of the one file shape
// that docs/nat.md describes, so that one reader checks them all.
import { addressHex } from '@ringfence/proto/address.js';
import { SPACES_KEY, type SpacesRecord, type TranslationRecord } from '../store/records.js';
import type { StateTransaction } from '../store/state-store.js';
import { declareSpaces } from '../topology/declare.js';
import { withObserved } from '../topology/observed.js';
import { type SourceTranslation, type Space, SpaceTree } from '../topology/spaces.js';

const CONNECTOR = 'connector:';

/** Key of what one connector found, in the store's spaces. */
export function connectorKey(name: string): string {
  return `${CONNECTOR}${name}`;
}

/** Where a space comes from: empty for a declared one, else the connector's name. */
export function originOf(records: ReadonlyMap<string, SpacesRecord>, space: string): string {
  for (const [key, { content }] of records) {
    if (!key.startsWith(CONNECTOR)) continue;
    if (read(content).has(space)) return key.slice(CONNECTOR.length);
  }
  return '';
}

/** Contents that are remembered: connections that were opened under them keep who they are. */
const FORMER_MAX = 4;

/** Puts content in force, and remembers the one before. Nothing when it is the same. */
export function putSpaces(tx: StateTransaction, key: string, content: string, nowMs: number): void {
  const before = tx.get('spaces', key);
  if (before?.content === content) return;
  const former = before === undefined ? [] : [before.content, ...(before.former ?? [])];
  tx.set('spaces', key, {
    content,
    changedMs: nowMs,
    former: former.filter((each) => each !== content).slice(0, FORMER_MAX),
  });
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
    const former = formerSources(records.get(key)?.former ?? []);
    for (const space of read(records.get(key)?.content ?? '').values()) {
      if (spaces.has(space.name)) continue;
      const hosts = space.hosts.filter((host) => !placed.has(host));
      const formerly = former(space);
      spaces.set(space.name, { ...space, hosts, ...(formerly.length > 0 && { formerSources: formerly }) });
      for (const host of space.hosts) placed.add(host);
    }
  }
  if (spaces.size === 0) return SpaceTree.EMPTY;
  return withObserved(new SpaceTree([...spaces.values()]), (gatewayId) => translations.get(gatewayId));
}

/** How a space was translated by earlier contents, while it lay in the same one; what it says now left out. */
function formerSources(contents: readonly string[]): (now: Space) => (readonly SourceTranslation[])[] {
  const earlier = contents.map((content) => spacesIn(content) ?? NOTHING);
  return (now) => {
    const found = new Map<string, readonly SourceTranslation[]>();
    for (const spaces of earlier) {
      const then = spaces.get(now.name);
      if (then !== undefined && then.parent === now.parent) found.set(sourcesText(then), then.sources);
    }
    found.delete(sourcesText(now));
    return [...found.values()];
  };
}

/** By space, as long as its content is remembered: all of them are compared whenever a gateway tells something. */
const SOURCES = new WeakMap<Space, string>();

function sourcesText(space: Space): string {
  const known = SOURCES.get(space);
  if (known !== undefined) return known;
  const text = JSON.stringify(space.sources, (_, value: unknown) =>
    value instanceof Uint8Array ? addressHex(value) : value,
  );
  SOURCES.set(space, text);
  return text;
}

/** Content, by the names of its spaces, is read once: stored content does not change under its text. */
const READ = new Map<string, ReadonlyMap<string, Space>>();
const READ_MAX = 64;
const NOTHING: ReadonlyMap<string, Space> = new Map();

function read(content: string): ReadonlyMap<string, Space> {
  const spaces = spacesIn(content);
  if (spaces !== undefined) return spaces;
  const { problems } = declareSpaces('spaces', content);
  throw new Error(`Cannot read the stored spaces: ${problems[0]?.message ?? ''}`);
}

/** Undefined when it cannot be read. */
function spacesIn(content: string): ReadonlyMap<string, Space> | undefined {
  const known = READ.get(content);
  if (known !== undefined) return known;
  const all = declareSpaces('spaces', content).tree?.all();
  if (all === undefined) return undefined;
  const spaces = new Map(all.map((space) => [space.name, space]));
  if (READ.size >= READ_MAX) READ.clear();
  READ.set(content, spaces);
  return spaces;
}
