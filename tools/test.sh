#!/usr/bin/env bash
# Runs every test that this machine allows, says what was skipped and why, and ends with one line that counts.
# In CI (CI=true) a skipped test or group is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
status=0
skipped_groups=()

run() { # project
  printf '\n== %s tests\n' "$1"
  node_modules/.bin/vitest run --project "$1" --passWithNoTests --reporter=default --reporter=json \
    --outputFile.json="$report/$1.json" || status=1
}

run unit
if [ "$(id -u)" != 0 ]; then
  skipped_groups+=("kernel, container and end-to-end tests: need root (next step: sudo make test)")
elif [ ! -r /sys/kernel/btf/vmlinux ]; then
  skipped_groups+=("kernel, container and end-to-end tests: this kernel has no BTF (/sys/kernel/btf/vmlinux)")
else
  run root
fi

echo
for group in "${skipped_groups[@]}"; do echo "skipped: $group"; done
node tools/count-tests.js "$report" "${#skipped_groups[@]}" || status=1
exit $status
