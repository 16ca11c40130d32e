#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# The kernel module's device and its VMs, inside the lab: who may open it, what it refuses, and that it lets go of a VM at
# each way a VM can end.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-kmod.sh
. "$(dirname "$0")/lib-kmod.sh"

hold_kvm
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
kmod_load
is "mode of the device" "$(stat -c %a /dev/mmuscope)" 600
is "built for this kernel" "$("$CTL" version | awk '$1 == "release" { print $2 }')" "$(uname -r)"
is "not without CAP_SYS_ADMIN, for root either" "$("$CTL" nobody)" "open EPERM"

# --- what is refused ---
start_vmm g --pages 20
wait_checkpoint g 1
read -r pid fd < <(vm_of g)
"$CTL" refuse "$pid" "$fd" >"$SCRATCH/refused"
sort >"$SCRATCH/wanted" <<'WANTED'
dev-kvm EINVAL
eventfd EINVAL
itself EINVAL
kernel-memory EFAULT
layout-again EALREADY 0
layout-at-the-end EINVAL 10
layout-behind-the-end EINVAL 10
layout-big EINVAL 22
layout-empty EINVAL 22
layout-good OK 0
layout-no-role EINVAL 9
layout-odd EINVAL 10
layout-overlap EINVAL 11
layout-pad EINVAL 0
layout-size EINVAL 11
no-descriptor EBADF
no-memory EFAULT
no-number ENOTTY
no-request ENOTTY
other-direction EINVAL
other-size EINVAL
other-type ENOTTY
pad EINVAL
read EINVAL
seek ESPIPE
the-vm OK
twice EBUSY
write EINVAL
WANTED
refused()
{
	sort "$SCRATCH/refused" | diff "$SCRATCH/wanted" - >"$SCRATCH/diff"
	result $? "$1" || diag "$(cat "$SCRATCH/diff")"
}
refused "what must be refused is, each for its reason"
is "no session is left" "$(kmod_state files)" 0
is "no VM is left" "$(kmod_state vms)" 0

flips_none()
{
	[ "$(kmod_state flips)" = 0 ]
}

# hold NAME: a session on that guest, until the file descriptor `holder' is closed.
hold()
{
	mkfifo "$SCRATCH/hold.in"
	# shellcheck disable=SC2046 # pid and descriptor
	"$CTL" hold $(vm_of "$1") <"$SCRATCH/hold.in" >"$SCRATCH/hold.out" &
	holder_pid=$!
	exec {holder}>"$SCRATCH/hold.in"
	rm "$SCRATCH/hold.in"
	within_s 5 grep -q attached "$SCRATCH/hold.out"
}

unhold()
{
	exec {holder}>&-
	wait "$holder_pid"
}

# --- a VM's ends ---
ok "a session takes a VM" hold g
is "and has it" "$(kmod_state vms)" 1
is "it names the VM as the live target does" "$(awk '{ print $2 }' "$SCRATCH/hold.out")" \
	"$("$mmuscope" vms -j | jq -r ".vms[] | select(.pid == $pid) | .kvm")"
ok "a VM stays usable" vmm_ctl g go
end_vmm g KILL 2>/dev/null
within_s 1 vm_gone "$pid" "$fd"
result $? "killed, the VM is gone within a second, the session still open"
is "and the module has none" "$(kmod_state vms)" 0
unhold
is "the session had none either" "$(tail -n 1 "$SCRATCH/hold.out")" "vms 0"

# The VMM goes on without the VM, of which nobody tells the module; and it becomes another program with the VM still open.
"$CTL" lose >"$SCRATCH/lose"
is "a VM with its descriptor open is held" "$(head -n 1 "$SCRATCH/lose")" "held 1"
ms=$(sed -n 's/^let go after \([0-9]*\) ms$/\1/p' "$SCRATCH/lose")
cmp_ok "closed by a VMM that lives on, it is let go of" "${ms:-9999}" -lt 1000
ms=$("$CTL" exec | sed -n 's/^let go after \([0-9]*\) ms$/\1/p')
cmp_ok "so it is when its process becomes another program" "${ms:-9999}" -lt 1000

# --- sessions come and go ---
start_vmm g --pages 20
wait_checkpoint g 1
read -r pid fd < <(vm_of g)
gfn=$(truth_get g gfn slot id=1)
# Another session keeps what is dear to set up, a VM's tracker and the guard: these come and go in 92-wp.sh.
"$BUILD/tests/lab/kmod/wp" flip "$pid" "$fd" $((gfn + 1)) 1 >"$SCRATCH/keeper" &
keeper=$!
within_s 5 grep -q on "$SCRATCH/keeper"

# used: CACHE OBJECTS of all caches that the module's objects may come from, and KiB of vmalloc.
used()
{
	local cache

	# Else what is free in a CPU's own slabs counts.
	for cache in /sys/kernel/slab/*; do
		[ -L "$cache" ] || echo 1 >"$cache/shrink"
	done 2>/dev/null
	awk '$1 ~ /^(kmalloc|radix_tree_node)/ { print $1, $2 }' /proc/slabinfo
	awk '/^VmallocUsed:/ { print "vmalloc-KiB", $2 }' /proc/meminfo
}

# grown LIMIT: what has more by so many than in $SCRATCH/before.
grown()
{
	used >"$SCRATCH/after"
	awk -v limit="$1" 'NR == FNR { was[$1] = $2; next } $2 - was[$1] >= limit { print $1, $2 - was[$1] }' \
		"$SCRATCH/before" "$SCRATCH/after"
}

none_grown()
{
	[ -z "$(grown "$1")" ]
}
ok "sessions come and go" "$CTL" whole 50 "$pid" "$fd" "$gfn"
used >"$SCRATCH/before"
cmp_ok "caches are counted" "$(wc -l <"$SCRATCH/before")" -gt 10
start_us=${EPOCHREALTIME/./}
ok "a thousand more, each with a reading, a flip and an instance" "$CTL" whole 1000 "$pid" "$fd" "$gfn"
diag "! a session: $(((${EPOCHREALTIME/./} - start_us) / 1000)) us"
# What is freed after a grace period is freed a while later. One small object a session would be 1,000.
within_s 10 none_grown 500
result $? "no cache of the kernel's has an object more for each of them" || diag "$(grown 500)"
diag "! after 1,000 sessions: $(grown 20 | tr '\n' ' ')"
kill -KILL $keeper
wait $keeper 2>/dev/null
within_s 3 flips_none
result $? "and no flip is left"
is "no VM is left" "$(kmod_state vms)" 0
for ((n = 0; n < 20; n++)); do
	"$CTL" cycle 100000 "$pid" "$fd" &
	sleep 0.05
	kill -KILL $!
	wait $!
done 2>/dev/null
within_s 2 test "$(kmod_state vms)" = 0
result $? "killed sessions leave nothing"

# --- a kernel that does not export file_is_kvm() ---
kmod_unload
MODULE=$BUILD/kmod-without/$(uname -r)/mmuscope.ko
is "it asks the kernel for no file_is_kvm" "$(nm -u "$MODULE" | grep -cE 'file_is_kvm|kvm_get_kvm$')" 1
kmod_load
"$CTL" refuse "$pid" "$fd" >"$SCRATCH/refused"
refused "VMs are told from other files all the same"

# --- unloading ---
hold g
rmmod mmuscope 2>"$SCRATCH/err"
result $((! $?)) "it does not unload while it is used"
ok "says so" grep -q 'in use' "$SCRATCH/err"
unhold
end_vmm g
kmod_unload
kmod_log_clean
done_testing
