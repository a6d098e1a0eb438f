/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel programs and user space share: every struct in a map, a ring or read-only data, with its rules beside
 * it. bpf/ts/abi.ts mirrors this file; a test compares both through BTF, field by field. Fixed-width types, explicit
 * padding, no implicit holes. A change of layout or meaning raises RF_ABI_VERSION, which is part of the pin path.
 *
 * Addresses are 16 bytes, IPv4 mapped into IPv6 (::ffff:a.b.c.d). Names ending in _be are network order, all else is
 * host order.
 */
#ifndef RF_ABI_H
#define RF_ABI_H

#define RF_ABI_VERSION 1

struct rf_addr {
	__u8 bytes[16];
};

/* How an endpoint is found: TC programs by interface index, cgroup programs by cgroup v2 id. */
enum rf_endpoint_kind {
	RF_ENDPOINT_IFINDEX = 1,
	RF_ENDPOINT_CGROUP = 2,
};

struct rf_endpoint_key {
	__u64 id;
	__u32 kind; /* enum rf_endpoint_kind */
	__u32 pad;
};

enum rf_endpoint_flags {
	RF_EP_ISOLATED = 1 << 0,   /* failsafe table only, whatever the modes say; reason ISOLATED */
	RF_EP_REJECT = 1 << 1,	   /* refuse with RST / ICMP unreachable; otherwise drop silently */
	RF_EP_HOST = 1 << 2,	   /* the host itself: the endpoint of sockets that no deeper cgroup endpoint claims */
	RF_EP_SKIP = 1 << 3,	   /* a container's cgroup: it is decided at its interface, cgroup programs pass it */
	RF_EP_CONTAINERS = 1 << 4, /* cgroup that containers start below: decides sockets of any network namespace */
};

/*
 * A local workload as the kernel sees it. One update of this value is the atomic flip to a new policy: sets are
 * complete before their numbers appear here. generation grows with every flip; flows decided under another one are
 * decided again.
 */
struct rf_endpoint {
	__u32 number; /* agent-local, never 0, not reused while flows of it may live; in flow keys and events */
	__u32 identity;
	__u32 space;
	__u32 set_in;  /* 0: nothing is allowed in */
	__u32 set_out; /* 0: nothing is allowed out */
	__u32 generation;
	__u32 policy_version;
	__u16 flags;   /* enum rf_endpoint_flags */
	__u8 mode_in;  /* enum rf_mode */
	__u8 mode_out; /* enum rf_mode */
};

/* Exact peer addresses. */
struct rf_peer_key {
	__u32 space;
	struct rf_addr addr;
};

enum rf_peer_flags {
	RF_PEER_SHARED = 1 << 0,    /* identity is a number in rf_shared, not an identity */
	RF_PEER_UNMANAGED = 1 << 1, /* no agent at that end */
	RF_PEER_MAPPED = 1 << 2,    /* found through rf_nat; never in the map */
	RF_PEER_HOST = 1 << 3,	    /* an address of this host: loopback for its own cgroup endpoints */
	/* A translator gave this address until lately, and nobody is behind it now. New connections find nobody; those
	 * that were open keep who they were. */
	RF_PEER_FORMER = 1 << 4,
};

struct rf_peer {
	__u32 identity;
	__u32 flags; /* enum rf_peer_flags */
};

/* Identities behind one translated address: index 0, 1, 2 … until a miss, at most RF_SHARED_MAX. */
struct rf_shared_key {
	__u32 shared;
	__u32 index;
};

/* IP lists: the longest prefix names the class, that is the set of lists that hold there. Class 0: none (an exclusion).
 */
struct rf_cidr_key {
	__u32 prefixlen; /* 0 to 128, of the mapped address */
	struct rf_addr addr;
};

struct rf_cidr {
	__u32 class_id;
};

/* Translated address and port to who is behind it. Looked up before rf_peers. */
struct rf_nat_key {
	__u32 space;
	__u16 port_be;
	__u8 proto;
	__u8 pad;
	struct rf_addr addr;
};

struct rf_nat {
	__u32 identity;
	__u16 port_be; /* at the workload: policy is asked about this one */
	__u16 pad;
};

enum rf_group_kind {
	RF_GROUP_IDENTITY = 1, /* peer is an identity; peer 0 is the set's default group: anyone not listed */
	RF_GROUP_CLASS = 2,    /* peer is a CIDR class */
};

