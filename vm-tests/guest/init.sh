#!/bin/sh
# First process of a guest: mounts, modules, checks, power off. Ends in a power-off whatever happens.
export PATH=/usr/bin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /sys/fs/cgroup /sys/fs/bpf
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
while read -r module; do insmod "/modules/$module.ko" || echo "init: no module $module"; done < /modules/order
ip link set lo up
node /rf/vm-tests/dist/guest/main.js /dev/ttyS1
echo "init: checks ended with $?"
poweroff -f
