#!/bin/bash
# Measures xl in the stock Dom0. Prints "BENCH <what> <value>": seconds, or MiB where the name says so.
#   dom0-bench tiny COUNT    COUNT domains of /bench/tiny.elf side by side, then destroys them
#   dom0-bench guest NAME COUNT   COUNT times the guest of /bench/NAME.cfg: create, first line of its user space, destroy
#   dom0-bench memory
LC_ALL=C.UTF-8

# since START: the seconds since START, a value of EPOCHREALTIME.
since() {
	local now=$EPOCHREALTIME
	local us=$((${now/./} - ${1/./}))
	printf '%d.%06d' $((us / 1000000)) $((us % 1000000))
}

create() { # what config name
	local start=$EPOCHREALTIME
	if xl -f create -q "$2" "name=\"$3\"" >/tmp/xl.log 2>&1; then
		echo "BENCH $1 $(since "$start")"
	else
		echo "BENCH-ERROR $1: $(tail -n 3 /tmp/xl.log | tr '\n' ' ')"
		return 1
	fi
}

destroy() { # what name
	local start=$EPOCHREALTIME
	xl destroy "$2" >/tmp/xl.log 2>&1 && echo "BENCH $1 $(since "$start")"
}

# seen TEXT FILE: waits until the file has the text. A read of nothing is a pause that starts no program.
seen() {
	[ -p /run/nothing ] || mkfifo /run/nothing
	for _ in $(seq 600); do
		grep -qs "$1" "$2" && return
		read -r -t 0.2 <>/run/nothing
	done
	return 1
}

case $1 in
tiny)
	for n in $(seq "$2"); do create tiny-create /bench/tiny.cfg "tiny$n" || break; done
	for n in $(seq "$2"); do destroy tiny-destroy "tiny$n"; done
	;;
guest)
	for n in $(seq "$3"); do
		start=$EPOCHREALTIME
		log=/var/log/xen/console/guest-$2.log
		rm -f "$log"
		create "$2-create" "/bench/$2.cfg" "$2" || break
		if seen GUEST-READY "$log"; then
			echo "BENCH $2-ready $(since "$start")"
		else
			echo "BENCH-ERROR $2-ready: $(tail -n 3 "$log" 2>&1 | tr '\n' ' ')"
			break
		fi
		destroy "$2-destroy" "$2"
	done
	;;
memory)
	awk '/^MemTotal:/ { print "BENCH dom0-mib", $2 / 1024 }
	     /^MemAvailable:/ { print "BENCH dom0-available-mib", $2 / 1024 }' /proc/meminfo
	xl info | awk '$1 == "total_memory" { print "BENCH host-mib", $3 }
	     $1 == "free_memory" { print "BENCH host-free-mib", $3 }'
	df -m --output=used / | awk 'NR == 2 { print "BENCH root-file-system-mib", $1 }'
	;;
esac
echo "BENCH-DONE $1"