/* {policy set, peer} to port group. A peer with a class is decided by both groups together: deny over allow, then
 * lowest rule. */
struct rf_group_key {
	__u32 set;
	__u32 peer;
	__u32 kind; /* enum rf_group_kind */
};

struct rf_group {
	__u32 group;
};

/*
 * Ports of a group, most specific first by prefix: group alone (32 bits) is any protocol, group and proto (40) a whole
 * protocol, then the port's leading bits (48 to 64 with the pad byte counted). ICMP: port is type * 256 + code.
 */
struct rf_port_key {
	__u32 prefixlen;
	__u32 group;
	__u8 proto;
	__u8 pad;
	__u16 port_be;
};

enum rf_action {
	RF_ACTION_ALLOW = 1,
	RF_ACTION_DENY = 2,
};

enum rf_constraint {
	RF_CONSTRAINT_ENCRYPTED = 1 << 0,
	RF_CONSTRAINT_AUTHENTICATED = 1 << 1,
};

struct rf_port {
	__u32 rule;
	__u8 action;	  /* enum rf_action */
	__u8 constraints; /* enum rf_constraint */
	__u16 pad;
};

/* Checked before policy, after conntrack. port_be is the server's, 0 for any; a second lookup asks with 0. */
struct rf_failsafe_key {
	__u32 prefixlen; /* 32 + prefix of the mapped address */
	__u8 direction;	 /* enum rf_direction */
	__u8 proto;
	__u16 port_be;
	struct rf_addr remote;
};

/*
 * Conntrack: one entry per connection and local endpoint, the same for both directions of its packets. ICMP: local_port
 * is the echo id (0 where there is none), remote_port type * 256 + code of the message that opened the flow.
 */
struct rf_flow_key {
	struct rf_addr local;
	struct rf_addr remote;
	__u16 local_port_be;
	__u16 remote_port_be;
	__u32 endpoint; /* rf_endpoint.number */
	__u8 proto;
	__u8 opened; /* ICMP: enum rf_direction of the message that opened it; 0 for other protocols */
	__u8 pad[2];
};

enum rf_flow_flags {
	RF_FLOW_CUT = 1 << 0,	 /* revoked: packets are dropped, TCP was reset */
	RF_FLOW_ENDED = 1 << 1,	 /* END (or the cut) was reported; the next opening packet starts a new flow */
	RF_FLOW_SHARED = 1 << 2, /* the peer's address is shared */
	RF_FLOW_MAPPED = 1 << 3, /* the peer was found through rf_nat */
	RF_FLOW_TAGGED = 1 << 4, /* the peer's address is shared, and the tag in its SYN says who it is */
	RF_FLOW_LATE = 1 << 5,	 /* the first packet after END was told at once; others wait for the sweep */
	RF_FLOW_TOLD = 1 << 6,	 /* END was told: counters are of what came after it and is not told yet */
};

/*
 * Both directions write one entry without a lock: counters by atomic adds, everything else by plain stores that any
 * later packet may repeat. What two CPUs can race for is kept apart (tcp_flags_in, tcp_flags_out).
 */

struct rf_flow {
	__u32 generation;	 /* of the endpoint when it was decided */
	__u32 global_generation; /* rf_state.generation when it was decided */
	__u32 rule;
	__u32 peer_identity;
	__u32 policy_version;
	__u32 pid;
	__u8 verdict;	/* enum rf_verdict */
	__u8 reason;	/* enum rf_reason */
	__u8 mode;	/* enum rf_mode */
	__u8 direction; /* enum rf_direction: who opened it */
	__u8 tcp_flags_in;
	__u8 tcp_flags_out;
	__u16 flags; /* enum rf_flow_flags */
	__u64 first_seen_ns;
	__u64 last_seen_ns;
	__u64 last_report_ns;
	__u64 packets_in;
	__u64 bytes_in;
	__u64 packets_out;
	__u64 bytes_out;
	__u64 endpoint_id; /* with endpoint_kind: the key in rf_endpoints, for the sweep */
	__u8 endpoint_kind;
	__u8 pad;
	__u16 service_port_be; /* the port policy was asked about; ICMP: type * 256 + code */
	__u32 pad2;
	char comm[16];
};

