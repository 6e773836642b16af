#!/bin/sh
# First process of a scenario guest.
export PATH=/bin
mkdir -p /proc /sys /dev /run /tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null

name=guest
test=idle
for word in $(cat /proc/cmdline); do
	case $word in
	domb.name=*) name=${word#*=} ;;
	domb.test=*) test=${word#*=} ;;
	esac
done

if [ -f /modules/order ]; then
	while read -r module; do
		insmod "/modules/$module" || echo "GUEST-ERROR $name module $module"
	done </modules/order
fi

memory=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)
type=$(cat /sys/hypervisor/guest_type 2>/dev/null)
echo "GUEST-READY $name nproc=$(nproc) memtotal_kb=$memory guest_type=${type:-none} kernel=$(uname -r)"

case $test in
idle) ;;
poweroff) poweroff -f ;;
reboot) reboot -f ;;
crash)
	echo 1 >/proc/sys/kernel/sysrq
	echo c >/proc/sysrq-trigger
	;;
run)
	/test
	echo "GUEST-DONE $name status=$?"
	poweroff -f
	;;
shell)
	while :; do
		setsid cttyhack sh
	done
	;;
*) echo "GUEST-ERROR $name domb.test=$test: idle, poweroff, reboot, crash, run or shell" ;;
esac
while :; do
	sleep 3600
done
