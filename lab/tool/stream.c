/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One long connection that sends numbered records at an interval and expects each back from an echo server. It tells
 * every disturbance an application could notice: a reset, a missing or repeated record (UDP), and the longest silence.
 */
#include "common.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define RECORD 32

struct stream {
	bool udp;
	uint64_t sent, received, last_sequence, missing, repeated;
	uint64_t opened, last_answer, longest_silence, slowest;
	const char *closed;
	uint64_t closed_at;
	char pending[RECORD];
	size_t pending_len;
};

struct record {
	uint64_t sequence;
	uint64_t sent_at;
	uint8_t padding[RECORD - 16];
};

static void report(const struct stream *s, const char *event)
{
	uint64_t now = now_us();
	uint64_t silence = s->closed ? s->closed_at - s->last_answer : now - s->last_answer;

	if (silence < s->longest_silence)
		silence = s->longest_silence;
	printf("{\"event\":\"%s\",\"sent\":%llu,\"received\":%llu,\"missing\":%llu,\"repeated\":%llu,"
	       "\"longest_silence_us\":%llu,\"slowest_us\":%llu,\"open_us\":%llu,\"closed\":\"%s\"}\n",
	       event, (unsigned long long)s->sent, (unsigned long long)s->received, (unsigned long long)s->missing,
	       (unsigned long long)s->repeated, (unsigned long long)silence, (unsigned long long)s->slowest,
	       (unsigned long long)((s->closed ? s->closed_at : now) - s->opened), s->closed ? s->closed : "none");
}

static void take(struct stream *s, const struct record *r)
{
	uint64_t now = now_us();

	if (r->sequence <= s->last_sequence) {
		s->repeated++;
		return;
	}
	s->missing += r->sequence - s->last_sequence - 1;
	s->last_sequence = r->sequence;
	s->received++;
	if (now - s->last_answer > s->longest_silence)
		s->longest_silence = now - s->last_answer;
	if (now - r->sent_at > s->slowest)
		s->slowest = now - r->sent_at;
	s->last_answer = now;
}

static void close_with(struct stream *s, const char *why)
{
	s->closed = why;
	s->closed_at = now_us();
	report(s, "closed");
}

/* False when nothing more can be read now. */
static bool receive(struct stream *s, int fd)
{
	struct record r;
	ssize_t n = recv(fd, s->pending + s->pending_len, RECORD - s->pending_len, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	/* A UDP peer that is gone for a moment answers with ICMP; the stream goes on and counts what is missing. */
	if (n < 0 && s->udp)
		return true;
	if (n <= 0) {
		close_with(s, n ? errno_name(errno) : "EOF");
		return false;
	}
	s->pending_len += (size_t)n;
	if (s->pending_len < RECORD && !s->udp)
		return true;
	memcpy(&r, s->pending, sizeof(r));
	s->pending_len = 0;
	take(s, &r);
	return true;
}

static void send_next(struct stream *s, int fd)
{
	struct record r = {.sequence = s->sent + 1, .sent_at = now_us()};
	ssize_t n = send(fd, &r, sizeof(r), MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n == sizeof(r) || s->udp)
		s->sent++;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		close_with(s, errno_name(errno));
}

int cmd_stream(int argc, char **argv)
{
	struct options o = {.interval_ms = 10, .timeout_ms = 5000};
	struct timeval timeout;
	struct stream s = {0};
	struct endpoint to;
	uint64_t next;
	int fd, on = 1;

	options_parse(&o, argc, argv);
	to = endpoint_of(o.host, o.port);
	s.udp = o.udp;
	fd = socket(to.family, (o.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fail("socket");
	timeout = (struct timeval){o.timeout_ms / 1000, o.timeout_ms % 1000 * 1000};
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&to.addr, to.len)) {
		s.opened = s.last_answer = now_us();
		close_with(&s, errno == EINPROGRESS ? "ETIMEDOUT" : errno_name(errno));
		return 1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s.opened = s.last_answer = next = now_us();
	printf("{\"event\":\"open\"}\n");
	while (!stop_requested && !s.closed) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		uint64_t now = now_us();

		if (now >= next) {
			send_next(&s, fd);
			next += (uint64_t)o.interval_ms * 1000;
			continue;
		}
		poll(&p, 1, (int)((next - now + 999) / 1000));
		while (!s.closed && receive(&s, fd))
			;
		if (snapshot_requested) {
			snapshot_requested = 0;
			report(&s, "snapshot");
		}
	}
	/* What is still under way gets the time it needs to come back. */
	for (uint64_t end = now_us() + 500000; !s.closed && s.last_sequence < s.sent && now_us() < end;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		poll(&p, 1, 10);
		while (!s.closed && receive(&s, fd))
			;
	}
	s.missing += s.sent - (s.last_sequence < s.sent ? s.last_sequence : s.sent);
	report(&s, "summary");
	return 0;
}
