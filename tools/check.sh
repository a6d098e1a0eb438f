#!/usr/bin/env bash
# Every static check; all of them run even when one fails.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
failed=()
step() { # name command…
  local name=$1 log
  shift
  log=$(mktemp)
  if "$@" > "$log" 2>&1; then printf 'ok    %s\n' "$name"; else
    printf 'FAIL  %s\n' "$name"
    tail -n "${LINES_SHOWN:-40}" "$log"
    failed+=("$name")
  fi
  rm -f "$log"
}
c_format() { git ls-files '*.c' '*.h' '*.cc' | xargs -r "${CLANG_FORMAT:-clang-format-19}" --dry-run -Werror; }
drift() {
  local before after
  before=$(git ls-files -co --exclude-standard proto docs web/src/gen | sort | xargs -r sha256sum)
  tools/gen.sh || return 1
  after=$(git ls-files -co --exclude-standard proto docs web/src/gen | sort | xargs -r sha256sum)
  [ "$before" = "$after" ] || { echo "found generated files that differ from their sources; wanted none. Next: make gen, commit"; diff <(echo "$before") <(echo "$after"); return 1; }
}
lock_hosts() {
  if grep -nE '"resolved": *"https?:' package-lock.json; then
    echo "found package host addresses in package-lock.json; wanted none (.npmrc: omit-lockfile-registry-resolved)"
    return 1
  fi
}
exact_pins() {
  if grep -nE '"[~^][0-9]' package.json ./*/package.json; then echo "found version ranges; wanted exact pins"; return 1; fi
}

step 'biome: lint and format' node_modules/.bin/biome ci --colors=off --max-diagnostics=30 .
step 'oxlint' node_modules/.bin/oxlint --quiet --ignore-pattern proto/gen --ignore-pattern web/src/gen --ignore-pattern '**/dist/**' .
step 'types' node_modules/.bin/tsc -b
step 'types of the BPF tests' node_modules/.bin/tsc -p bpf/tests
step 'import boundaries' node tools/check-imports.js
step 'proto: lint' node_modules/.bin/buf lint
step 'generated code matches its sources' drift
step 'C and C++ format' c_format
step 'shell scripts' bash -c "git ls-files '*.sh' .ci/run | xargs -r shellcheck -S warning"
step 'lock file names no host' lock_hosts
step 'exact pins' exact_pins
if [ ${#failed[@]} -gt 0 ]; then
  printf '\n%d failed: %s\n' "${#failed[@]}" "${failed[*]}"
  exit 1
fi
