#!/usr/bin/env bash
# Prints the directory that holds a Node new enough to build and run Ringfence, fetching one from npm when this machine's is
# older. Everything else sources this so that npm itself also runs under that Node.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
want=24.21.0
prefix="$top/.tools/node"
inner="$prefix/node_modules/node/node_modules/node-linux-$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')"
major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
if [ "$major" -ge 24 ]; then
  dirname "$(command -v node)"
  exit 0
fi
if ! command -v npm >/dev/null; then
  echo "setup: found no npm; wanted npm with Node 18 or later. Next: apt-get install npm" >&2
  exit 1
fi
if [ ! -x "$inner/bin/node" ] || [ "$("$inner/bin/node" -v)" != "v$want" ]; then
  mkdir -p "$prefix"
  echo '{"private":true}' > "$prefix/package.json"
  npm install --prefix "$prefix" --no-save --no-audit --no-fund --loglevel=error "node@$want" >&2
fi
echo "$inner/bin"
