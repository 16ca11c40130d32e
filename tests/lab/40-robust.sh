#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd intel
#
# Bad conditions on a real kernel, inside the lab: no VM, no root, no BTF, no KVM, guests that die under the walk, many pages, hostile
# names. One clear line and the right status each time. On Intel, whose emulator is slow, what depends on the vendor.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/conform/take.sh
. "$(dirname "$0")/../conform/take.sh"

mmuscope=$BUILD/mmuscope
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed, kernel $(uname -r)"

# fails STATUS PATTERN COMMAND...: that status, nothing on stdout, one line on stderr (and a hint line at most) that matches.
fails()
{
	local want=$1 pattern=$2 status
	shift 2
	"$@" >"$SCRATCH/out" 2>"$SCRATCH/err"
	status=$?
	[ "$status" -eq "$want" ] && [ ! -s "$SCRATCH/out" ] && grep -qE "$pattern" "$SCRATCH/err" && [ "$(wc -l <"$SCRATCH/err")" -le 2 ]
	result $? "status $want, /$pattern/: ${*##*/}" ||
		diag "status $status; stdout: $(head -c 200 "$SCRATCH/out"); stderr:" "$(head -n 5 "$SCRATCH/err")"
}

# --- other ways to page: pages all on the legacy list, and true shadow paging ---
# other NAME MODE "KVM OPTIONS" "KVM_AMD OR KVM_INTEL OPTIONS" ROOT-ROLE: all pages found, the walk closed, KVM's counters met.
other()
{
	local got

	modules "$3" "$4"
	result $? "$1: modules" || return
	start_vmm o --seed "$seed" --mode "$2" --pages 150 --ro 5
	wait_checkpoint o 1
	"$mmuscope" sps --list -j >"$SCRATCH/o.json"
	"$mmuscope" mmus -j >>"$SCRATCH/o.json"
	"$mmuscope" vms -j >>"$SCRATCH/o.json"
	mapfile -t got < <(jq -rs '.[0] as $s | .[1] as $m | .[2] as $v |
		($s.provenance | (.walk | tojson), .pages - .confirmed), ($s.sps | length), $v.vms[0].used_pages,
		([$s.sps[] | select(.level == 1) | .leaves] | add),
		([$m.roots[] | select(.which == "current" and .mmu == "root")][0].role)' "$SCRATCH/o.json")
	is "$1: the walk closed" "${got[0]-}" '["legacy"]'
	is "$1: all confirmed" "${got[1]-}" 0
	is "$1: pages as KVM counts them" "${got[2]-}" "${got[3]-no answer}"
	is "$1: leaves as KVM counts them" "${got[4]-}" "$(kvmstat o pages_4k)"
	is "$1: root's role" "${got[5]-}" "$5"
	end_vmm o
}

# --- no KVM at all ---
no_kvm()
{
	if modprobe -r "kvm_$vendor" kvm 2>"$SCRATCH/err"; then
		fails 3 'KVM is not loaded' "$mmuscope" vms
		ok "modules back" modprobe "kvm_$vendor"
		status_is "and KVM is found again" 0 "$mmuscope" vms
	else
		result 1 "KVM can be unloaded after we looked at it: we hold nothing" || diag "$(cat "$SCRATCH/err")"
	fi
}

if [ "$vendor" = intel ]; then
	is "doctor is content here" "$("$mmuscope" doctor -j |
		jq -r '.verdict.live, (.checks[] | select(.check == "kvm-vendor" or .check == "ept") | .status, .detail)' | paste -sd ' ')" "ok ok kvm_intel ok on"
	other "no TDP MMU" plain tdp_mmu=0 '' 0x3784
	other "shadow paging" plain '' ept=0 0x3704
	is "doctor says that EPT is off" "$("$mmuscope" doctor -j | jq -r '.checks[] | select(.check == "ept") | .detail')" off
	no_kvm
	done_testing
fi

