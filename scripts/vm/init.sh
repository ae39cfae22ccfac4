#!/bin/busybox sh
# The guest's first process: mounts the host's root, read-only, under a layer of memory, and goes on in there.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
exec < /dev/console > /dev/console 2>&1
while read -r module; do $b insmod "/modules/$module"; done < /modules/order
options=trans=virtio,version=9p2000.L,msize=512000
$b mount -t 9p -o $options,ro,cache=loose host /host
$b mount -t tmpfs over /over
$b mkdir /over/upper /over/work
$b mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work root /root
$b mkdir -p /root/share /root/proc /root/sys /root/dev
$b mount -t 9p -o $options,rw,cache=none share /root/share
for name in proc sys dev; do $b mount --move /$name /root/$name; done
for word in $($b cat /root/proc/cmdline); do
  case $word in ringtap.run=*) run=${word#*=} ;; esac
done
exec $b switch_root /root /bin/sh "$run/guest.sh" "$run"
