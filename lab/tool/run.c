/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a command where a test wants it: in a cgroup v2 directory, in a network namespace, or inside a running
 * container. The command dies with whoever started it, so that a crashed test run leaves no process behind.
 */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

static void join_cgroup(const char *dir)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		fail(path);
	close(fd);
}

static int namespace_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail(path);
	return fd;
}

static void enter(int fd, int kind, const char *what)
{
	if (setns(fd, kind))
		fail(what);
	close(fd);
}

int cmd_run(int argc, char **argv)
{
	const char *netns = NULL, *target = NULL;
	bool private_mounts = false;
	int i;

	for (i = 0; i < argc && strcmp(argv[i], "--"); i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (!strcmp(argv[i], "--private-mounts")) {
			private_mounts = true;
		} else if (!strcmp(argv[i], "--cgroup")) {
			join_cgroup(value);
			i++;
		} else if (!strcmp(argv[i], "--realtime")) {
			struct sched_param priority = {.sched_priority = 1};

			if (sched_setscheduler(0, SCHED_FIFO, &priority))
				fail("sched_setscheduler");
		} else if (!strcmp(argv[i], "--cpu")) {
			cpu_set_t set;

			CPU_ZERO(&set);
			CPU_SET(atoi(value), &set);
			if (sched_setaffinity(0, sizeof(set), &set))
				fail("sched_setaffinity");
			i++;
		} else if (!strcmp(argv[i], "--netns")) {
			netns = value;
			i++;
		} else if (!strcmp(argv[i], "--enter")) {
			target = value;
			i++;
		} else {
			fprintf(stderr, "rflab run: unknown option %s\n", argv[i]);
			return 2;
		}
	}
	if (i + 1 >= argc) {
		fprintf(stderr, "rflab run: wanted -- COMMAND\n");
		return 2;
	}
	if (netns)
		enter(namespace_open(netns), CLONE_NEWNET, "setns net");
	if (target) {
		char path[64];
		int net, mnt;

		/* Both are opened before the first is entered: /proc means another mount namespace afterwards. */
		snprintf(path, sizeof(path), "/proc/%s/ns/net", target);
		net = namespace_open(path);
		snprintf(path, sizeof(path), "/proc/%s/ns/mnt", target);
		mnt = namespace_open(path);
		enter(net, CLONE_NEWNET, "setns net");
		enter(mnt, CLONE_NEWNS, "setns mnt");
	}
	if (private_mounts && (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)))
		fail("private mounts");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_DFL);
	execvp(argv[i + 1], argv + i + 1);
	fail(argv[i + 1]);
}
