#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# A kernel without BTF of kvm, inside the lab: types come from debug files with the build-ids that this kernel tells, and what is read
# with them is what is read with BTF. The debug files are KVM's own sources compiled with -g (scripts/types), under these build-ids.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-listen.sh
. "$(dirname "$0")/lib-listen.sh"

mmuscope=$BUILD/mmuscope
release=$(uname -r)
case $release in
6.12.*) series=6.12 ;;
*) series=6.1 ;;
esac
diag "kernel $release"
types=$("$(dirname "$0")/../../scripts/types" "$series") && [[ $types == */"$release"-* ]]
result $? "types of this kernel are at hand" || diag "scripts/types $series: '$types'"

# build_id NOTES: of its note of 20 bytes, type 3, name GNU.
build_id()
{
	od -An -v -tx1 "$1" | tr -d ' \n' | sed 's/.*1400000003000000474e5500\(.\{40\}\).*/\1/'
}

# debug_file ID OUT OBJECT...: the objects as one, with that build-id.
debug_file()
{
	local id=$1 out=$2

	shift 2
	mkdir -p "$(dirname "$out")" && {
		printf '.section .note.gnu.build-id,"a",@note\n.long 4, %d, 3\n.asciz "GNU"\n' $((${#id} / 2))
		sed 's/../.byte 0x&\n/g' <<<"$id"
	} >"$SCRATCH/id.s" && as -o "$SCRATCH/id.o" "$SCRATCH/id.s" && ld -r -o "$out" "$@" "$SCRATCH/id.o"
}

# without_btf COMMAND...: where the kernel has no BTF of its modules.
cp /sys/kernel/btf/vmlinux "$SCRATCH/btf"
without_btf()
{
	unshare -m sh -c 'btf=$1 && shift && mount -t tmpfs none /sys/kernel/btf && cp "$btf" /sys/kernel/btf/vmlinux && exec "$@"' \
		- "$SCRATCH/btf" "$@"
}

# fails STATUS PATTERN COMMAND...: that status, nothing on stdout, one line on stderr (and a hint line at most) that matches.
fails()
{
	local want=$1 pattern=$2 status
	shift 2
	"$@" >"$SCRATCH/out" 2>"$SCRATCH/err"
	status=$?
	[ "$status" -eq "$want" ] && [ ! -s "$SCRATCH/out" ] && grep -qE "$pattern" "$SCRATCH/err" && [ "$(wc -l <"$SCRATCH/err")" -le 2 ]
	result $? "status $want, /$pattern/" ||
		diag "status $status; stdout: $(head -c 200 "$SCRATCH/out"); stderr:" "$(head -n 5 "$SCRATCH/err")"
}

# take FILE COMMAND...: all that a command line of mmuscope reads of the guest.
take()
{
	local file=$1 what

	shift
	for what in vms mmus 'sps --list'; do
		case $what in
		vms) "$@" $what -j ;;
		*) "$@" $what --vm "${vmm_pid[g]}" -j ;;
		esac | jq 'del(.provenance.time)' || return
	done >"$file"
}

# same_read NAME COMMAND...: what it reads is what was read with BTF.
same_read()
{
	local name=$1 from=${EPOCHREALTIME/./}

	shift
	take "$SCRATCH/got" "$@" && cmp -s "$SCRATCH/got" "$SCRATCH/want"
	result $? "$name" || diag "$(diff "$SCRATCH/want" "$SCRATCH/got" | head -n 10)"
	diag "! $name: three commands in $(((${EPOCHREALTIME/./} - from) / 1000)) ms"
}

# types_row COMMAND...: what doctor says of types.
types_row()
{
	"$@" doctor -j | jq -r '(.checks[] | select(.check == "types") | .status, .detail), .verdict.live' | paste -sd '|'
}

hold_kvm
start_vmm g --mode nested --pages 100
wait_checkpoint g 1
take "$SCRATCH/want" "$mmuscope"
result $? "read with BTF"
cmp_ok "that is something" "$(jq -s '[.[].sps // [] | length] | add' "$SCRATCH/want")" -ge 10
take "$SCRATCH/again" "$mmuscope"
ok "the guest is still" cmp "$SCRATCH/want" "$SCRATCH/again"
is "doctor: BTF" "$(types_row "$mmuscope")" "ok|BTF /sys/kernel/btf/kvm, BTF /sys/kernel/btf/vmlinux|ok"

# --- nothing to be found ---
kvm_id=$(build_id /sys/module/kvm/notes/.note.gnu.build-id)
kernel_id=$(build_id /sys/kernel/notes)
fails 3 "no BTF /sys/kernel/btf/kvm: no debug file of kvm with build-id $kvm_id: looked for /usr/lib/debug/.build-id/" without_btf "$mmuscope" vms
fails 3 "BTF /sys/kernel/btf/kvm: No such file" without_btf "$mmuscope" vms --types btf
fails 3 "no debug file of kvm with build-id $kvm_id" "$mmuscope" vms --types dwarf
is "doctor: missing" "$(types_row without_btf "$mmuscope")" "missing|no BTF /sys/kernel/btf/kvm: no debug file of kvm with build-id $kvm_id|missing"

# --- by build-id, the kernel's own types by BTF ---
file=/usr/lib/debug/.build-id/${kvm_id:0:2}/${kvm_id:2}.debug
ok "kvm's debug file" debug_file "$kvm_id" "$file" "$types/kvm.5.o" "$types/intel.5.o"
is "doctor: DWARF" "$(types_row without_btf "$mmuscope")" "ok|DWARF $file, BTF /sys/kernel/btf/vmlinux|ok"
same_read "kvm by build-id" without_btf "$mmuscope"

# --- no BTF is used at all; the kernel's debug file is where Debian has it ---
is "doctor: vmlinux is lacking" "$(types_row "$mmuscope" --types dwarf)" \
	"limited|DWARF $file; no debug file of vmlinux with build-id $kernel_id|limited"
same_read "without the kernel's debug file" "$mmuscope" --types dwarf
ok "the kernel's debug file" debug_file "$kernel_id" "/usr/lib/debug/boot/vmlinux-$release" "$types/ksyms.5.o"
is "doctor: both" "$(types_row "$mmuscope" --types dwarf)" "ok|DWARF $file, DWARF /usr/lib/debug/boot/vmlinux-$release|ok"
same_read "both by DWARF" "$mmuscope" --types dwarf

# --- files that are named ---
same_read "files without build-id, DWARF 4" "$mmuscope" --types "$types/kvm.4.o,$types/ksyms.4.o"
ok "of another build" debug_file "${kvm_id%??}00" "$SCRATCH/theirs" "$types/kvm.5.o"
fails 3 "theirs is of another kernel: its build-id ${kvm_id%??}00" "$mmuscope" vms --types "$SCRATCH/theirs"

# --- listening finds its functions by BTF, what they are given by DWARF ---
"$mmuscope" events --event spte_set,fault --follow --types dwarf >"$SCRATCH/events" 2>"$SCRATCH/err" </dev/null &
events=$!
listening_by "$SCRATCH/err" "$events"
start_vmm h --pages 10
wait_checkpoint h 1
end_vmm h
sleep 1
kill -INT "$events"
wait "$events"
is "events" "$?|$(grep -vE "^mmuscope: (attaching [0-9]+ probes, behind|listening by [1-9])" "$SCRATCH/err" | head -c 300)" "0|"
cmp_ok "events: its SPTEs are told" "$(grep -c ' spte_set .*0x' "$SCRATCH/events")" -ge 10

# --- damaged ---
size=$(stat -c %s "$file")
dd if=/dev/zero of="$file" bs=1024 seek=$((size / 4096)) count=$((size / 4096)) conv=notrunc status=none
fails 3 "$file" without_btf "$mmuscope" vms
truncate -s $((size / 2)) "$file"
fails 3 "no debug file of kvm with build-id $kvm_id" without_btf "$mmuscope" vms
end_vmm g
done_testing
