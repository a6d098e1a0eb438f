#!/usr/bin/env bash
# Regenerates everything generated and committed. Deterministic: running it twice changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
node_modules/.bin/buf generate
# Each part that generates more (schemas, command reference) brings a script named gen.sh.
for script in */gen.sh; do
  [ "$script" = tools/gen.sh ] || "$script"
done
