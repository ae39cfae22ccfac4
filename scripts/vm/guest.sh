# Sets the guest up and runs the command: guest.sh <folder of this run>. The host reads three ports: the command's
# output, its errors, and what has become of it.
run=$1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
{
  mkdir -p /dev/pts /dev/shm /dev/hugepages
  mount -t devpts devpts /dev/pts
  for at in /dev/shm /run; do mount -t tmpfs tmpfs $at; done
  mount -t bpf bpf /sys/fs/bpf
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mount -t hugetlbfs -o pagesize=2M hugetlbfs /dev/hugepages
  hostname guest
  ip link set lo up
  # The host's own /etc/modprobe.d and the like are not for this kernel.
  mkdir -p "/lib/modules/$(uname -r)"
  . "$run/settings.sh"
  mount --bind "$modules" "/lib/modules/$(uname -r)"
  echo "$hugepages" > /proc/sys/vm/nr_hugepages
  # Nothing but what a sender sends shall arrive.
  echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
  for module in $drivers; do modprobe "$module"; done
  # NIC i is nic<i>, and the one at the other end of its cable is peer<i>: their addresses tell.
  for at in /sys/class/net/*; do
    case $(cat "$at/address") in
      52:54:00:00:*:01) name=nic ;;
      52:54:00:00:*:02) name=peer ;;
      *) continue ;;
    esac
    number=$(cut -d: -f5 "$at/address")
    ip link set "${at##*/}" name "$name$((0x$number))"
  done
  mkfifo /run/out /run/err
} > /dev/console 2>&1 < /dev/null

# vport<device>p<port>. The shell keeps them open: a port has one opener at a time.
exec 3> "$(echo /dev/vport*p1)" 4> "$(echo /dev/vport*p2)" 5> "$(echo /dev/vport*p3)"
echo "ready $(cut -d' ' -f1 /proc/uptime)" >&5
cat /run/out >&3 &
cat /run/err >&4 &
# A PID namespace: with the command end all processes that it left, and with them its output.
unshare --pid --fork --kill-child --mount-proc sh "$run/command.sh" > /run/out 2> /run/err < /dev/null 3>&- 4>&- 5>&-
code=$?
wait
sync
echo "exit $code" >&5
exec sleep infinity
