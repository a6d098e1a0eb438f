/* SPDX-License-Identifier: Apache-2.0 */
/* One exchange over TCP, UDP or ICMP echo, with the outcome as the application sees it. */
#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/*
 * One JSON line. first_us: what connect() (TCP) or the first send (UDP, ICMP) took to succeed or fail, waiting for the
 * handshake included; total_us: until the answer was complete or the attempt failed.
 */
static int report(const char *op, const char *stage, int err, uint64_t begin, uint64_t first)
{
	uint64_t end = now_us();

	printf("{\"event\":\"probe\",\"op\":\"%s\",\"ok\":%s,\"stage\":\"%s\",\"error\":\"%s\",\"first_us\":%llu,"
	       "\"total_us\":%llu}\n",
	       op, err ? "false" : "true", stage, errno_name(err), (unsigned long long)((first ? first : end) - begin),
	       (unsigned long long)(end - begin));
	return err ? 1 : 0;
}

/* 0 when fd got the event inside the deadline, otherwise an errno. */
static int wait_for(int fd, short what, uint64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = what};
	uint64_t now = now_us();
	int n = poll(&p, 1, now >= deadline ? 0 : (int)((deadline - now) / 1000 + 1));

	if (n < 0)
		return errno;
	return n ? 0 : ETIMEDOUT;
}

static int socket_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err;
}

int cmd_probe(int argc, char **argv)
{
	static const char message[] = "ringfence-lab-probe";
	struct options o = {.timeout_ms = 1000};
	char answer[sizeof(message)];
	struct endpoint to;
	const char *op;
	uint64_t begin, first = 0, deadline;
	size_t got = 0;
	int fd, err;

	options_parse(&o, argc, argv);
	op = o.udp ? "udp" : "tcp";
	to = endpoint_of(o.host, o.port);
	fd = socket(to.family, (o.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		fail("socket");
	begin = now_us();
	deadline = begin + (uint64_t)o.timeout_ms * 1000;
	if (connect(fd, (struct sockaddr *)&to.addr, to.len) && errno != EINPROGRESS)
		return report(op, "connect", errno, begin, 0);
	if (!o.udp) {
		err = wait_for(fd, POLLOUT, deadline);
		if (!err)
			err = socket_error(fd);
		if (err)
			return report(op, "connect", err, begin, 0);
	}
	if (!o.udp)
		first = now_us();
	if (send(fd, message, sizeof(message), MSG_NOSIGNAL) != sizeof(message))
		return report(op, "send", errno, begin, first);
	if (o.udp)
		first = now_us();
	while (got < sizeof(message)) {
		ssize_t n;

		err = wait_for(fd, POLLIN, deadline);
		if (err)
			return report(op, "answer", err, begin, first);
		n = recv(fd, answer + got, sizeof(answer) - got, 0);
		if (n <= 0)
			return report(op, "answer", n ? errno : ECONNRESET, begin, first);
		got += (size_t)n;
	}
	return report(op, "done", memcmp(answer, message, sizeof(message)) ? EBADMSG : 0, begin, first);
}

static uint16_t checksum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(data[i] << 8 | data[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

int cmd_ping(int argc, char **argv)
{
	struct options o = {.timeout_ms = 1000};
	struct endpoint to;
	struct icmphdr request = {0};
	uint64_t begin, first = 0, deadline;
	bool v6;
	int fd;

	options_parse(&o, argc, argv);
	to = endpoint_of(o.host, 0);
	v6 = to.family == AF_INET6;
	fd = socket(to.family, SOCK_RAW | SOCK_CLOEXEC, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	if (fd < 0)
		fail("raw socket");
	/* Both families share the header's shape: type, code, checksum, identifier, sequence. ICMPv6 sums in the
	 * kernel. */
	request.type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
	request.un.echo.id = htons((uint16_t)getpid());
	request.un.echo.sequence = htons(1);
	if (!v6)
		request.checksum = checksum((uint8_t *)&request, sizeof(request));
	begin = now_us();
	deadline = begin + (uint64_t)o.timeout_ms * 1000;
	if (sendto(fd, &request, sizeof(request), 0, (struct sockaddr *)&to.addr, to.len) < 0)
		return report("ping", "send", errno, begin, 0);
	first = now_us();
	for (;;) {
		uint8_t packet[2048];
		struct icmphdr *answer = (struct icmphdr *)packet;
		int err = wait_for(fd, POLLIN, deadline);
		ssize_t n;

		if (err)
			return report("ping", "answer", err, begin, first);
		n = recv(fd, packet, sizeof(packet), 0);
		if (n < 0)
			return report("ping", "answer", errno, begin, first);
		if (!v6)
			answer = (struct icmphdr *)(packet + ((struct iphdr *)packet)->ihl * 4);
		if ((uint8_t *)(answer + 1) <= packet + n && answer->type == (v6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) &&
		    answer->un.echo.id == request.un.echo.id)
			return report("ping", "done", 0, begin, first);
	}
}
