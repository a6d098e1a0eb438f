#!/usr/bin/env bash
# Compiles BPF objects, the native addon and TypeScript; each step does nothing when its sources have not changed.
set -euo pipefail
cd "$(dirname "$0")/.."
quiet() { # name command…: shows the output only when the command fails or V=1
  local name=$1 log
  shift
  log=$(mktemp)
  if [ -n "${V:-}" ]; then "$@"; else
    if ! "$@" > "$log" 2>&1; then
      cat "$log" >&2
      printf 'build: %s failed: %s\n' "$name" "$*" >&2
      exit 1
    fi
  fi
  rm -f "$log"
}
for part in bpf native; do [ ! -x $part/build.sh ] || quiet "$part" "$part/build.sh"; done
quiet typescript node_modules/.bin/tsc -b
# Compiled modules are this Node's: another one is told before it loads them (proto/src/node-abi.ts).
node -p process.versions.modules > proto/dist/src/node-abi
# The web page: bundled when its sources, its configuration or the lock file are newer than what was bundled.
page=web/dist/page/index.html
if [ ! -e $page ] || [ -n "$(find web/src web/public web/index.html web/vite.config.mjs package-lock.json -newer $page -print -quit)" ]; then
  quiet 'web page' node_modules/.bin/vite build --logLevel warn web
fi
