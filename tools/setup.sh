#!/usr/bin/env bash
# Installs what is missing, and only that: Debian packages (as root), a recent enough Node, npm packages from the lock file.
# Usage: setup.sh [run|test|check]…   Which groups of tools/packages.txt are wanted; default: run.
set -euo pipefail
cd "$(dirname "$0")/.."
groups=" ${*:-run} "

say() { printf 'setup: %s\n' "$*" >&2; }

missing=()
while read -r group package probe; do
  case "$group" in '' | '#'*) continue ;; esac
  case "$groups" in *" $group "*) ;; *) continue ;; esac
  case "$probe" in
    /*) [ -e "$probe" ] || missing+=("$package") ;;
    *) PATH="$PATH:/usr/sbin:/sbin" command -v "$probe" >/dev/null || missing+=("$package") ;;
  esac
done < tools/packages.txt

if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    # A package may start its daemon on install (docker.io); nothing of ours wants that.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
      printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
      trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    if ! { apt-get update -q && apt-get install -yq --no-install-recommends "${missing[@]}"; } > "$log" 2>&1; then
      tail -n 20 "$log" >&2
      say "cannot install ${missing[*]}: apt-get failed (whole log: $log)"
      exit 1
    fi
    rm -f "$log"
  else
    say "missing: ${missing[*]}"
    say "next step, as root: apt-get install --no-install-recommends ${missing[*]}"
    # What only tests or checks need does not stop a build; the tests that want it are skipped and say so.
    case "$groups" in *" test "*) [ "${CI:-}" = true ] && exit 1 ;; esac
    for package in "${missing[@]}"; do
      grep -qE "^run +$package " tools/packages.txt && exit 1
    done
  fi
fi

node_bin=$(tools/setup-node.sh)
mkdir -p .tools
printf '%s\n' "$node_bin" > .tools/node-bin
export PATH="$node_bin:$PATH"

# The lock file and every manifest decide; nothing is installed when they have not changed since.
stamp=.tools/npm-stamp
now=$(cat package-lock.json package.json ./*/package.json | sha256sum; node -v)
if [ ! -d node_modules ] || [ "$(cat "$stamp" 2>/dev/null)" != "$now" ]; then
  say "installing npm packages"
  # Not `npm ci`: it refuses a lock file that lacks optional packages of foreign platforms, and the registry this lock file was
  # made against serves only Linux ones. Versions still come from the lock file, and it is not rewritten.
  # No install scripts: every native package we use carries its binary, and a script that wants headers or a download would fail
  # on a machine without them.
  npm install --ignore-scripts --no-save --no-audit --no-fund --loglevel=error >&2
  printf '%s' "$now" > "$stamp"
fi
