// The maps of bpf/lib/maps.h. Every object file declares all of them; the loader makes each once, pins it under its name and
// gives it to the other objects (reuseMap).
import type { Layout } from './layout.js';
import {
  CIDR,
  CIDR_KEY,
  COUNTER,
  DENIED,
  ENDPOINT,
  ENDPOINT_KEY,
  FAILSAFE_KEY,
  FLOW,
  FLOW_KEY,
  FRAG,
  FRAG_KEY,
  GROUP,
  GROUP_KEY,
  LANE_STATS,
  NAT,
  NAT_KEY,
  OWNER,
  PEER,
  PEER_KEY,
  PORT,
  PORT_KEY,
  SHARED_KEY,
  STATE,
  TAG_KEY,
  TAG_SEEN,
  TAG_SEEN_KEY,
  TAGS,
} from './structs.js';

export interface MapFace {
  readonly name: string;
  /** hash, lpm: written by user space. lru: written by the kernel. cpu-array: one value per possible CPU. */
  readonly type: 'hash' | 'lpm' | 'lru' | 'array' | 'cpu-array' | 'ring-array' | 'socket';
  readonly keySize: number;
  readonly valueSize: number;
  /** Absent where key or value is a bare number: index (u32) or identity, rule … (u32), counter (u64). */
  readonly key?: Layout;
  readonly value?: Layout;
  /** Entries when the configuration says nothing. 0: set by the loader from the number of possible CPUs. */
  readonly defaultEntries: number;
  /** What it holds and who may change its size. */
  readonly sized: 'config' | 'cpus' | 'fixed';
  /** Its content is policy: rendered from desired state and compared after a restart. */
  readonly policy: boolean;
}

const of = (
  name: string,
  type: MapFace['type'],
  key: Layout | number,
  value: Layout | number,
  defaultEntries: number,
  sized: MapFace['sized'],
  policy: boolean,
): MapFace => ({
  name,
  type,
  keySize: typeof key === 'number' ? key : key.size,
  valueSize: typeof value === 'number' ? value : value.size,
  key: typeof key === 'number' ? undefined : key,
  value: typeof value === 'number' ? undefined : value,
  defaultEntries,
  sized,
  policy,
});

/**
 * All are pinned. rf_state[0] must hold generation 1 or more before anything is attached. rf_events and rf_denies take one ring
 * buffer per possible CPU (key: CPU), put in by the loader; rf_lanes has CPUs × Lane.COUNT entries.
 */
export const MAPS = {
  rf_endpoints: of('rf_endpoints', 'hash', ENDPOINT_KEY, ENDPOINT, 16_384, 'config', true),
  rf_peers: of('rf_peers', 'hash', PEER_KEY, PEER, 262_144, 'config', true),
  /** Value: one identity, u32. */
  rf_shared: of('rf_shared', 'hash', SHARED_KEY, 4, 65_536, 'config', true),
  rf_cidrs: of('rf_cidrs', 'lpm', CIDR_KEY, CIDR, 65_536, 'config', true),
  rf_nat: of('rf_nat', 'hash', NAT_KEY, NAT, 65_536, 'config', true),
  rf_groups: of('rf_groups', 'hash', GROUP_KEY, GROUP, 262_144, 'config', true),
  rf_ports: of('rf_ports', 'lpm', PORT_KEY, PORT, 262_144, 'config', true),
  /** Value: u32, 1. */
  rf_failsafe: of('rf_failsafe', 'lpm', FAILSAFE_KEY, 4, 1_024, 'config', true),
  rf_flows: of('rf_flows', 'lru', FLOW_KEY, FLOW, 262_144, 'config', false),
  rf_denied: of('rf_denied', 'lru', FLOW_KEY, DENIED, 16_384, 'config', false),
  rf_frags: of('rf_frags', 'lru', FRAG_KEY, FRAG, 8_192, 'config', false),
  rf_sockets: of('rf_sockets', 'socket', 4, OWNER, 0, 'fixed', false),
  rf_state: of('rf_state', 'array', 4, STATE, 1, 'fixed', false),
  /** Key 0; absent: tags are off. */
  rf_tags: of('rf_tags', 'hash', 4, TAGS, 1, 'fixed', false),
  /** Key: epoch % TAG_KEYS, u32. */
  rf_tag_keys: of('rf_tag_keys', 'hash', 4, TAG_KEY, 4, 'fixed', false),
  rf_tag_seen: of('rf_tag_seen', 'lru', TAG_SEEN_KEY, TAG_SEEN, 32_768, 'config', false),
  rf_events: of('rf_events', 'ring-array', 4, 4, 0, 'cpus', false),
  rf_denies: of('rf_denies', 'ring-array', 4, 4, 0, 'cpus', false),
  rf_lanes: of('rf_lanes', 'array', 4, LANE_STATS, 0, 'cpus', false),
  rf_counters: of('rf_counters', 'cpu-array', 4, COUNTER, 204, 'fixed', false),
  /** Value: u64. */
  rf_errors: of('rf_errors', 'cpu-array', 4, 8, 17, 'fixed', false),
  /** Value: u64. */
  rf_tag_counts: of('rf_tag_counts', 'cpu-array', 4, 8, 11, 'fixed', false),
} as const satisfies Readonly<Record<string, MapFace>>;

export type MapName = keyof typeof MAPS;

/** Bytes of one CPU's ring when the configuration says nothing; powers of two, multiples of the page size. */
export const DEFAULT_RING_BYTES = { flows: 1_048_576, denies: 262_144 } as const;

/** Ports of rf_ports are host order in PORT_KEY; these give prefixlen for "any protocol", "whole protocol" and n leading port bits. */
export const PORT_PREFIX = { group: 32, protocol: 40, port: (bits: number): number => 48 + bits } as const;
/** prefixlen of an rf_failsafe entry for a prefix of the mapped 16-byte address. */
export const failsafePrefix = (mappedLength: number): number => 32 + mappedLength;
