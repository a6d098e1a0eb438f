#!/usr/bin/env bash
# docs/cli.md from the command definitions. Deterministic; called by tools/gen.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
npx --no-install tsc -b cli
node cli/dist/docs/main.js > docs/cli.md.new
mv docs/cli.md.new docs/cli.md
