/* SPDX-License-Identifier: Apache-2.0 */
#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

volatile sig_atomic_t stop_requested;
volatile sig_atomic_t snapshot_requested;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		snapshot_requested = 1;
	else
		stop_requested = 1;
}

void signals_install(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

const char *errno_name(int err)
{
	const char *name = err ? strerrorname_np(err) : "none";

	return name ? name : "unknown";
}

void fail(const char *what)
{
	fprintf(stderr, "rflab: %s: %s\n", what, strerror(errno));
	exit(1);
}

struct endpoint endpoint_of(const char *host, int port)
{
	struct endpoint e = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&e.addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&e.addr;

	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		e.len = sizeof(*v4);
		e.family = AF_INET;
	} else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		e.len = sizeof(*v6);
		e.family = AF_INET6;
	} else {
		fprintf(stderr, "rflab: %s is no numeric address\n", host);
		exit(2);
	}
	return e;
}

static int number(const char *name, const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || !*text || value < 0 || value > 1 << 30) {
		fprintf(stderr, "rflab: %s: %s is no number\n", name, text);
		exit(2);
	}
	return (int)value;
}

void options_parse(struct options *o, int argc, char **argv)
{
	int positional = 0;

	for (int i = 0; i < argc; i++) {
		const char *name = argv[i];
		const char *value = i + 1 < argc ? argv[i + 1] : "";

		if (strncmp(name, "--", 2)) {
			if (positional == 0)
				o->host = name;
			else if (positional == 1)
				o->port = number("port", name);
			positional++;
			continue;
		}
		if (!strcmp(name, "--udp")) {
			o->udp = true;
			continue;
		}
		i++;
		if (!strcmp(name, "--timeout-ms"))
			o->timeout_ms = number(name, value);
		else if (!strcmp(name, "--interval-ms"))
			o->interval_ms = number(name, value);
		else if (!strcmp(name, "--count"))
			o->count = number(name, value);
		else if (!strcmp(name, "--connections"))
			o->connections = number(name, value);
		else if (!strcmp(name, "--size"))
			o->size = number(name, value);
		else if (!strcmp(name, "--in-flight"))
			o->in_flight = number(name, value);
		else if (!strcmp(name, "--local-port"))
			o->local_port = number(name, value);
		else if (!strcmp(name, "--seconds"))
			o->seconds = strtod(value, NULL);
		else if (!strcmp(name, "--mode"))
			o->mode = value;
		else if (!strcmp(name, "--packet"))
			o->packet = value;
		else {
			fprintf(stderr, "rflab: unknown option %s\n", name);
			exit(2);
		}
	}
	if (!o->host) {
		fprintf(stderr, "rflab: wanted HOST [PORT] [options]\n");
		exit(2);
	}
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
} commands[] = {
	{"serve", cmd_serve, "[tcp:PORT|udp:PORT|sink:PORT]...   echo servers that count"},
	{"probe", cmd_probe, "HOST PORT [--udp] [--timeout-ms N]   one exchange"},
	{"ping", cmd_ping, "HOST [--timeout-ms N]   one ICMP echo"},
	{"stream", cmd_stream, "HOST PORT [--udp] [--interval-ms N]   one long connection with sequence numbers"},
	{"attempts", cmd_attempts, "HOST PORT [--udp] [--interval-ms N] [--timeout-ms N]   new connections, for ever"},
	{"load", cmd_load, "HOST PORT --mode rr|crr|bulk --seconds S [--connections N] [--size N]"},
	{"burst", cmd_burst, "HOST PORT --count N --local-port N   one datagram to each of N ports"},
	{"traffic", cmd_traffic,
	 "--ip4 A --ip6 B [--count N] [--seed N] [--first-port N] [--interval-us N] [-]KIND:PORT...   random "
	 "connections"},
	{"answer", cmd_answer, "[tcp:PORT|udp:PORT]...   the other end of traffic"},
	{"capture", cmd_capture, "ADDRESS PORT [--timeout-ms N]   the first SYN to there that passes"},
	{"inject", cmd_inject, "SOURCE PORT --packet HEX [--timeout-ms N]   a caught packet again, from there"},
	{"fastopen", cmd_fastopen, "HOST PORT   two connections with TCP Fast Open"},
	{"relay", cmd_relay, "SOCKET HOST PORT   unix socket in, TCP out"},
	{"run", cmd_run,
	 "[--cgroup DIR] [--cpu N] [--realtime] [--netns FILE] [--enter PID] [--private-mounts] -- COMMAND..."},
};

int main(int argc, char **argv)
{
	signals_install();
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 2, argv + 2);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(stderr, "rflab %s %s\n", commands[i].name, commands[i].usage);
	return 2;
}
