/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody on the way does with SYNs: catches one, sends it again as his own. And TCP Fast Open, whose cookie
 * fills a SYN's options. */
#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PACKET_MAX 512

/* One IP packet that holds a whole TCP header. */
struct segment {
	uint8_t bytes[PACKET_MAX];
	size_t len;
	size_t l4;
	size_t addr_len;
	size_t src_at;
};

/* False for what is no unfragmented TCP over IPv4 or IPv6 without extension headers. */
static bool segment_read(struct segment *s)
{
	uint8_t version = s->len ? s->bytes[0] >> 4 : 0;

	if (version == 4 && s->len >= 40 && s->bytes[9] == IPPROTO_TCP && !((s->bytes[6] & 0x3f) | s->bytes[7])) {
		s->l4 = (size_t)(s->bytes[0] & 15) * 4;
		s->addr_len = 4;
		s->src_at = 12;
	} else if (version == 6 && s->len >= 60 && s->bytes[6] == IPPROTO_TCP) {
		s->l4 = 40;
		s->addr_len = 16;
		s->src_at = 8;
	} else {
		return false;
	}
	return s->l4 + 20 <= s->len;
}

static uint16_t read16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void write16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t sum(uint32_t so_far, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		so_far += (uint32_t)bytes[i] << (i & 1 ? 0 : 8);
	return so_far;
}

static uint16_t folded(uint32_t value)
{
	while (value >> 16)
		value = (value & 0xffff) + (value >> 16);
	return (uint16_t)~value;
}

static void segment_seal(struct segment *s)
{
	uint32_t pseudo = (uint32_t)(s->len - s->l4) + IPPROTO_TCP;

	if (s->addr_len == 4) {
		write16(s->bytes + 10, 0);
		write16(s->bytes + 10, folded(sum(0, s->bytes, s->l4)));
	}
	pseudo = sum(pseudo, s->bytes + s->src_at, 2 * s->addr_len);
	write16(s->bytes + s->l4 + 16, 0);
	write16(s->bytes + s->l4 + 16, folded(sum(pseudo, s->bytes + s->l4, s->len - s->l4)));
}

static const uint8_t *address_bytes(const struct endpoint *e)
{
	if (e->family == AF_INET)
		return (const uint8_t *)&((const struct sockaddr_in *)&e->addr)->sin_addr;
	return (const uint8_t *)&((const struct sockaddr_in6 *)&e->addr)->sin6_addr;
}

static int listen_to_all(void)
{
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL));

	if (fd < 0)
		fail("socket AF_PACKET");
	return fd;
}

/* The next TCP segment on any interface; false at the deadline. */
static bool next_segment(int fd, struct segment *s, uint64_t deadline)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint64_t now = now_us();
		ssize_t n;

		if (now >= deadline || poll(&p, 1, (int)((deadline - now) / 1000 + 1)) <= 0)
			return false;
		n = recv(fd, s->bytes, sizeof(s->bytes), 0);
		if (n <= 0)
			continue;
		s->len = (size_t)n;
		if (segment_read(s))
			return true;
	}
}

/* capture ADDRESS PORT: prints the first SYN to there that passes this namespace. */
int cmd_capture(int argc, char **argv)
{
	struct options o = {.timeout_ms = 5000};
	struct segment s = {0};
	struct endpoint to;
	uint64_t deadline;
	int fd;

	options_parse(&o, argc, argv);
	to = endpoint_of(o.host, o.port);
	fd = listen_to_all();
	deadline = now_us() + (uint64_t)o.timeout_ms * 1000;
	printf("{\"event\":\"ready\"}\n");
	while (next_segment(fd, &s, deadline)) {
		if (memcmp(s.bytes + s.src_at + s.addr_len, address_bytes(&to), s.addr_len) ||
		    s.addr_len != (to.family == AF_INET ? 4 : 16) || read16(s.bytes + s.l4 + 2) != o.port ||
		    (s.bytes[s.l4 + 13] & 0x12) != 0x02)
			continue;
		printf("{\"event\":\"syn\",\"packet\":\"");
		for (size_t i = 0; i < s.len; i++)
			printf("%02x", s.bytes[i]);
		printf("\"}\n");
		return 0;
	}
	printf("{\"event\":\"syn\",\"packet\":\"\"}\n");
	return 1;
}