/* Denies are reported once per flow and second; what was folded is counted here. */
struct rf_denied {
	__u64 last_report_ns;
	__u32 suppressed;
	__u32 pad;
};

/* Ports of a first fragment, for the later ones. */
struct rf_frag_key {
	struct rf_addr src;
	struct rf_addr dst;
	__u32 id;
	__u32 endpoint;
	__u8 proto;
	__u8 pad[3];
};

struct rf_frag {
	__u16 sport_be;
	__u16 dport_be;
};

/* Who opened or listens on a socket, and which endpoint it belongs to; in socket storage, inherited by accepted
 * sockets. */
struct rf_owner {
	__u64 cgroup; /* of the process that made the socket */
	__u64 netns_cookie;
	__u64 endpoint_id; /* resolved cgroup endpoint, 0: none; valid while endpoint_generation is the global one */
	__u32 endpoint_generation; /* rf_state.generation when it was resolved */
	__u32 pid;
	char comm[16];
	/* Of a connecting socket whose SYN may carry a tag (lib/tag_write.h). */
	__u64 sender;	    /* whose SYN: cgroup endpoint, RF_EP_SKIP ones (containers) included; 0: no tag */
	__u32 tag_identity; /* behind the destination; 0: the tag is bound to the address */
	__u16 tag_port;	    /* the destination's, or of the workload behind it; host order */
	__u8 tag_armed;	    /* 1: the option callbacks were switched on for the handshake */
	__u8 pad;
};

/*
 * One entry: what user space tells all programs at once. generation starts at 1 and grows after peers, shared sets,
 * CIDR classes, NAT or failsafes changed, and after an endpoint was added or removed (sockets cache theirs).
 */
struct rf_state {
	__u32 generation;
	__u32 flags; /* 0 */
};

enum rf_event_flags {
	RF_EVENT_SHARED = 1 << 0,
	RF_EVENT_MAPPED = 1 << 1,
	RF_EVENT_FROM_CONNECT = 1 << 2, /* a refused connect() or sendmsg(): no packet existed */
	RF_EVENT_CUT = 1 << 3,		/* an open connection was cut: user space closes the local socket */
	RF_EVENT_SWEPT = 1 << 4,	/* from the sweep, not from a ring: no sequence number */
	RF_EVENT_TAGGED = 1 << 5,
	RF_EVENT_LATE = 1 << 6, /* END again: counters are what came after the last one */
};

/*
 * What the rings and the sweep carry. Counters are cumulative for the flow (but see RF_EVENT_LATE) and wrap (packets).
 * Lane of denies: kind DENY, and kind VERDICT with RF_EVENT_CUT (verdict BLOCKED, reason REVOKED), which also ends its
 * flow: no END follows. Problems without a flow (unparsable, orphan fragment, unrelated ICMP error) are DENY too, with
 * verdict WOULD_BLOCK when the mode let them pass.
 */
struct rf_event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u64 first_seen_ns;
	__u64 bytes_in;
	__u64 bytes_out;
	struct rf_addr local;
	struct rf_addr remote;
	__u32 packets_in;
	__u32 packets_out;
	__u16 local_port_be;
	__u16 remote_port_be;
	__u32 endpoint;
	__u32 peer_identity;
	__u32 rule;
	__u32 policy_version;
	__u32 pid;
	__u32 sequence; /* per CPU and lane: 1, 2, 3 …; counted also when the ring was full, so that a gap is visible */
	__u8 kind;	/* enum rf_event_kind */
	__u8 verdict;	/* enum rf_verdict */
	__u8 reason;	/* enum rf_reason */
	__u8 mode;	/* enum rf_mode */
	__u8 direction; /* enum rf_direction */
	__u8 proto;
	__u8 tcp_flags;
	__u8 flags; /* enum rf_event_flags */
	__u16 service_port_be;
	__u16 attempts; /* denies folded into this one, 1 otherwise */
	char comm[16];
};

/*
 * The tag: a TCP option (RFC 6994, experimental) in a SYN that says which identity opens the connection, for hosts that
 * see the sender under an address it shares with others. See lib/tag.h for what it is bound to, and for what a replay
 * is. control: epoch % 8 in bits 7 to 5, kind in bit 4, slot % 16 in bits 3 to 0.
 */
