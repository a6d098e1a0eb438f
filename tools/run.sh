#!/usr/bin/env bash
# The system on this host: controller and agent, visibility mode, live flows until Ctrl-C. Nothing is blocked, and nothing stays
# attached afterwards (KEEP=1: programs and tables stay pinned).
#   RINGFENCE_STATE   where everything is kept between runs; default .state/run
#   RINGFENCE_PORTS   sync,admin,enroll,web; default 7443,7444,7445,7446
#   RUN_SECONDS       stop by itself after so long (for scripts)
#   RUN_READY_SECONDS give the controller and the agent so long to be ready; default 300
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
state=$(realpath -m "${RINGFENCE_STATE:-.state/run}")
IFS=, read -r sync_port admin_port enroll_port web_port <<< "${RINGFENCE_PORTS:-7443,7444,7445}"
# Without a port of its own the page takes its default, and is left out when that is taken.
web=()
[ -z "$web_port" ] || web=(--listen-web "127.0.0.1:$web_port")
say() { printf '%s\n' "$*" >&2; }
fail() { # what next
  say "make run: $1"
  say "next step: $2"
  exit 1
}

[ "$(id -u)" = 0 ] || fail "found user $(id -un), wanted root: loading kernel programs needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON" "sudo make run"
umask 077
mkdir -p "$state/controller" "$state/agent" "$state/log"
exec 9> "$state/lock"
flock -n 9 || fail "another make run uses $state" "stop it, or set RINGFENCE_STATE to another folder"

controller_pid='' agent_pid='' follow_pid=''
stop() {
  trap '' INT TERM
  if [ -n "$follow_pid" ] && kill -INT "$follow_pid" 2> /dev/null; then wait "$follow_pid" || true; fi
  if [ -n "$agent_pid" ]; then
    if kill -TERM "$agent_pid" 2> /dev/null; then wait "$agent_pid" || true; fi
    if [ -n "${KEEP:-}" ]; then
      say "kept attached; to remove: node agent/dist/main.js detach --config $state/agent.yaml"
    elif ! node agent/dist/main.js detach --config "$state/agent.yaml" >> "$state/log/agent.log" 2>&1; then
      say "could not detach everything; see $state/log/agent.log"
      say "next step: node agent/dist/main.js detach --config $state/agent.yaml"
    fi
  fi
  if [ -n "$controller_pid" ] && kill -TERM "$controller_pid" 2> /dev/null; then wait "$controller_pid" || true; fi
  say "stopped; state and logs are in $state"
}
trap stop EXIT
trap 'exit 0' INT TERM

# The kernel's verifier takes seconds where processors are fast, and minutes where they are emulated.
ready_seconds=${RUN_READY_SECONDS:-300}
wait_for() { # file pid log what
  for tenth in $(seq 1 $((ready_seconds * 10))); do
    [ -s "$1" ] && return 0
    if ! kill -0 "$2" 2> /dev/null; then
      tail -n 20 "$3" >&2
      fail "$4 ended before it was ready" "read $3"
    fi
    [ $((tenth % 150)) -ne 0 ] || say "still waiting for the $4 (log: $3)"
    sleep 0.1
  done
  tail -n 20 "$3" >&2
  fail "$4 was not ready within $ready_seconds s" "read $3, or give it longer: RUN_READY_SECONDS=900 make run"
}

# setsid: Ctrl-C reaches this script alone, which stops things in their order.
rm -f "$state/controller.ready" "$state/agent.ready"
setsid node controller/dist/main.js --state-dir "$state/controller" --ready-file "$state/controller.ready" \
  --listen-sync "127.0.0.1:$sync_port" --listen-admin "127.0.0.1:$admin_port" --listen-enroll "127.0.0.1:$enroll_port" \
  "${web[@]}" > "$state/log/controller.log" 2>&1 9>&- &
controller_pid=$!
wait_for "$state/controller.ready" "$controller_pid" "$state/log/controller.log" controller

export RINGFENCE_CONTEXT="$state/controller/operator/context.json"
cat > "$state/env" <<ENV
# Source this file: it puts the ringfence command and the connection to this run into a shell.
export PATH="$top/cli/bin:$(dirname "$(command -v node)"):\$PATH"
export RINGFENCE_CONTEXT="$RINGFENCE_CONTEXT"
ENV
ringfence() { node "$top/cli/dist/main.js" "$@"; }

docker_sockets='[]'
[ -S /var/run/docker.sock ] && docker_sockets='[/var/run/docker.sock]'
systemd=false
[ -d /run/systemd/system ] && systemd=true
keep=false
[ -n "${KEEP:-}" ] && keep=true
cat > "$state/agent.yaml" <<YAML
controller: 127.0.0.1:$sync_port
stateDir: $state/agent
pinPath: /sys/fs/bpf/ringfence-run
dockerSockets: $docker_sockets
systemd: $systemd
keepOnExit: $keep
YAML
first_run=''
if [ ! -s "$state/agent/cert.pem" ]; then
  first_run=1
  rm -f "$state/token"
  if ! { ringfence host token create --ttl 10m --note 'make run' --out "$state/token" &&
    ringfence enroll --controller "127.0.0.1:$enroll_port" --token-file "$state/token" --state-dir "$state/agent"; } > "$state/log/enroll.log" 2>&1; then
    cat "$state/log/enroll.log" >&2
    fail "this host could not be enrolled" "read $state/log/controller.log"
  fi
  rm -f "$state/token"
fi
setsid node agent/dist/main.js --config "$state/agent.yaml" --ready-file "$state/agent.ready" > "$state/log/agent.log" 2>&1 9>&- &
agent_pid=$!
wait_for "$state/agent.ready" "$agent_pid" "$state/log/agent.log" agent

# The host's first labels, so that the first flow lines already speak in labels.
if [ -n "$first_run" ]; then
  for _ in $(seq 1 100); do
    ringfence workload label "$(hostname)" role=host env=local > /dev/null 2>&1 && break
    sleep 0.1
  done
fi

say "Ringfence runs on this host in visibility mode: every connection is shown, nothing is blocked."
say "  controller  127.0.0.1:$admin_port (admin API), log $state/log/controller.log"
if link=$(ringfence web link --ttl 15m 2>> "$state/log/web.log"); then
  say "  web page    $link"
  say "              works once, for 15 minutes; another: ringfence web"
else
  say "  web page    not served; see $state/log/controller.log"
fi
say "  agent       pinned at /sys/fs/bpf/ringfence-run, log $state/log/agent.log"
say "  command     . $state/env    then: ringfence status"
say "Flows follow; Ctrl-C stops everything."
say ""
node cli/dist/main.js flows tail --last 20 9>&- &
follow_pid=$!
if [ -n "${RUN_SECONDS:-}" ]; then
  sleep "$RUN_SECONDS" 9>&- &
  wait -n "$follow_pid" $! || true
else
  wait "$follow_pid" || true
fi
