/* SPDX-License-Identifier: Apache-2.0 */
/* A unix socket that leads into a network namespace: the test process itself never leaves its own. One process per
 * connection. */
#include "common.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <unistd.h>

/* Copies what is there; false at the end of the stream. */
static bool copy(int from, int to)
{
	char buffer[65536];
	ssize_t n = read(from, buffer, sizeof(buffer));

	for (ssize_t done = 0; done < n;) {
		ssize_t w = write(to, buffer + done, (size_t)(n - done));

		if (w < 0)
			return false;
		done += w;
	}
	return n > 0;
}

static void relay(int local, const struct endpoint *to)
{
	int remote = socket(to->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool open = remote >= 0 && !connect(remote, (const struct sockaddr *)&to->addr, to->len);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (open) {
		struct pollfd p[2] = {{.fd = local, .events = POLLIN}, {.fd = remote, .events = POLLIN}};

		if (poll(p, 2, -1) < 0)
			break;
		if (p[0].revents)
			open = copy(local, remote);
		if (open && p[1].revents)
			open = copy(remote, local);
	}
	exit(0);
}

int cmd_relay(int argc, char **argv)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct endpoint to;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc != 3 || strlen(argv[0]) >= sizeof(at.sun_path)) {
		fprintf(stderr, "rflab relay: wanted SOCKET HOST PORT\n");
		return 2;
	}
	to = endpoint_of(argv[1], atoi(argv[2]));
	strcpy(at.sun_path, argv[0]);
	unlink(argv[0]);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 64))
		fail("unix socket");
	signal(SIGCHLD, SIG_IGN);
	printf("{\"event\":\"ready\"}\n");
	while (!stop_requested) {
		int client = accept(fd, NULL, NULL);

		if (client < 0)
			continue;
		if (!fork()) {
			signal(SIGTERM, SIG_DFL);
			relay(client, &to);
		}
		close(client);
	}
	return 0;
}
