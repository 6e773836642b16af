#!/bin/sh
# First process of the stock Dom0: mounts the root file system and hands over to systemd.
export PATH=/bin
mkdir -p /proc /sys /dev /root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
while read -r module; do
	insmod "/modules/$module" || echo "DOM0-ERROR module $module"
done </modules/order
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /root || echo "DOM0-ERROR cannot mount the root file system"
umount /proc /sys
exec switch_root /root /sbin/init
