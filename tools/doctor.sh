#!/usr/bin/env bash
# Says what this machine has and lacks, with the fix for each. Every check runs even when one fails; needs nothing but a shell.
# Exit 1 when something that `make run` needs is missing. Lines marked "test" matter only to `make test` and `make demo`.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export PATH="$PATH:/usr/sbin:/sbin"
bad=0
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then green=$'\e[32m' red=$'\e[31m' yellow=$'\e[33m' off=$'\e[0m'; else green='' red='' yellow='' off=''; fi
ok() { printf '%s%-5s%s %-16s %s\n' "$green" ok "$off" "$1" "$2"; }
lacking() { printf '%s%-5s%s %-16s %s\n      %-16s fix: %s\n' "$red" LACK "$off" "$1" "$2" '' "$3"; bad=1; }
warn() { printf '%s%-5s%s %-16s %s\n      %-16s fix: %s\n' "$yellow" warn "$off" "$1" "$2" '' "$3"; }

major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo none)
if [ "$major" != none ] && [ "$major" -ge 24 ]; then ok node "$(node -v)"
elif [ -s .tools/node-bin ] && [ -x "$(cat .tools/node-bin)/node" ]; then ok node "$("$(cat .tools/node-bin)/node" -v) (from npm, beside the system's $major)"
elif command -v npm >/dev/null; then warn node "found $major, wanted 24" "make setup (brings Node 24 from npm into .tools)"
else lacking node "found neither Node 24 nor npm" "apt-get install npm, then make setup"; fi

if command -v clang-19 >/dev/null; then ok clang "$(clang-19 --version | head -n 1)"
elif command -v clang >/dev/null; then ok clang "$(clang --version | head -n 1)"
else lacking clang "no clang: BPF programs cannot be compiled" "apt-get install clang-19"; fi

if [ -e /usr/include/bpf/libbpf.h ]; then ok libbpf "$(pkg-config --modversion libbpf 2>/dev/null || echo headers found)"
else lacking libbpf "no /usr/include/bpf/libbpf.h" "apt-get install libbpf-dev libelf-dev zlib1g-dev"; fi

if command -v g++ >/dev/null; then ok g++ "$(g++ --version | head -n 1)"; else lacking g++ "no C++ compiler: the native addon cannot be built" "apt-get install g++ make python3"; fi

release=$(uname -r)
at_least() { [ "$(printf '%s\n' "$1" "${release%%-*}" | sort -V | head -n 1)" = "$1" ]; }
if at_least 6.18; then ok kernel "$release"
elif at_least 5.12; then warn kernel "found $release; every test runs on 6.18, older ones are little tried" "see docs/kernels.md, or install a newer kernel package and reboot"
else lacking kernel "found $release, wanted 5.12 or later (6.18 is what is tested)" "install a newer kernel package and reboot; see docs/kernels.md"; fi
if [ -r /sys/kernel/btf/vmlinux ]; then ok BTF "/sys/kernel/btf/vmlinux"
else lacking BTF "no /sys/kernel/btf/vmlinux" "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian's are)"; fi

cgroup2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
if [ -n "$cgroup2" ]; then ok 'cgroup v2' "$cgroup2"
else lacking 'cgroup v2' "no cgroup2 file system mounted" "mount -t cgroup2 none /sys/fs/cgroup/unified, or boot with systemd.unified_cgroup_hierarchy=1"; fi
if awk '$3 == "bpf" { found = 1 } END { exit !found }' /proc/mounts; then ok bpffs "$(awk '$3 == "bpf" { print $2; exit }' /proc/mounts)"
else warn bpffs "not mounted yet" "the agent mounts /sys/fs/bpf itself when it may; or: mount -t bpf bpf /sys/fs/bpf"; fi

have=$(awk '/^CapEff/ { print $2 }' /proc/self/status)
need() { # bit name
  if [ $(( (0x$have >> $1) & 1 )) = 1 ]; then ok "$2" effective; else warn "$2" "not in the effective set of this shell" "run as root: sudo make run"; fi
}
need 39 CAP_BPF
need 12 CAP_NET_ADMIN
need 38 CAP_PERFMON

if command -v nft >/dev/null; then ok nft "$(nft --version 2>/dev/null | head -n 1)"; else warn 'nft (test)' "not found" "apt-get install nftables"; fi
if [ -S /var/run/docker.sock ]; then ok docker "socket /var/run/docker.sock"
elif command -v dockerd >/dev/null; then ok docker "$(dockerd --version) (no daemon running; tests start their own)"
else warn 'docker (test)' "no socket and no dockerd: containers cannot be seen, Docker tests are skipped" "apt-get install docker.io"; fi

[ "$bad" = 0 ] && echo "Everything that make run needs is here." || echo "Some of what make run needs is missing; see the fixes above."
exit "$bad"
