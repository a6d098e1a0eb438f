/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rflab: what the lab's tests run inside namespaces, cgroups and containers. One static binary, so that an image needs
 * nothing else. Every command writes JSON lines to standard output and stops with a summary line on SIGTERM or SIGINT.
 * SIGUSR1 asks a running command for a snapshot of its counters.
 */
#ifndef RFLAB_COMMON_H
#define RFLAB_COMMON_H

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

/* Set by SIGTERM and SIGINT. */
extern volatile sig_atomic_t stop_requested;
/* Set by SIGUSR1; the command clears it after its snapshot. */
extern volatile sig_atomic_t snapshot_requested;

struct endpoint {
	struct sockaddr_storage addr;
	socklen_t len;
	int family;
};

/* Options that commands share; each command reads the ones it knows. */
struct options {
	const char *host;
	int port;
	int timeout_ms;
	int interval_ms;
	int count;
	int connections;
	int size;
	int in_flight;
	int local_port;
	double seconds;
	bool udp;
	const char *mode;
	const char *packet;
};

/* Parses "HOST PORT --name value ..." into o; ends the process with status 2 and a message on what it does not know. */
void options_parse(struct options *o, int argc, char **argv);

/* Numeric IPv4 or IPv6 only: a test never depends on a resolver. Ends the process with status 2 otherwise. */
struct endpoint endpoint_of(const char *host, int port);

/* CLOCK_MONOTONIC in microseconds. */
uint64_t now_us(void);

/* Handlers for the flags above, without SA_RESTART, and line-buffered output. */
void signals_install(void);

/* "ECONNREFUSED" and so on; "none" for 0. */
const char *errno_name(int err);

/* Prints the cause on standard error and ends the process with status 1. */
__attribute__((noreturn)) void fail(const char *what);

int cmd_serve(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_ping(int argc, char **argv);
int cmd_stream(int argc, char **argv);
int cmd_attempts(int argc, char **argv);
int cmd_load(int argc, char **argv);
int cmd_burst(int argc, char **argv);
int cmd_traffic(int argc, char **argv);
int cmd_answer(int argc, char **argv);
int cmd_relay(int argc, char **argv);
int cmd_capture(int argc, char **argv);
int cmd_inject(int argc, char **argv);
int cmd_fastopen(int argc, char **argv);
int cmd_run(int argc, char **argv);

#endif
