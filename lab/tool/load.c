/* SPDX-License-Identifier: Apache-2.0 */
/* Load for measurements: request/response on open connections, a new connection per request, or bulk. One thread. */
#include "common.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int open_connection(const struct endpoint *to)
{
	int on = 1, fd = socket(to->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&to->addr, to->len))
		fail("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void exchange(int fd, char *buffer, size_t size)
{
	if (send(fd, buffer, size, MSG_NOSIGNAL) != (ssize_t)size)
		fail("send");
	for (size_t got = 0; got < size;) {
		ssize_t n = recv(fd, buffer, size - got, 0);

		if (n <= 0)
			fail("recv");
		got += (size_t)n;
	}
}

int cmd_load(int argc, char **argv)
{
	struct options o = {.seconds = 1, .connections = 1, .size = 64, .mode = "rr"};
	bool fresh, bulk;
	size_t capacity = 1 << 22, ops = 0, samples = 0;
	uint32_t *us = malloc(capacity * sizeof(*us));
	uint64_t begin, end, now, bytes = 0;
	struct linger gone = {1, 0};
	struct endpoint to;
	char *buffer;
	int *fds;

	options_parse(&o, argc, argv);
	to = endpoint_of(o.host, o.port);
	fresh = !strcmp(o.mode, "crr");
	bulk = !strcmp(o.mode, "bulk");
	buffer = calloc(1, (size_t)o.size);
	fds = calloc((size_t)o.connections, sizeof(*fds));
	if (!us || !buffer || !fds)
		fail("malloc");
	for (int i = 0; i < o.connections && !fresh; i++)
		fds[i] = open_connection(&to);
	begin = now_us();
	end = begin + (uint64_t)(o.seconds * 1e6);
	for (now = begin; now < end && !stop_requested; ops++) {
		uint64_t from = now;

		if (fresh) {
			int fd = open_connection(&to);

			exchange(fd, buffer, (size_t)o.size);
			/* RST instead of TIME_WAIT, or a long run is out of ports. */
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &gone, sizeof(gone));
			close(fd);
		} else if (bulk) {
			ssize_t n = send(fds[ops % (size_t)o.connections], buffer, (size_t)o.size, MSG_NOSIGNAL);

			if (n < 0)
				fail("send");
			bytes += (uint64_t)n;
		} else {
			exchange(fds[ops % (size_t)o.connections], buffer, (size_t)o.size);
		}
		now = now_us();
		if (samples < capacity)
			us[samples++] = (uint32_t)(now - from);
	}
	qsort(us, samples, sizeof(*us), compare);
	printf("{\"event\":\"load\",\"mode\":\"%s\",\"ops\":%zu,\"seconds\":%.6f,\"per_second\":%.1f,\"p50_us\":%u,"
	       "\"p99_us\":%u,\"bytes_per_second\":%.0f}\n",
	       o.mode, ops, (double)(now - begin) / 1e6, (double)ops * 1e6 / (double)(now - begin),
	       samples ? us[samples / 2] : 0, samples ? us[samples * 99 / 100] : 0,
	       (double)bytes * 1e6 / (double)(now - begin));
	return 0;
}
