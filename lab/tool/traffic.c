/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random connections, one after the other: protocol, family, port, bytes both ways and who closes first come from a
 * seed, every connection has a local port (ICMP: an identifier) of its own. Each is reported when it is over; at_us is
 * the wall clock just before its first packet.
 */
#include "common.h"
#include "traffic.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TARGETS_MAX 32
/* How long an answer is waited for; what is refused silently costs this much. */
#define DATAGRAM_WAIT_MS 15
#define STREAM_WAIT_MS 3000

struct target {
	char proto; /* t, u or i */
	int port;
	bool answers;
};

struct plan {
	const char *host[2]; /* IPv4, IPv6; NULL: none */
	struct target targets[TARGETS_MAX];
	int target_count;
	uint32_t seed;
	int count, first_port, interval_us;
};

static char buffer[TRAFFIC_BYTES_MAX + 64];

static uint32_t draw(struct plan *p, uint32_t bound)
{
	p->seed = p->seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)p->seed * bound) >> 32);
}

/* Small as often as large. */
static uint32_t draw_size(struct plan *p, uint32_t most)
{
	uint32_t bits = draw(p, 17);
	uint32_t size = draw(p, (1u << bits) + 1);

	return size < most ? size : most;
}

static int set_port(struct endpoint *e, int port)
{
	uint16_t be = htons((uint16_t)port);

	if (e->family == AF_INET)
		((struct sockaddr_in *)&e->addr)->sin_port = be;
	else
		((struct sockaddr_in6 *)&e->addr)->sin6_port = be;
	return port;
}

static int open_socket(const struct endpoint *to, int type, int local_port)
{
	struct endpoint any = {.family = to->family, .len = to->len};
	struct timeval limit = {.tv_sec = STREAM_WAIT_MS / 1000};
	int on = 1, size = 4 * TRAFFIC_BYTES_MAX, fd = socket(to->family, type | SOCK_CLOEXEC, 0);

	any.addr.ss_family = (sa_family_t)to->family;
	set_port(&any, local_port);
	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&any.addr, any.len))
		fail("bind");
	return fd;
}

/* Returns 0 or an errno; reads until EOF when `all`, else until `want` bytes are here. */
static int receive(int fd, size_t want, bool all, uint32_t *got)
{
	while (all || *got < want) {
		ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

		if (n < 0)
			return errno == EAGAIN ? ETIMEDOUT : errno;
		if (n == 0)
			return *got == want ? 0 : ECONNRESET;
		*got += (uint32_t)n;
	}
	return 0;
}

static int tcp(const struct endpoint *to, int local_port, uint32_t up, uint32_t down, bool you_close, uint32_t *got)
{
	struct traffic_request head = {htonl(up), htonl(down), htonl(you_close)};
	int err = 0, fd = open_socket(to, SOCK_STREAM, local_port);

	if (connect(fd, (const struct sockaddr *)&to->addr, to->len))
		err = errno == EINPROGRESS ? ETIMEDOUT : errno;
	if (!err) {
		memcpy(buffer, &head, sizeof(head));
		if (send(fd, buffer, sizeof(head) + up, MSG_NOSIGNAL) != (ssize_t)(sizeof(head) + up))
			err = errno;
	}
	if (!err)
		err = receive(fd, down, you_close, got);
	if (!err && !you_close) {
		shutdown(fd, SHUT_WR);
		err = receive(fd, down, true, got);
	}
	close(fd);
	return err;
}

static int wait_for_answer(int fd, bool answers)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, answers ? STREAM_WAIT_MS : DATAGRAM_WAIT_MS);
}

static int udp(const struct endpoint *to, int local_port, uint32_t up, uint32_t down, bool answers, uint32_t *got)
{
	int err = 0, fd = open_socket(to, SOCK_DGRAM, local_port);
	struct traffic_datagram head = {htonl(down)};
	ssize_t n;

	if (connect(fd, (const struct sockaddr *)&to->addr, to->len))
		err = errno;
	while (!err) {
		size_t size = up < TRAFFIC_DATAGRAM_MAX - sizeof(head) ? up : TRAFFIC_DATAGRAM_MAX - sizeof(head);

		memcpy(buffer, &head, sizeof(head));
		if (send(fd, buffer, sizeof(head) + size, 0) < 0)
			err = errno;
		up -= (uint32_t)size;
		head.down = 0;
		if (!up)
			break;
	}
	while (!err && *got < down) {
		if (wait_for_answer(fd, answers) <= 0) {
			err = ETIMEDOUT;
			break;
		}
		n = recv(fd, buffer, sizeof(buffer), 0);
		if (n < 0)
			err = errno;
		else
			*got += (uint32_t)n;
	}
	close(fd);
	return err;
}

