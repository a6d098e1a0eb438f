/* SPDX-License-Identifier: Apache-2.0 */
/* What `traffic` asks of `answer`. Numbers in network order. */
#ifndef RFLAB_TRAFFIC_H
#define RFLAB_TRAFFIC_H

#include <stdint.h>

/* Most bytes one way of one TCP connection: less than a socket's send buffer, so that one write takes all. */
#define TRAFFIC_BYTES_MAX 49152
/* Most bytes of a datagram: no packet is fragmented. */
#define TRAFFIC_DATAGRAM_MAX 1200

/* At the head of a TCP connection. */
struct traffic_request {
	uint32_t up;	    /* bytes that follow this head */
	uint32_t down;	    /* bytes wanted back */
	uint32_t you_close; /* 1: the server closes first */
};

/* At the head of each datagram. */
struct traffic_datagram {
	uint32_t down; /* bytes wanted back, in datagrams of at most TRAFFIC_DATAGRAM_MAX */
};

#endif
