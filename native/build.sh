#!/usr/bin/env bash
# Builds the addon (build/Release/ringfence.node) and the BPF programs of its tests (build/*.bpf.o). Does nothing when neither the
# sources nor the Node that runs it have changed. V=1 shows all compiler output.
set -euo pipefail
cd "$(dirname "$0")"
node=$(command -v node)
clang=${CLANG:-$(command -v clang-19 || command -v clang || true)}
if [ -z "$clang" ]; then
  echo "native: found no clang; wanted clang-19 (or CLANG=path). Next: apt-get install clang-19" >&2
  exit 1
fi
# Headers lie beside the Node that runs: $prefix/bin/node and $prefix/include/node. Without them node-gyp would have to download.
prefix=$(node -p 'require("node:path").resolve(process.execPath, "../..")')
if [ ! -e "$prefix/include/node/node_api.h" ]; then
  echo "native: found no $prefix/include/node/node_api.h; wanted the headers of $node. Next: make setup" >&2
  exit 1
fi
mkdir -p build
# Two builds at once would write the same files.
exec 9> build/lock
flock 9

stamp() { # what the result depends on: contents, not times, since a checkout changes those
  {
    node -p 'process.version'
    "$clang" --version | head -n 1
    dpkg-query -W -f '${Version}\n' libbpf-dev 2>/dev/null || true
    sha256sum binding.gyp build.sh src/* test-programs/*
  } | sha256sum
}
now=$(stamp)
if [ -e build/Release/ringfence.node ] && [ "$(cat build/stamp 2>/dev/null)" = "$now" ]; then
  exit 0
fi
rm -f build/stamp

export npm_package_config_node_gyp_nodedir="$prefix"
gyp=../node_modules/node-gyp/bin/node-gyp.js
verbose=${V:+--verbose}
if [ ! -e build/Makefile ] || [ binding.gyp -nt build/Makefile ] || [ "$(cat build/node-prefix 2>/dev/null)" != "$prefix" ]; then
  node "$gyp" configure --loglevel=warn ${verbose:+"$verbose"}
  echo "$prefix" > build/node-prefix
fi
node "$gyp" build --loglevel=warn -j "$(nproc)" ${verbose:+"$verbose"}

# Debian keeps asm/types.h in the multiarch folder, which -target bpf does not search.
multiarch=/usr/include/$("$clang" -print-target-triple 2>/dev/null | sed 's/-pc-/-/; s/-unknown-/-/')
for source in test-programs/*.bpf.c; do
  "$clang" -O2 -g -target bpf -Wall -Werror -I"$multiarch" -c "$source" -o "build/$(basename "$source" .c).o"
done
echo "$now" > build/stamp
