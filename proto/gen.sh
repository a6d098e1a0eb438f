#!/usr/bin/env bash
# Regenerates proto/descriptor.binpb, what the controller's gRPC reflection answers with. It stands beside proto/gen, not inside: `buf
# generate` empties that folder, and a controller without the file does not start.
set -euo pipefail
cd "$(dirname "$0")/.."
node_modules/.bin/buf build --exclude-source-info -o proto/descriptor.binpb
rm -f proto/gen/descriptor.binpb
