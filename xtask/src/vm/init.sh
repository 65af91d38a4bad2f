#!/bin/busybox sh
# Process 1 of the guest: mounts the usual file systems, runs /command and prints its exit code to the
# console for xtask.
export PATH=/bin:/sbin HOME=/root
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
while read -r module; do
    insmod "$module" || echo "init: cannot load $module"
done <ORDER_FILE
hostname guest
ip link set lo up
stty -onlcr 2>/dev/null
/bin/busybox sh /command
code=$?
# The marker must be at the start of a line.
printf '\nEXIT_MARKER%s\n' "$code"
poweroff -f