static size_t hex_read(uint8_t *to, size_t max, const char *text)
{
	size_t len = strlen(text) / 2;

	if (strlen(text) % 2 || len > max)
		fail("packet");
	for (size_t i = 0; i < len; i++) {
		char pair[3] = {text[2 * i], text[2 * i + 1], 0};

		to[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return len;
}

/* inject SOURCE PORT --packet HEX: sends the packet from there, with right checksums, and tells what came back. */
int cmd_inject(int argc, char **argv)
{
	struct options o = {.timeout_ms = 1000};
	struct segment s = {0}, back = {0};
	const char *answer = "none";
	struct endpoint from, to;
	char text[INET6_ADDRSTRLEN];
	int raw, all, one = 1;
	uint64_t deadline;

	options_parse(&o, argc, argv);
	s.len = o.packet ? hex_read(s.bytes, sizeof(s.bytes), o.packet) : 0;
	from = endpoint_of(o.host, o.port);
	if (!segment_read(&s) || s.addr_len != (from.family == AF_INET ? 4 : 16))
		fail("packet");
	memcpy(s.bytes + s.src_at, address_bytes(&from), s.addr_len);
	write16(s.bytes + s.l4, (uint16_t)o.port);
	segment_seal(&s);
	inet_ntop(from.family, s.bytes + s.src_at + s.addr_len, text, sizeof(text));
	to = endpoint_of(text, 0);
	raw = socket(from.family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (raw < 0 || (from.family == AF_INET6 && setsockopt(raw, IPPROTO_IPV6, IPV6_HDRINCL, &one, sizeof(one))))
		fail("socket SOCK_RAW");
	all = listen_to_all();
	if (sendto(raw, s.bytes, s.len, 0, (struct sockaddr *)&to.addr, to.len) != (ssize_t)s.len)
		fail("sendto");
	deadline = now_us() + (uint64_t)o.timeout_ms * 1000;
	while (next_segment(all, &back, deadline)) {
		uint8_t flags = back.bytes[back.l4 + 13];

		if (back.addr_len != s.addr_len || memcmp(back.bytes + s.src_at, address_bytes(&to), s.addr_len) ||
		    read16(back.bytes + back.l4 + 2) != o.port)
			continue;
		answer = flags & 0x04 ? "rst" : (flags & 0x12) == 0x12 ? "syn-ack" : "other";
		break;
	}
	printf("{\"event\":\"inject\",\"answer\":\"%s\"}\n", answer);
	return 0;
}

/* fastopen HOST PORT: asks for a cookie, then sends data in a SYN with it. cookie_used: the server took that data. */
int cmd_fastopen(int argc, char **argv)
{
	struct options o = {.timeout_ms = 2000};
	struct timeval limit;
	struct endpoint to;
	int echoed = 0;
	bool used = false;

	options_parse(&o, argc, argv);
	to = endpoint_of(o.host, o.port);
	limit = (struct timeval){.tv_sec = o.timeout_ms / 1000, .tv_usec = o.timeout_ms % 1000 * 1000};
	for (int i = 0; i < 2; i++) {
		int fd = socket(to.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		struct tcp_info info = {0};
		socklen_t len = sizeof(info);
		char letter;

		if (fd < 0)
			fail("socket");
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		if (sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&to.addr, to.len) == 1 &&
		    recv(fd, &letter, 1, 0) == 1)
			echoed++;
		if (!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
			used = info.tcpi_options & TCPI_OPT_SYN_DATA;
		close(fd);
	}
	printf("{\"event\":\"fastopen\",\"echoed\":%d,\"cookie_used\":%s}\n", echoed, used ? "true" : "false");
	return 0;
}
