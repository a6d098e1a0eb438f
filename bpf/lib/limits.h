/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every bounded loop's limit, why it is that large, and what happens when it is hit. */
#ifndef RF_LIMITS_H
#define RF_LIMITS_H

/* Identities behind one translated address. User space refuses larger sets; identities past it are not asked. */
#define RF_SHARED_MAX 64

/* Depth of the cgroup tree that is searched for an endpoint. A deeper socket belongs to its nearest endpoint above. */
#define RF_CGROUP_LEVELS 16

/* 802.1ad + 802.1Q. A third tag makes the packet "neither IPv4 nor IPv6" (NON_IP). */
#define RF_VLAN_TAGS 2

/* IPv6 extension headers. RFC 8200 knows six kinds and recommends each once (destination options twice). More:
 * UNPARSABLE. */
#define RF_EXTENSION_HEADERS 8

/* Packets of a flow without a known process whose socket is looked at; the first ones of an accepted connection have
 * none. */
#define RF_OWNER_TRIES 8

/* Keys of tags held at once: the one before, the present one, the one to come, and one to spare. A power of two. */
#define RF_TAG_KEYS 4

/* TCP options looked at for a tag; padding counts. 40 bytes hold at most 40. A tag further back is none. */
#define RF_TCP_OPTIONS 24

/* The same where none may be missed: as many as fit. */
#define RF_TCP_OPTIONS_MAX 40

#endif