# --- no VM ---
status_is "no VM: vms is an answer" 0 "$mmuscope" vms
is "no VM: and it is empty" "$("$mmuscope" vms -j | jq -c .vms)" "[]"
fails 2 'no VM|no virtual machine' "$mmuscope" sps
fails 2 '4242' "$mmuscope" sps --vm 4242
# frame_of WORDS...: the target that a frame's first line names, and whether the frame says that it is simulated.
frame_of()
{
	LC_ALL=C.UTF-8 "$@" --frame | awk '
		NR == 1 && $2 == "SIMULATED" { print $3; print "said" }
		NR == 1 && $2 != "SIMULATED" { print $2 }' | paste -sd ' '
}
is "no VM: the interface shows the simulated one and says so" "$(frame_of "$mmuscope")" "sim said"
is "no VM: not where live was asked for" "$(frame_of "$mmuscope" -T live)" "live"
is "no rights: simulated too" "$(frame_of setpriv --reuid 65534 --clear-groups --inh-caps=-all "$mmuscope")" "sim said"

# --- no rights, no BTF, no address ---
fails 3 'CAP_SYSLOG|CAP_BPF|root' setpriv --reuid 65534 --clear-groups --inh-caps=-all "$mmuscope" vms
fails 3 'CAP_BPF|root|not permitted' setpriv --bounding-set=-bpf,-sys_admin,-perfmon "$mmuscope" vms
fails 3 'no BTF /sys/kernel/btf/vmlinux: no debug file of kvm' unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && exec "$0" vms' "$mmuscope"
status_is "a user without rights reads a snapshot" 0 sh -c '
	"$0" save "$1/empty.snap" >/dev/null && chmod 755 "$1" && chmod 644 "$1/empty.snap" &&
	setpriv --reuid 65534 --clear-groups --inh-caps=-all "$0" vms -T "snap:$1/empty.snap"' "$mmuscope" "$SCRATCH"
is "doctor names the missing right" \
	"$(setpriv --bounding-set=-bpf,-sys_admin "$mmuscope" doctor -j | jq -r '.checks[] | select(.check == "CAP_BPF") | .status')" missing
is "doctor is content here" "$("$mmuscope" doctor -j | jq -r '.verdict.live')" ok

# --- names that are traps ---
start_vmm g --seed "$seed" --pages 20 --comm $'\e[2J\e]0;x\a\xff'
wait_checkpoint g 1
"$mmuscope" vms >"$SCRATCH/out" 2>&1
"$mmuscope" vms -j >>"$SCRATCH/out" 2>&1
"$mmuscope" --frame >>"$SCRATCH/out" 2>&1
is "a VM: the interface shows it" "$(frame_of "$mmuscope")" "live"
is "no control character in any output" "$(LC_ALL=C tr -d '\n -~\200-\377' <"$SCRATCH/out" | wc -c)" 0
ok "and the name is shown" grep -qF '\x1b[2J' "$SCRATCH/out"
fails 2 'no such|sp' "$mmuscope" sp 0xffff888000000000
fails 2 'sp' "$mmuscope" sp 0x1234

# --- two VMs ask for a choice; each answers for itself ---
start_vmm h --seed "$seed" --mode nested --pages 30
wait_checkpoint h 1
fails 2 "${vmm_pid[g]}.*${vmm_pid[h]}|${vmm_pid[h]}.*${vmm_pid[g]}|--vm" "$mmuscope" sps
is "by pid: the right one" "$("$mmuscope" vcpus --vm "${vmm_pid[h]}" -j | jq -r .provenance.vm_pid)" "${vmm_pid[h]}"
g=$("$mmuscope" sps --list --vm "${vmm_pid[g]}" -j | jq -r '.sps[].sp' | sort)
h=$("$mmuscope" sps --list --vm "${vmm_pid[h]}" -j | jq -r '.sps[].sp' | sort)
is "no page belongs to both" "$(comm -12 <(echo "$g") <(echo "$h"))" ""
end_vmm g
end_vmm h

# --- ten thousand pages, small buffer and large: the same answer ---
start_vmm g --seed "$seed" --mode nested --pages 10000 --stride 512
wait_checkpoint g 1
pid=${vmm_pid[g]}
"$mmuscope" sps --list --vm "$pid" -j >"$SCRATCH/a.json"
cmp_ok "ten thousand: pages" "$(jq .provenance.pages "$SCRATCH/a.json")" -gt 10000
is "ten thousand: all confirmed" "$(jq '.provenance.pages - .provenance.confirmed' "$SCRATCH/a.json")" 0
"$mmuscope" sps --list --vm "$pid" -j --buffer-pages 64 >"$SCRATCH/b.json"
# Counters that a running vCPU moves are no part of the question.
is "ten thousand: the same through 64 pages" "$(jq -c '[.sps[] | [.sp, .gfn, .role, .leaves, .rw]]' "$SCRATCH/b.json" | md5sum)" \
	"$(jq -c '[.sps[] | [.sp, .gfn, .role, .leaves, .rw]]' "$SCRATCH/a.json" | md5sum)"
