/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens one new connection per interval, for ever, many at a time, each with one small exchange, and counts how they
 * end. With an allowed port it shows whether any attempt is lost; with a forbidden one, whether any gets through.
 */
#include "common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MESSAGE 8

enum outcome {
	OUTCOME_OK,
	OUTCOME_REFUSED,
	OUTCOME_EPERM,
	OUTCOME_TIMEOUT,
	OUTCOME_RESET,
	OUTCOME_OTHER,
	OUTCOME_COUNT,
};

static const char *const outcome_names[] = {"ok", "refused", "eperm", "timeout", "reset", "other"};

struct attempt {
	int fd;
	bool sent;
	uint64_t deadline;
};

static uint64_t counts[OUTCOME_COUNT];
static uint64_t started;
static int last_other;

static void report(const char *event)
{
	printf("{\"event\":\"%s\",\"started\":%llu", event, (unsigned long long)started);
	for (int i = 0; i < OUTCOME_COUNT; i++)
		printf(",\"%s\":%llu", outcome_names[i], (unsigned long long)counts[i]);
	printf(",\"last_other\":\"%s\"}\n", errno_name(last_other));
}

static enum outcome outcome_of(int err)
{
	switch (err) {
	case ECONNREFUSED:
		return OUTCOME_REFUSED;
	case EPERM:
		return OUTCOME_EPERM;
	case ETIMEDOUT:
		return OUTCOME_TIMEOUT;
	case ECONNRESET:
	case EPIPE:
		return OUTCOME_RESET;
	default:
		last_other = err;
		return OUTCOME_OTHER;
	}
}

static void finish(struct attempt *a, enum outcome outcome)
{
	close(a->fd);
	a->fd = -1;
	counts[outcome]++;
}

static bool start(struct attempt *a, int epoll, const struct endpoint *to, const struct options *o)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = a};

	a->fd = socket(to->family, (o->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd < 0)
		fail("socket");
	a->sent = false;
	a->deadline = now_us() + (uint64_t)o->timeout_ms * 1000;
	started++;
	if (connect(a->fd, (const struct sockaddr *)&to->addr, to->len) && errno != EINPROGRESS) {
		finish(a, outcome_of(errno));
		return false;
	}
	epoll_ctl(epoll, EPOLL_CTL_ADD, a->fd, &ev);
	return true;
}

static void advance(struct attempt *a, int epoll, uint32_t events)
{
	char message[MESSAGE] = "attempt";
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = a};
	int err = 0;
	socklen_t len = sizeof(err);
	ssize_t n;

	getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (err)
		return finish(a, outcome_of(err));
	if (!a->sent && events & EPOLLOUT) {
		if (send(a->fd, message, sizeof(message), MSG_NOSIGNAL) != sizeof(message))
			return finish(a, outcome_of(errno));
		a->sent = true;
		epoll_ctl(epoll, EPOLL_CTL_MOD, a->fd, &ev);
		return;
	}
	if (!(events & EPOLLIN))
		return;
	n = recv(a->fd, message, sizeof(message), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	finish(a, n > 0 ? OUTCOME_OK : outcome_of(n ? errno : ECONNRESET));
}

int cmd_attempts(int argc, char **argv)
{
	struct options o = {.interval_ms = 10, .timeout_ms = 1000, .in_flight = 256};
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct attempt *attempts;
	struct endpoint to;
	uint64_t next;

	options_parse(&o, argc, argv);
	to = endpoint_of(o.host, o.port);
	attempts = calloc((size_t)o.in_flight, sizeof(*attempts));
	if (!attempts || epoll < 0)
		fail("setup");
	for (int i = 0; i < o.in_flight; i++)
		attempts[i].fd = -1;
	printf("{\"event\":\"open\"}\n");
	next = now_us();
	for (bool open = true; open;) {
		struct epoll_event events[64];
		uint64_t now = now_us();
		int n, busy = 0;

		for (int i = 0; i < o.in_flight && now >= next && !stop_requested; i++) {
			if (attempts[i].fd >= 0)
				continue;
			start(&attempts[i], epoll, &to, &o);
			next = now + (uint64_t)o.interval_ms * 1000;
		}
		n = epoll_wait(epoll, events, 64, o.interval_ms < 10 ? 1 : o.interval_ms / 5);
		for (int i = 0; i < n; i++)
			advance(events[i].data.ptr, epoll, events[i].events);
		now = now_us();
		for (int i = 0; i < o.in_flight; i++) {
			if (attempts[i].fd >= 0 && now > attempts[i].deadline)
				finish(&attempts[i], OUTCOME_TIMEOUT);
			busy += attempts[i].fd >= 0;
		}
		if (snapshot_requested) {
			snapshot_requested = 0;
			report("snapshot");
		}
		/* After a stop the attempts under way are still waited for: each one started is counted once. */
		open = !stop_requested || busy;
	}
	report("summary");
	return 0;
}
