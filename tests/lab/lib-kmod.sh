# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For tests of the kernel module inside the lab, after lib.sh: loading and unloading it, and a kernel log in which nothing is wrong.
#
#	kmod_load
#	... "$CTL" ...
#	kmod_unload
#	kmod_log_clean
#	done_testing

MODULE=$BUILD/kmod/$(uname -r)/mmuscope.ko
CTL=$BUILD/tests/lab/kmod/ctl
mmuscope=$BUILD/mmuscope

# The first thing that goes wrong in the kernel is seen, and ends the machine: nothing after it can be trusted.
echo 1 >/proc/sys/kernel/panic_on_oops
echo 1 >/proc/sys/kernel/panic_on_warn

# kmod_load [PARAMETER=VALUE]...: a test; without the module there is nothing to go on with.
kmod_load()
{
	ok "the module loads" insmod "$MODULE" "$@"
	[ -d /sys/module/mmuscope ] || done_testing
	for ((i = 0; i < 100; i++)); do
		[ ! -c /dev/mmuscope ] || return 0
		sleep 0.02
	done
}

# kmod_unload: a test. Whoever has the device open keeps it: a short while for those that are ending.
kmod_unload()
{
	local i

	for ((i = 0; i < 50; i++)); do
		[ "$(cat /sys/module/mmuscope/refcnt)" != 0 ] || break
		sleep 0.1
	done
	ok "the module unloads" rmmod mmuscope
}

# kmod_log_clean: a test: the kernel has complained of nothing since it booted.
kmod_log_clean()
{
	dmesg >"$SCRATCH/dmesg"
	grep -E 'WARNING|BUG:|Oops|Call Trace|general protection|leaked|rcu.*stall|stuck for' "$SCRATCH/dmesg" >"$SCRATCH/dmesg.bad"
	# Not even a message that it could not look.
	[ $? = 1 ] && [ -s "$SCRATCH/dmesg" ]
	result $? "the kernel's log is clean" || diag "$(head -n 10 "$SCRATCH/dmesg.bad")"
}

# kmod_state KEY: files (ours not counted), vms, flips or nmmus.
kmod_state()
{
	"$CTL" state | awk -v key="$1" '$1 == key { print $2 - (key == "files") }'
}

# vm_of NAME: "PID FD" of a fixture guest's VM descriptor.
vm_of()
{
	local pid=${vmm_pid[$1]} link

	for link in "/proc/$pid/fd"/*; do
		[ "$(readlink "$link")" != anon_inode:kvm-vm ] || { echo "$pid ${link##*/}"; return; }
	done
	return 1
}

# vm_gone PID FD: KVM has no directory of that VM any more.
vm_gone()
{
	[ ! -d "/sys/kernel/debug/kvm/$1-$2" ]
}