static uint16_t checksum(const char *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)((uint8_t)data[i] << 8) + (i + 1 < len ? (uint8_t)data[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static int icmp(const struct endpoint *to, int id, uint32_t up, bool answers, uint32_t *got)
{
	bool v6 = to->family == AF_INET6;
	int fd = socket(to->family, SOCK_RAW | SOCK_CLOEXEC, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	struct icmphdr request = {.type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO}, answer;
	struct endpoint at = *to;
	size_t size = sizeof(request) + up;
	int err = 0;

	if (fd < 0)
		fail("raw socket");
	set_port(&at, 0);
	request.un.echo.id = htons((uint16_t)id);
	request.un.echo.sequence = htons(1);
	memset(buffer, 0, size);
	memcpy(buffer, &request, sizeof(request));
	if (!v6) {
		request.checksum = checksum(buffer, size);
		memcpy(buffer, &request, sizeof(request));
	}
	if (sendto(fd, buffer, size, 0, (struct sockaddr *)&at.addr, at.len) < 0)
		err = errno;
	while (!err && !*got) {
		size_t skip;
		ssize_t n;

		if (wait_for_answer(fd, answers) <= 0) {
			err = ETIMEDOUT;
			break;
		}
		n = recv(fd, buffer, sizeof(buffer), 0);
		skip = v6 ? 0 : (size_t)((struct iphdr *)buffer)->ihl * 4;
		if (n < (ssize_t)(skip + sizeof(answer)))
			continue;
		memcpy(&answer, buffer + skip, sizeof(answer));
		if (answer.type == (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) && answer.un.echo.id == request.un.echo.id)
			*got = (uint32_t)(n - (ssize_t)(skip + sizeof(answer)));
		if (up == 0 && answer.type == (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY))
			break;
	}
	close(fd);
	return err;
}

static uint64_t wall_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void one(struct plan *p, int n)
{
	struct target *t = &p->targets[draw(p, (uint32_t)p->target_count)];
	int family = p->host[1] && (!p->host[0] || draw(p, 2)) ? 1 : 0;
	struct endpoint to = endpoint_of(p->host[family], t->port);
	uint32_t most = t->proto == 't' ? TRAFFIC_BYTES_MAX : t->proto == 'u' ? 6000 : TRAFFIC_DATAGRAM_MAX;
	uint32_t up = draw_size(p, most), down = draw_size(p, most), got = 0;
	bool you_close = draw(p, 2);
	int err, local = p->first_port + n;
	uint64_t at = wall_us();

	if (t->proto == 't')
		err = tcp(&to, local, up, down, you_close, &got);
	else if (t->proto == 'u')
		err = udp(&to, local, up, down ? down : 1, t->answers, &got);
	else
		err = icmp(&to, local, up, t->answers, &got);
	printf("{\"event\":\"connection\",\"proto\":\"%s\",\"family\":%d,\"local_port\":%d,\"port\":%d,\"at_us\":%llu,"
	       "\"up\":%u,\"got\":%u,\"error\":\"%s\"}\n",
	       t->proto == 't'	 ? "tcp"
	       : t->proto == 'u' ? "udp"
				 : "icmp",
	       family ? 6 : 4, local, t->port, (unsigned long long)at, up, got, errno_name(err));
}

/* tcp:PORT, udp:PORT, icmp:0; a minus sign before it: nothing will answer, so nothing is waited for. */
static void add_target(struct plan *p, const char *text)
{
	struct target *t = &p->targets[p->target_count];
	const char *colon = strchr(text, ':');

	if (!colon || p->target_count == TARGETS_MAX) {
		fprintf(stderr, "rflab traffic: %s: wanted KIND:PORT, at most %d\n", text, TARGETS_MAX);
		exit(2);
	}
	t->answers = text[0] != '-';
	t->proto = text[t->answers ? 0 : 1];
	t->port = atoi(colon + 1);
	p->target_count++;
}

int cmd_traffic(int argc, char **argv)
{
	struct plan p = {.seed = 1, .count = 1, .first_port = 10000};
	uint64_t begin;
	int n = 0;

	for (int i = 0; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(argv[i], "--seed"))
			p.seed = (uint32_t)atoi(value), i++;
		else if (!strcmp(argv[i], "--count"))
			p.count = atoi(value), i++;
		else if (!strcmp(argv[i], "--first-port"))
			p.first_port = atoi(value), i++;
		else if (!strcmp(argv[i], "--interval-us"))
			p.interval_us = atoi(value), i++;
		else if (!strcmp(argv[i], "--ip4"))
			p.host[0] = value, i++;
		else if (!strcmp(argv[i], "--ip6"))
			p.host[1] = value, i++;
		else
			add_target(&p, argv[i]);
	}
	if (!p.target_count || !(p.host[0] || p.host[1]) || p.first_port + p.count > 65536) {
		fprintf(stderr, "rflab traffic: wanted --ip4 or --ip6, a target, and local ports below 65536\n");
		return 2;
	}
	begin = now_us();
	for (; n < p.count && !stop_requested; n++) {
		uint64_t due = begin + (uint64_t)n * (uint64_t)p.interval_us, now = now_us();

		if (due > now)
			usleep((useconds_t)(due - now));
		one(&p, n);
	}
	printf("{\"event\":\"summary\",\"connections\":%d}\n", n);
	return 0;
}