struct rf_tag_option {
	__u8 kind;     /* RF_TAG_KIND */
	__u8 length;   /* 16 */
	__u16 exid_be; /* RF_TAG_EXID */
	__u32 identity_be;
	__u8 mac[7]; /* the low 56 bits of the MAC, most significant byte first */
	__u8 control;
};

#define RF_TAG_KIND 253
#define RF_TAG_EXID 0x5246

/* What a tag is bound to beside the sender's sequence number and the time. */
enum rf_tag_bound {
	RF_TAG_BOUND_ADDRESS = 0,  /* destination address and port, as both ends see them */
	RF_TAG_BOUND_IDENTITY = 1, /* identity and port of the workload behind a destination that will be translated */
};

enum rf_tags_flags {
	RF_TAGS_WRITE = 1 << 0,	   /* SYNs to known peers are given a tag */
	RF_TAGS_ANYWHERE = 1 << 1, /* SYNs to unknown destinations too */
	RF_TAGS_VERIFY = 1 << 2,   /* tags of peers behind shared addresses are read */
};

/* One entry (key 0), replaced as a whole; no entry: tags are off. Fleet time is the controller's, ns since 1970. */
struct rf_tags {
	__u64 clock_ns;	    /* fleet time minus CLOCK_BOOTTIME, modulo 2^64 */
	__u64 next_from_ns; /* fleet time from which next_epoch is written instead of epoch */
	__u32 epoch;	    /* 0: nothing can be written */
	__u32 next_epoch;   /* 0: none yet */
	__u32 flags;	    /* enum rf_tags_flags */
	__u32 pad;
};

/* Key: epoch % RF_TAG_KEYS. */
struct rf_tag_key {
	__u64 key0; /* little-endian halves of 16 random bytes */
	__u64 key1;
	__u64 until_ns; /* fleet time from which tags of this epoch are refused; 0: no end */
	__u32 epoch;
	__u32 pad;
};

/* Tags taken lately, so that none is good for a second connection. */
struct rf_tag_seen_key {
	__u64 sealed; /* mac and control */
	__u32 endpoint;
	__u32 identity;
};

struct rf_tag_seen {
	struct rf_addr remote;
	__u16 remote_port_be;
	__u16 pad;
	__u32 pad2;
};

/* What became of tags; rf_tag_counts counts per CPU by this index. From VALID to NOT_BEHIND at the receiver: each SYN
 * from a shared address is one of these. */
enum rf_tag_count {
	RF_TAG_COUNT_WRITTEN = 0, /* retransmissions included */
	RF_TAG_COUNT_NO_ROOM = 1, /* the SYN's options leave less than 16 bytes */
	RF_TAG_COUNT_NO_KEY = 2,  /* the controller has not told a key yet */
	RF_TAG_COUNT_VALID = 3,	  /* the identity decided alone */
	RF_TAG_COUNT_ABSENT = 4,
	RF_TAG_COUNT_INVALID = 5,    /* the MAC is not what it should be: forged, or translated where nobody told */
	RF_TAG_COUNT_EXPIRED = 6,    /* from another time than now */
	RF_TAG_COUNT_EPOCH = 7,	     /* a key that is not known here, or not any more */
	RF_TAG_COUNT_REPLAYED = 8,   /* came before, in another connection */
	RF_TAG_COUNT_NOT_BEHIND = 9, /* genuine, but that identity is not behind this address */
	RF_TAG_COUNT_FOREIGN = 10,   /* taken out of a container's SYN: a tag of another identity than its own */
	RF_TAG_COUNT_COUNT = 11,
};

enum rf_lane {
	RF_LANE_FLOWS = 0,
	RF_LANE_DENIES = 1,
	RF_LANE_COUNT = 2,
};

/*
 * Index cpu * RF_LANE_COUNT + lane: produced = delivered + dropped, exactly, once the writer has left. The lock makes
 * produced (it numbers the events) exact where the hook can be preempted; a fetching atomic would need 5.12.
 */
struct rf_lane_stats {
	__u64 produced;
	__u64 delivered;
	__u64 dropped;
	struct bpf_spin_lock lock;
	__u32 woken; /* when the reader was last woken: CLOCK_MONOTONIC >> 20, about milliseconds */
};

/* Per CPU, index (verdict * RF_REASON_COUNT + reason) * RF_DIRECTIONS + direction (as packets go, 1 in, 2 out). */
struct rf_counter {
	__u64 packets;
	__u64 bytes;
};