# The buffer is really that small: many more calls into the kernel for the same answer.
calls()
{
	strace -f -e trace=bpf -o "$SCRATCH/calls" "$mmuscope" sps --list --vm "$pid" "$@" >"$SCRATCH/out" 2>&1
	grep -c 'BPF_PROG_TEST_RUN\|BPF_PROG_RUN' "$SCRATCH/calls"
}
few=$(calls)
many=$(calls --buffer-pages 64)
cmp_ok "ten thousand: in some calls" "$few" -gt 10
cmp_ok "ten thousand: in many more through 64 pages" "$many" -gt $((few * 3))
ok "ten thousand: saved" "$mmuscope" save "$SCRATCH/big.snap"
is "ten thousand: the snapshot says the same" \
	"$("$mmuscope" sps --list -T "snap:$SCRATCH/big.snap" -j | jq -c '[.sps[] | [.sp, .gfn, .role, .leaves, .rw]]' | md5sum)" \
	"$(jq -c '[.sps[] | [.sp, .gfn, .role, .leaves, .rw]]' "$SCRATCH/a.json" | md5sum)"

# --- an interrupted save leaves nothing ---
mkdir "$SCRATCH/saves"
"$mmuscope" save "$SCRATCH/saves/x.snap" >"$SCRATCH/out" 2>"$SCRATCH/err" &
reader=$!
# By the shell alone: to start a program takes longer than the save does.
shopt -s dotglob nullglob
for ((i = 0; i < 100000; i++)); do
	begun=("$SCRATCH/saves"/*)
	[ ${#begun[@]} -eq 0 ] || break
done
shopt -u dotglob nullglob
kill -TERM "$reader"
wait "$reader"
is "save interrupted: status" "$?" 3
is "save interrupted: no file, no temporary" "$(ls -A "$SCRATCH/saves")" ""
ok "save interrupted: says so" grep -q 'interrupted' "$SCRATCH/err"

# --- the VM is killed while it is walked, at a different moment each time ---
# Every other time the reader stands still while the VM goes, so that it meets the end however fast it is.
bad=0 seen=0 held=0
for ms in 5 60 120 180 240 400; do
	[ -n "${vmm_pid[g]:-}" ] || { start_vmm g --seed "$seed" --mode nested --pages 2000 --stride 512; wait_checkpoint g 1; }
	pid=${vmm_pid[g]}
	"$mmuscope" sps --list --vm "$pid" -j >"$SCRATCH/k.json" 2>"$SCRATCH/k.err" &
	reader=$!
	sleep "$(printf '0.%03d' "$ms")"
	held=$((1 - held))
	[ $held -eq 0 ] || kill -STOP "$reader"
	kill -KILL "$pid"
	if [ $held -eq 1 ]; then
		wait "$pid" 2>/dev/null
		kill -CONT "$reader"
	fi
	wait "$reader"
	status=$?
	wait "$pid" 2>/dev/null
	unset "vmm_pid[g]"
	case $status in
	0 | 1) jq -e . "$SCRATCH/k.json" >/dev/null || bad=$((bad + 1)) ;;
	2 | 3) [ "$(wc -l <"$SCRATCH/k.err")" -ge 1 ] || bad=$((bad + 1)); seen=$((seen + 1)) ;;
	*) bad=$((bad + 1)); diag "status $status after $ms ms" "$(head -n 3 "$SCRATCH/k.err")" ;;
	esac
	grep -q '"vm-gone"\|gone' "$SCRATCH/k.json" && seen=$((seen + 1))
	diag "after $ms ms, held $held: status $status"
done
is "killed under the walk: an answer or one line, never a crash" "$bad" 0
cmp_ok "and the end of the VM is noticed" "$seen" -ge 1

other "no TDP MMU" nested tdp_mmu=0 '' 0x3784
# SEMANTICS C.2, shadow 64: level 4, uwx, NX and WP as the guest has them.
other "shadow paging" plain '' npt=0 0x3704
no_kvm
done_testing
