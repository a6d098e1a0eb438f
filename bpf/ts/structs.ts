// The structs of bpf/lib/abi.h, member by member. What each means is said there; the ABI test compares both through BTF.
import { be16, bytes, layout, skip, text, u8, u16, u32, u64, type ValueOf } from './layout.js';

export const ENDPOINT_KEY = layout('rf_endpoint_key', 16, { id: u64(0), kind: u32(8), pad: skip(12, 4) });

export const ENDPOINT = layout('rf_endpoint', 32, {
  number: u32(0),
  identity: u32(4),
  space: u32(8),
  setIn: u32(12),
  setOut: u32(16),
  generation: u32(20),
  policyVersion: u32(24),
  flags: u16(28),
  modeIn: u8(30),
  modeOut: u8(31),
});

export const PEER_KEY = layout('rf_peer_key', 20, { space: u32(0), addr: bytes(4) });
export const PEER = layout('rf_peer', 8, { identity: u32(0), flags: u32(4) });
export const SHARED_KEY = layout('rf_shared_key', 8, { shared: u32(0), index: u32(4) });
/** Value of rf_shared: one identity. */
export const CIDR_KEY = layout('rf_cidr_key', 20, { prefixlen: u32(0), addr: bytes(4) });
export const CIDR = layout('rf_cidr', 4, { classId: u32(0) });
export const NAT_KEY = layout('rf_nat_key', 24, {
  space: u32(0),
  port: be16(4),
  proto: u8(6),
  pad: skip(7),
  addr: bytes(8),
});
export const NAT = layout('rf_nat', 8, { identity: u32(0), port: be16(4), pad: skip(6, 2) });
export const GROUP_KEY = layout('rf_group_key', 12, { set: u32(0), peer: u32(4), kind: u32(8) });
export const GROUP = layout('rf_group', 4, { group: u32(0) });
export const PORT_KEY = layout('rf_port_key', 12, {
  prefixlen: u32(0),
  group: u32(4),
  proto: u8(8),
  pad: skip(9),
  port: be16(10),
});
export const PORT = layout('rf_port', 8, { rule: u32(0), action: u8(4), constraints: u8(5), pad: skip(6, 2) });
export const FAILSAFE_KEY = layout('rf_failsafe_key', 24, {
  prefixlen: u32(0),
  direction: u8(4),
  proto: u8(5),
  port: be16(6),
  remote: bytes(8),
});
export const FLOW_KEY = layout('rf_flow_key', 44, {
  local: bytes(0),
  remote: bytes(16),
  localPort: be16(32),
  remotePort: be16(34),
  endpoint: u32(36),
  proto: u8(40),
  opened: u8(41),
  pad: skip(42, 2),
});
export const FLOW = layout('rf_flow', 120, {
  generation: u32(0),
  globalGeneration: u32(4),
  rule: u32(8),
  peerIdentity: u32(12),
  policyVersion: u32(16),
  pid: u32(20),
  verdict: u8(24),
  reason: u8(25),
  mode: u8(26),
  direction: u8(27),
  tcpFlagsIn: u8(28),
  tcpFlagsOut: u8(29),
  flags: u16(30),
  firstSeenNs: u64(32),
  lastSeenNs: u64(40),
  lastReportNs: u64(48),
  packetsIn: u64(56),
  bytesIn: u64(64),
  packetsOut: u64(72),
  bytesOut: u64(80),
  endpointId: u64(88),
  endpointKind: u8(96),
  pad: skip(97),
  servicePort: be16(98),
  pad2: skip(100, 4),
  comm: text(104),
});
export const DENIED = layout('rf_denied', 16, { lastReportNs: u64(0), suppressed: u32(8), pad: skip(12, 4) });
export const FRAG_KEY = layout('rf_frag_key', 44, {
  src: bytes(0),
  dst: bytes(16),
  id: u32(32),
  endpoint: u32(36),
  proto: u8(40),
  pad: skip(41, 3),
});
export const FRAG = layout('rf_frag', 4, { sport: be16(0), dport: be16(2) });
export const OWNER = layout('rf_owner', 64, {
  cgroup: u64(0),
  netnsCookie: u64(8),
  endpointId: u64(16),
  endpointGeneration: u32(24),
  pid: u32(28),
  comm: text(32),
  sender: u64(48),
  tagIdentity: u32(56),
  tagPort: u16(60),
  tagArmed: u8(62),
  pad: skip(63, 1),
});
/** What a SYN carries. The identity is in network order: see tag.ts. */
export const TAG_OPTION = layout('rf_tag_option', 16, {
  kind: u8(0),
  length: u8(1),
  exid: be16(2),
  identityBe: u32(4),
  mac: bytes(8, 7),
  control: u8(15),
});
export const TAGS = layout('rf_tags', 32, {
  clockNs: u64(0),
  nextFromNs: u64(8),
  epoch: u32(16),
  nextEpoch: u32(20),
  flags: u32(24),
  pad: skip(28, 4),
});
export const TAG_KEY = layout('rf_tag_key', 32, {
  key0: u64(0),
  key1: u64(8),
  untilNs: u64(16),
  epoch: u32(24),
  pad: skip(28, 4),
});
export const TAG_SEEN_KEY = layout('rf_tag_seen_key', 16, { sealed: u64(0), endpoint: u32(8), identity: u32(12) });
export const TAG_SEEN = layout('rf_tag_seen', 24, {
  remote: bytes(0),
  remotePort: be16(16),
  pad: skip(18, 2),
  pad2: skip(20, 4),
});
/** generation starts at 1: user space writes it before the first program is attached. */
export const STATE = layout('rf_state', 8, { generation: u32(0), flags: u32(4) });
export const EVENT = layout('rf_event', 128, {
  timeNs: u64(0),
  firstSeenNs: u64(8),
  bytesIn: u64(16),
  bytesOut: u64(24),
  local: bytes(32),
  remote: bytes(48),
  packetsIn: u32(64),
  packetsOut: u32(68),
  localPort: be16(72),
  remotePort: be16(74),
  endpoint: u32(76),
  peerIdentity: u32(80),
  rule: u32(84),
  policyVersion: u32(88),
  pid: u32(92),
  sequence: u32(96),
  kind: u8(100),
  verdict: u8(101),
  reason: u8(102),
  mode: u8(103),
  direction: u8(104),
  proto: u8(105),
  tcpFlags: u8(106),
  flags: u8(107),
  servicePort: be16(108),
  attempts: u16(110),
  comm: text(112),
});
export const LANE_STATS = layout('rf_lane_stats', 32, {
  produced: u64(0),
  delivered: u64(8),
  dropped: u64(16),
  lock: skip(24, 4),
  woken: skip(28, 4),
});
export const COUNTER = layout('rf_counter', 16, { packets: u64(0), bytes: u64(8) });

