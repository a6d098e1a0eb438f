#!/usr/bin/env bash
# Compiles every bpf/*.bpf.c to bpf/build/*.bpf.o, and bpf/tests/*.bpf.c to bpf/build/tests/. Incremental: an object is rebuilt when
# its source, a header, this script or the compiler changed. CLANG chooses another compiler.
set -euo pipefail
cd "$(dirname "$0")"
clang=${CLANG:-$(command -v clang-19 || command -v clang || true)}
[ -n "$clang" ] || { echo "Cannot build bpf: found no clang, wanted clang-19 or clang (apt-get install clang-19)" >&2; exit 1; }
strip=$(command -v llvm-strip-19 || command -v llvm-strip || true)
arch=$(uname -m)
mkdir -p build/tests
stamp=build/.compiler
"$clang" --version | head -n 1 > "$stamp.new"
cmp -s "$stamp.new" "$stamp" || mv "$stamp.new" "$stamp"
rm -f "$stamp.new"
flags=(-O2 -g -target bpf -mcpu=v3 -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Werror -I. "-I/usr/include/$arch-linux-gnu")
for source in *.bpf.c tests/*.bpf.c; do
  object=build/${source%.c}.o
  if [ -f "$object" ] && [ -z "$(find "$source" lib build.sh "$stamp" -newer "$object" -print -quit)" ]; then continue; fi
  "$clang" "${flags[@]}" -c "$source" -o "$object.new"
  # Keeps BTF and symbols, drops DWARF.
  [ -z "$strip" ] || "$strip" -g "$object.new"
  mv "$object.new" "$object"
  echo "bpf: $object"
done
# Objects whose source is gone.
for object in build/*.bpf.o build/tests/*.bpf.o; do
  name=${object#build/}
  [ -f "${name%.o}.c" ] || rm -f "$object"
done
