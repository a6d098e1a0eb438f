/* SPDX-License-Identifier: Apache-2.0 */
/* Echo servers on any number of ports, both families, one thread. What they count is a test's witness of what arrived.
 */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PORTS_MAX 32
/* A signal that lands just before the wait is noticed after this long. */
#define SIGNAL_POLL_MS 50

enum kind {
	KIND_TCP,
	KIND_UDP,
	KIND_SINK,
	KIND_CONNECTION,
};

struct port {
	enum kind kind;
	int number;
	int fd;
	uint64_t accepted, datagrams, bytes;
};

struct connection {
	enum kind kind;
	int fd;
	struct port *port;
};

static struct port ports[PORTS_MAX];
static int port_count;
static char buffer[256 * 1024];

static void report(const char *event)
{
	printf("{\"event\":\"%s\",\"ports\":[", event);
	for (int i = 0; i < port_count; i++)
		printf("%s{\"kind\":\"%s\",\"port\":%d,\"accepted\":%llu,\"datagrams\":%llu,\"bytes\":%llu}",
		       i ? "," : "", ports[i].kind == KIND_UDP ? "udp" : "tcp", ports[i].number,
		       (unsigned long long)ports[i].accepted, (unsigned long long)ports[i].datagrams,
		       (unsigned long long)ports[i].bytes);
	printf("]}\n");
}

static void listen_on(struct port *p)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)p->number)};
	int type = p->kind == KIND_UDP ? SOCK_DGRAM : SOCK_STREAM, off = 0, on = 1;

	p->fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		fail("socket");
	setsockopt(p->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Answers leave from the address that was asked. */
	setsockopt(p->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	if (bind(p->fd, (struct sockaddr *)&any, sizeof(any)))
		fail("bind");
	if (type == SOCK_STREAM && listen(p->fd, 4096))
		fail("listen");
}

static void echo_datagrams(struct port *p)
{
	for (;;) {
		struct sockaddr_in6 from;
		char control[256];
		struct iovec iov = {buffer, sizeof(buffer)};
		struct msghdr m = {.msg_name = &from,
				   .msg_namelen = sizeof(from),
				   .msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(p->fd, &m, 0);

		/* A pending ICMP error of an earlier answer is not the end of the queue. */
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			continue;
		if (n < 0)
			return;
		p->datagrams++;
		p->bytes += (uint64_t)n;
		iov.iov_len = (size_t)n;
		(void)!sendmsg(p->fd, &m, MSG_DONTWAIT);
	}
}

static void accept_all(int epoll, struct port *p)
{
	for (;;) {
		struct epoll_event ev = {.events = EPOLLIN};
		struct connection *c;
		int on = 1, fd = accept4(p->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		p->accepted++;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		c = malloc(sizeof(*c));
		if (!c)
			fail("malloc");
		*c = (struct connection){KIND_CONNECTION, fd, p};
		ev.data.ptr = c;
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
	}
}

/* Echo without a write queue: clients of the lab never have more in flight than a socket buffer holds. */
static void echo_stream(struct connection *c)
{
	ssize_t n = read(c->fd, buffer, sizeof(buffer));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		c->port->bytes += (uint64_t)n;
		if (c->port->kind == KIND_SINK || write(c->fd, buffer, (size_t)n) == n)
			return;
	}
	close(c->fd);
	free(c);
}

int cmd_serve(int argc, char **argv)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	for (int i = 0; i < argc && i < PORTS_MAX; i++) {
		const char *colon = strchr(argv[i], ':');
		struct port *p = &ports[port_count++];
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = p};

		if (!colon) {
			fprintf(stderr, "rflab serve: %s: wanted KIND:PORT\n", argv[i]);
			return 2;
		}
		p->kind = argv[i][0] == 'u' ? KIND_UDP : argv[i][0] == 's' ? KIND_SINK : KIND_TCP;
		p->number = atoi(colon + 1);
		listen_on(p);
		epoll_ctl(epoll, EPOLL_CTL_ADD, p->fd, &ev);
	}
	report("ready");
	while (!stop_requested) {
		struct epoll_event events[256];
		int n = epoll_wait(epoll, events, 256, SIGNAL_POLL_MS);

		for (int i = 0; i < n; i++) {
			enum kind *kind = events[i].data.ptr;

			if (*kind == KIND_CONNECTION)
				echo_stream(events[i].data.ptr);
			else if (*kind == KIND_UDP)
				echo_datagrams(events[i].data.ptr);
			else
				accept_all(epoll, events[i].data.ptr);
		}
		if (snapshot_requested) {
			snapshot_requested = 0;
			report("snapshot");
		}
	}
	report("summary");
	return 0;
}