/** All of them, for the ABI test. */
export const STRUCTS = [
  ENDPOINT_KEY,
  ENDPOINT,
  PEER_KEY,
  PEER,
  SHARED_KEY,
  CIDR_KEY,
  CIDR,
  NAT_KEY,
  NAT,
  GROUP_KEY,
  GROUP,
  PORT_KEY,
  PORT,
  FAILSAFE_KEY,
  FLOW_KEY,
  FLOW,
  DENIED,
  FRAG_KEY,
  FRAG,
  OWNER,
  TAG_OPTION,
  TAGS,
  TAG_KEY,
  TAG_SEEN_KEY,
  TAG_SEEN,
  STATE,
  EVENT,
  LANE_STATS,
  COUNTER,
] as const;

export type EndpointKey = ValueOf<typeof ENDPOINT_KEY.fields>;
export type Endpoint = ValueOf<typeof ENDPOINT.fields>;
export type PeerKey = ValueOf<typeof PEER_KEY.fields>;
export type Peer = ValueOf<typeof PEER.fields>;
export type SharedKey = ValueOf<typeof SHARED_KEY.fields>;
export type CidrKey = ValueOf<typeof CIDR_KEY.fields>;
export type Cidr = ValueOf<typeof CIDR.fields>;
export type NatKey = ValueOf<typeof NAT_KEY.fields>;
export type Nat = ValueOf<typeof NAT.fields>;
export type GroupKey = ValueOf<typeof GROUP_KEY.fields>;
export type Group = ValueOf<typeof GROUP.fields>;
export type PortKey = ValueOf<typeof PORT_KEY.fields>;
export type Port = ValueOf<typeof PORT.fields>;
export type FailsafeKey = ValueOf<typeof FAILSAFE_KEY.fields>;
export type FlowKey = ValueOf<typeof FLOW_KEY.fields>;
export type Flow = ValueOf<typeof FLOW.fields>;
export type Tags = ValueOf<typeof TAGS.fields>;
export type TagKey = ValueOf<typeof TAG_KEY.fields>;
export type State = ValueOf<typeof STATE.fields>;
export type FlowEvent = ValueOf<typeof EVENT.fields>;
export type LaneStats = ValueOf<typeof LANE_STATS.fields>;
export type Counter = ValueOf<typeof COUNTER.fields>;