#define RF_VERDICTS 4
#define RF_DIRECTIONS 3

/* Where a helper failed that should not have; rf_errors counts per CPU by this index. */
enum rf_error {
	RF_ERROR_STATE = 0,	    /* rf_state could not be read */
	RF_ERROR_FLOW_INSERT = 1,   /* rf_flows took no entry: the packet was decided, its connection is not tracked */
	RF_ERROR_FRAG_INSERT = 2,   /* rf_frags took no entry: later fragments become orphans */
	RF_ERROR_DENIED_INSERT = 3, /* rf_denied took no entry: denies of this flow are not folded */
	RF_ERROR_OWNER = 4,	    /* no socket storage: process unknown */
	RF_ERROR_RING = 5,	    /* rf_events or rf_denies holds no ring for this CPU */
	RF_ERROR_LANE = 6,	    /* rf_lanes is too short for this CPU */
	RF_ERROR_REJECT_RESIZE = 7, /* a refusal could not be built: dropped silently instead */
	RF_ERROR_REJECT_WRITE = 8,
	RF_ERROR_REJECT_SEND = 9,
	RF_ERROR_SEQ_WRITE = 10, /* the sweep could not write a record */
	RF_ERROR_COMM = 11,	 /* process name could not be read */
	RF_ERROR_COUNTER = 12,	 /* a counter's index was out of range */
	RF_ERROR_TAG_WRITE = 13, /* room for a tag was there, writing it failed */
	RF_ERROR_TAG_SEEN = 14,	 /* rf_tag_seen took no entry: the tag counts as not valid */
	RF_ERROR_SENDER = 15,	 /* no socket storage: the connection's SYN goes untagged */
	RF_ERROR_TAG_TAKE = 16,	 /* a tag of another identity could not be taken out: the SYN was dropped */
	RF_ERROR_COUNT = 17,
};

_Static_assert(sizeof(struct rf_addr) == 16, "rf_addr");
_Static_assert(sizeof(struct rf_endpoint_key) == 16, "rf_endpoint_key");
_Static_assert(sizeof(struct rf_endpoint) == 32, "rf_endpoint");
_Static_assert(sizeof(struct rf_peer_key) == 20, "rf_peer_key");
_Static_assert(sizeof(struct rf_peer) == 8, "rf_peer");
_Static_assert(sizeof(struct rf_cidr_key) == 20, "rf_cidr_key");
_Static_assert(sizeof(struct rf_nat_key) == 24, "rf_nat_key");
_Static_assert(sizeof(struct rf_nat) == 8, "rf_nat");
_Static_assert(sizeof(struct rf_port_key) == 12, "rf_port_key");
_Static_assert(sizeof(struct rf_port) == 8, "rf_port");
_Static_assert(sizeof(struct rf_failsafe_key) == 24, "rf_failsafe_key");
_Static_assert(sizeof(struct rf_flow_key) == 44, "rf_flow_key");
_Static_assert(sizeof(struct rf_flow) == 120, "rf_flow");
_Static_assert(sizeof(struct rf_denied) == 16, "rf_denied");
_Static_assert(sizeof(struct rf_frag_key) == 44, "rf_frag_key");
_Static_assert(sizeof(struct rf_owner) == 64, "rf_owner");
_Static_assert(sizeof(struct rf_event) == 128, "rf_event");
_Static_assert(sizeof(struct rf_lane_stats) == 32, "rf_lane_stats");
_Static_assert(sizeof(struct rf_state) == 8, "rf_state");
_Static_assert(sizeof(struct rf_counter) == 16, "rf_counter");
_Static_assert(sizeof(struct rf_cidr) == 4, "rf_cidr");
_Static_assert(sizeof(struct rf_shared_key) == 8, "rf_shared_key");
_Static_assert(sizeof(struct rf_group_key) == 12 && sizeof(struct rf_group) == 4, "rf_group");
_Static_assert(sizeof(struct rf_frag) == 4, "rf_frag");
_Static_assert(sizeof(struct rf_tag_option) == 16, "rf_tag_option");
_Static_assert(sizeof(struct rf_tags) == 32 && sizeof(struct rf_tag_key) == 32, "rf_tags");
_Static_assert(sizeof(struct rf_tag_seen_key) == 16 && sizeof(struct rf_tag_seen) == 24, "rf_tag_seen");

#endif
