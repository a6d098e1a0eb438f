/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of `traffic`: gives each connection and datagram back as many bytes as it asks for. One thread. */
#include "common.h"
#include "traffic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A signal that lands just before the wait is noticed after this long. */
#define SIGNAL_POLL_MS 50

enum kind {
	KIND_TCP,
	KIND_UDP,
	KIND_CONNECTION,
};

struct source {
	enum kind kind;
	int fd;
	/* Connections only. */
	struct traffic_request request;
	size_t head; /* bytes of the request that are here */
	size_t up;   /* bytes after it */
	bool answered;
};

static char buffer[1 << 16];
static uint64_t accepted, datagrams;

static void watch(int epoll, struct source *s)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &ev))
		fail("epoll_ctl");
}

static struct source *source_of(enum kind kind, int fd)
{
	struct source *s = calloc(1, sizeof(*s));

	if (!s)
		fail("calloc");
	s->kind = kind;
	s->fd = fd;
	return s;
}

static struct source *listen_on(const char *where)
{
	const char *colon = strchr(where, ':');
	bool udp = where[0] == 'u';
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	int off = 0, on = 1, fd = socket(AF_INET6, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (!colon || fd < 0)
		fail("wanted tcp:PORT or udp:PORT");
	any.sin6_port = htons((uint16_t)atoi(colon + 1));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Answers leave from the address that was asked. */
	setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) || (!udp && listen(fd, 4096)))
		fail(where);
	return source_of(udp ? KIND_UDP : KIND_TCP, fd);
}

static void accept_all(int epoll, int listener)
{
	for (;;) {
		int size = 4 * TRAFFIC_BYTES_MAX, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		accepted++;
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		watch(epoll, source_of(KIND_CONNECTION, fd));
	}
}

static void answer_datagrams(int fd)
{
	for (;;) {
		struct sockaddr_in6 from;
		struct traffic_datagram head;
		char control[256];
		struct iovec iov = {buffer, sizeof(buffer)};
		struct msghdr m = {.msg_name = &from,
				   .msg_namelen = sizeof(from),
				   .msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control,
				   .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &m, 0);

		/* A pending ICMP error of an earlier answer is not the end of the queue. */
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			continue;
		if (n < 0)
			return;
		if ((size_t)n < sizeof(head))
			continue;
		datagrams++;
		memcpy(&head, buffer, sizeof(head));
		for (size_t left = ntohl(head.down); left;) {
			iov.iov_len = left < TRAFFIC_DATAGRAM_MAX ? left : TRAFFIC_DATAGRAM_MAX;
			if (sendmsg(fd, &m, MSG_DONTWAIT) < 0)
				break;
			left -= iov.iov_len;
		}
	}
}

/* False when the connection is over. */
static bool serve(struct source *s)
{
	for (;;) {
		bool in_head = s->head < sizeof(s->request);
		ssize_t n = in_head ? read(s->fd, (char *)&s->request + s->head, sizeof(s->request) - s->head)
				    : read(s->fd, buffer, sizeof(buffer));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n <= 0)
			return false;
		if (in_head)
			s->head += (size_t)n;
		else
			s->up += (size_t)n;
		if (s->head == sizeof(s->request) && s->up == ntohl(s->request.up) && !s->answered) {
			size_t down = ntohl(s->request.down);

			s->answered = true;
			if (down && send(s->fd, buffer, down, MSG_NOSIGNAL) != (ssize_t)down)
				fail("one write of the whole answer");
			if (ntohl(s->request.you_close))
				return false;
		}
	}
}

static void report(const char *event)
{
	printf("{\"event\":\"%s\",\"accepted\":%llu,\"datagrams\":%llu}\n", event, (unsigned long long)accepted,
	       (unsigned long long)datagrams);
}

int cmd_answer(int argc, char **argv)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	for (int i = 0; i < argc; i++)
		watch(epoll, listen_on(argv[i]));
	report("ready");
	while (!stop_requested) {
		struct epoll_event events[256];
		int n = epoll_wait(epoll, events, 256, SIGNAL_POLL_MS);

		for (int i = 0; i < n; i++) {
			struct source *s = events[i].data.ptr;

			if (s->kind == KIND_TCP) {
				accept_all(epoll, s->fd);
			} else if (s->kind == KIND_UDP) {
				answer_datagrams(s->fd);
			} else if (!serve(s)) {
				close(s->fd);
				free(s);
			}
		}
		if (snapshot_requested) {
			snapshot_requested = 0;
			report("snapshot");
		}
	}
	report("summary");
	return 0;
}
