// Numbers of bpf/lib/abi.h and limits.h that have no proto enum. Compared through BTF by the ABI test (limits: through the
// programs' read-only data). Verdict, Reason, Mode, Direction and EventKind come from proto/gen/ringfence/v1/common.

/** Part of the pin path: <pinPath>/v<ABI_VERSION>/. */
export const ABI_VERSION = 1;

export const EndpointKind = { IFINDEX: 1, CGROUP: 2 } as const;
/** Bits of rf_endpoint.flags. */
export const EndpointFlag = { ISOLATED: 1, REJECT: 2, HOST: 4, SKIP: 8, CONTAINERS: 16 } as const;
/** Bits of rf_peer.flags. SHARED, UNMANAGED and HOST are written by user space; MAPPED is not. */
export const PeerFlag = { SHARED: 1, UNMANAGED: 2, MAPPED: 4, HOST: 8, FORMER: 16 } as const;
export const GroupKind = { IDENTITY: 1, CLASS: 2 } as const;
export const Action = { ALLOW: 1, DENY: 2 } as const;
/** Bits of rf_port.constraints. */
export const Constraint = { ENCRYPTED: 1, AUTHENTICATED: 2 } as const;
/** Bits of rf_flow.flags. */
export const FlowFlag = { CUT: 1, ENDED: 2, SHARED: 4, MAPPED: 8, TAGGED: 16, LATE: 32, TOLD: 64 } as const;
/** Bits of rf_event.flags. */
export const EventFlag = { SHARED: 1, MAPPED: 2, FROM_CONNECT: 4, CUT: 8, SWEPT: 16, TAGGED: 32, LATE: 64 } as const;
/** Bits of rf_tags.flags. */
export const TagsFlag = { WRITE: 1, ANYWHERE: 2, VERIFY: 4 } as const;
/** What a tag is bound to: bit 4 of rf_tag_option.control. */
export const TagBound = { ADDRESS: 0, IDENTITY: 1 } as const;
/** Index of rf_tag_counts. */
export const TagCount = {
  WRITTEN: 0,
  NO_ROOM: 1,
  NO_KEY: 2,
  VALID: 3,
  ABSENT: 4,
  INVALID: 5,
  EXPIRED: 6,
  EPOCH: 7,
  REPLAYED: 8,
  NOT_BEHIND: 9,
  FOREIGN: 10,
  COUNT: 11,
} as const;
/** TCP option number and experiment id of a tag. */
export const TAG_KIND = 253;
export const TAG_EXID = 0x5246;
/** Entries of rf_tag_keys; an epoch's key is at epoch % TAG_KEYS. */
export const TAG_KEYS = 4;
/** Index of the ring arrays in RingOptions.lanes and, per CPU, in rf_lanes. */
export const Lane = { FLOWS: 0, DENIES: 1, COUNT: 2 } as const;
/** Index of rf_errors. */
export const HelperError = {
  STATE: 0,
  FLOW_INSERT: 1,
  FRAG_INSERT: 2,
  DENIED_INSERT: 3,
  OWNER: 4,
  RING: 5,
  LANE: 6,
  REJECT_RESIZE: 7,
  REJECT_WRITE: 8,
  REJECT_SEND: 9,
  SEQ_WRITE: 10,
  COMM: 11,
  COUNTER: 12,
  TAG_WRITE: 13,
  TAG_SEEN: 14,
  SENDER: 15,
  TAG_TAKE: 16,
  COUNT: 17,
} as const;

/** Identities looked at behind one shared address; an rf_shared set must not be larger. */
export const SHARED_MAX = 64;
/** Levels of the cgroup tree below which endpoints are found; deeper sockets belong to their nearest endpoint above. */
export const CGROUP_LEVELS = 16;

export const VERDICTS = 4;
export const REASONS = 17;
export const DIRECTIONS = 3;

/** Index in rf_counters. direction is the packet's, inbound or outbound. */
export function counterIndex(verdict: number, reason: number, direction: number): number {
  return (verdict * REASONS + reason) * DIRECTIONS + direction;
}

/** Index in rf_lanes. */
export function laneIndex(cpu: number, lane: number): number {
  return cpu * Lane.COUNT + lane;
}

/** Every C enum that is mirrored above: name in C, prefix of its constants, object here. */
export const ENUMS = [
  { name: 'rf_endpoint_kind', prefix: 'RF_ENDPOINT_', values: EndpointKind },
  { name: 'rf_endpoint_flags', prefix: 'RF_EP_', values: EndpointFlag },
  { name: 'rf_peer_flags', prefix: 'RF_PEER_', values: PeerFlag },
  { name: 'rf_group_kind', prefix: 'RF_GROUP_', values: GroupKind },
  { name: 'rf_action', prefix: 'RF_ACTION_', values: Action },
  { name: 'rf_constraint', prefix: 'RF_CONSTRAINT_', values: Constraint },
  { name: 'rf_flow_flags', prefix: 'RF_FLOW_', values: FlowFlag },
  { name: 'rf_event_flags', prefix: 'RF_EVENT_', values: EventFlag },
  { name: 'rf_tags_flags', prefix: 'RF_TAGS_', values: TagsFlag },
  { name: 'rf_tag_bound', prefix: 'RF_TAG_BOUND_', values: TagBound },
  { name: 'rf_tag_count', prefix: 'RF_TAG_COUNT_', values: TagCount },
  { name: 'rf_lane', prefix: 'RF_LANE_', values: Lane },
  { name: 'rf_error', prefix: 'RF_ERROR_', values: HelperError },
] as const;
