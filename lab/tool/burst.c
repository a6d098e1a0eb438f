/* SPDX-License-Identifier: Apache-2.0 */
/* As many UDP connections as can be, of one datagram each: from one local port to one remote port after the other. */
#include "common.h"

#include <errno.h>

int cmd_burst(int argc, char **argv)
{
	struct options o = {.count = 1};
	struct endpoint to, from = {0};
	unsigned int sent = 0, refused = 0;
	int fd;

	options_parse(&o, argc, argv);
	to = endpoint_of(o.host, o.port);
	from = endpoint_of(to.family == AF_INET ? "0.0.0.0" : "::", o.local_port);
	fd = socket(to.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fail("socket");
	if (bind(fd, (const struct sockaddr *)&from.addr, from.len))
		fail("bind");
	for (int i = 0; i < o.count && !stop_requested; i++) {
		to = endpoint_of(o.host, o.port + i);
		if (sendto(fd, "burst", 5, 0, (const struct sockaddr *)&to.addr, to.len) == 5)
			sent++;
		else if (errno == EPERM)
			refused++;
		else
			fail("sendto");
	}
	printf("{\"event\":\"burst\",\"sent\":%u,\"refused\":%u}\n", sent, refused);
	return 0;
}
