#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# The fixture guests tested by themselves, inside the lab, with BUILD naming the build directory: every mode comes to
# its checkpoints, the truth has what the options ask for and agrees with KVM's counters, wrong data is noticed.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

# all_well NAME WHAT: what holds for every guest at any checkpoint.
all_well()
{
	is "$2: truth is complete, host sees what the guest wrote" "$(awk '
		$1 == "verify" { bad += substr($NF, 7); seen++ }
		END { print ($0 == "end lines=" NR ? "complete" : "cut"), (seen ? bad : "unseen") }' \
		"$SCRATCH/$1.truth")" "complete 0"
}

# quick NAME WHAT OPTION...: start, first checkpoint, the general checks. The guest stays held.
quick()
{
	local n=$1 what=$2
	shift 2
	start_vmm "$n" --seed "$seed" "$@"
	wait_checkpoint "$n" 1
	result $? "$what: checkpoint" || return
	all_well "$n" "$what"
}

ended()
{
	status_is "$2: ends" 0 end_vmm "$1"
}

plain()
{
	quick g "plain" --pages 256 --order random
	is "plain: pages" "$(truth_count g gmap kind=data by=guest)" 256
	is "plain: all touched" "$(truth_count g gmap touched=---)" 0
	is "plain: no NPT12" "$(truth_count g npt12)" 0
	cmp_ok "plain: KVM maps them" "$(kvmstat g pages_4k)" -ge 256
	is "plain: some written, some not" "$(truth_get g touched gmap kind=data | sort -u | tr '\n' ' ')" "r-- rw- "
	ended g "plain"

	quick g "plain 2M" --pages 16 --size 2m
	cmp_ok "plain 2M: huge pages behind the slot" "$(truth_get g huge_kib slot id=1)" -ge 32768
	cmp_ok "plain 2M: KVM maps 2M" "$(kvmstat g pages_2m)" -ge 16
	ended g "plain 2M"

	quick g "plain sparse" --pages 600 --stride 512 --l1 nx,wp,smep,smap
	is "plain sparse: distance" "$(truth_get g gfn gmap | head -n 2 | { read -r a; read -r b; echo $((b - a)); })" 512
	is "plain sparse: SMEP, SMAP, PAE" "$(truth_get g l1_cr4 vcpu)" 0x300020
	ended g "plain sparse"
}

nested()
{
	local written

	quick g "nested" --mode nested --pages 400 --map shuffle --alias 7 --ro 9 --ro-write --mmio 6 --vcpus 2 \
		--order random --npt-ro 20
	is "nested: data leaves" "$(truth_count g l2map kind=data level=1)" 400
	is "nested: nothing unmapped" "$(truth_get g l2map sum)" "$(truth_get g records sum)"
	is "nested: nothing untouched" "$(truth_count g l2map touched=---)" 0
	is "nested: aliases" "$(truth_count g alias)" 7
	is "nested: L1 pages below them" "$(truth_get g l1gfn l2map | sort -u | wc -l)" $(($(truth_count g l2map) - 7))
	is "nested: read-only slot" "$(truth_get g npages slot flags=0x2)" 9
	written=$(truth_count g l2map kind=ro touched=rw-)
	is "nested: its writes came to the VMM" "$(truth_count g rowrite)" "$written"
	is "nested: MMIO pages seen" "$(truth_get g gfn mmio | sort)" "$(truth_get g l1gfn l2map kind=mmio | sort)"
	cmp_ok "nested: leaves without W" "$(truth_count g l2map access=r-x)" -gt 20
	is "nested: and never written" "$(truth_count g l2map access=r-x touched=rw-)" 0
	is "nested: one root" "$(truth_count g npt12 level=4)" 1
	is "nested: it is what nCR3 or the EPTP says" "$(truth_get g npt_cr3 nested | sort -u | sed 's/...$//')" \
		"$(truth_get g gfn npt12 level=4)"
	is "nested: L1 active" "$(truth_get g value vcpustat name=guest_mode | sort -u)" 0
	# 6 MMIO SPTEs are no pages; what L1 itself uses is mapped besides.
	cmp_ok "nested: KVM maps them" "$(kvmstat g pages_4k)" -ge $(($(truth_count g l2map) - 6))
	cmp_ok "nested: shadow pages" "$(kvmstat g mmu_cache_miss)" -ge "$(truth_count g npt12)"
	ended g "nested"

	quick g "nested 2M, L2 active" --mode nested --pages 20 --size 2m --at l2 --hold run --npt-nx --rounds 2
	is "nested 2M: leaves" "$(truth_count g l2map kind=data level=2 access=rw-)" 20
	cmp_ok "nested 2M: KVM maps 2M" "$(kvmstat g pages_2m)" -ge 20
	is "nested 2M: in guest mode" "$(truth_get g value vcpustat name=guest_mode)" 1
	ok "nested 2M: go" release_vmm g
	ok "nested 2M: second checkpoint" wait_checkpoint g 2
	is "nested 2M: numbered" "$(truth_get g checkpoint run)" 2
	ok "nested 2M: go again" release_vmm g
	status_is "nested 2M: guest ends by itself" 0 wait_vmm g

	quick g "nested by faults" --mode nested --pages 200 --npt fault --ad 0 --map identity --l1-touch
	cmp_ok "nested by faults: faults" "$(truth_get g npf nested)" -ge 200
	is "nested by faults: identity" "$(truth g l2map | sed -n 's/.*l2gfn=\([^ ]*\) l1gfn=\1 .*/x/p' | wc -l)" \
		"$(truth_count g l2map)"
	is "nested by faults: D set by KVM where written" \
		"$(truth_get g ad l2map kind=data touched=rw- | sort -u)" ad
	is "nested by faults: D clear where only read" \
		"$(truth_get g ad l2map kind=data touched=r-- | sort -u)" a-
	is "nested by faults: L1 read them too" "$(truth_count g gmap by=l1)" 200
	ended g "nested by faults"
}

rewriting()
{
	local how

	for how in w unmap move mix; do
		quick g "rewrite $how" --mode nested --pages 300 --rewrite "$how" --rounds 3 --vcpus 2 --hold out
		cp "$SCRATCH/g.truth" "$SCRATCH/first"
		release_vmm g
		wait_checkpoint g 2
		release_vmm g
		ok "rewrite $how: third checkpoint" wait_checkpoint g 3
		all_well g "rewrite $how"
		cmp_ok "rewrite $how: done" "$(truth_get g rewrites nested id=0)" -gt 100
		is "rewrite $how: all mapped and touched" "$(truth_count g l2map kind=data touched=---)" 0
		case $how in
		w) cmp_ok "rewrite w: W is gone somewhere" "$(truth_count g l2map access=r-x)" -gt 50 ;;
		unmap) cmp_ok "rewrite unmap: faults" "$(truth_get g npf nested | awk '{ s += $1 } END { print s }')" -gt 100 ;;
		move) cmp_ok "rewrite move: other L1 pages" \
			"$(truth_get g l1gfn l2map kind=data | grep -cFvxf <(grep -o 'l1gfn=[^ ]*' "$SCRATCH/first" | cut -d= -f2))" \
			-gt 50 ;;
		esac
		ended g "rewrite $how"
	done
}

many()
{
	local pid fd name

	name=$'e\e[31m\a\\x'
	quick g "two VMs" --vms 2 --dup 2 --pages 64 --mmio 2 --comm "$name"
	pid=$(truth_get g pid run)
	is "two VMs: pid" "$pid" "${vmm_pid[g]}"
	is "two VMs: name escaped" "$(truth_get g comm run)" 'e\x1b[31m\x07\x5cx'
	is "two VMs: name as set" "$(cat "/proc/$pid/comm")" "$name"
	is "two VMs: seeds differ" "$(truth_get g seed vm | sort -u | wc -l)" 2
	is "two VMs: descriptors" "$(for fd in $(truth_get g fd vm) $(truth_get g fd vmfd); do
		readlink "/proc/$pid/fd/$fd"; done | sort | uniq -c | tr -s ' ')" " 6 anon_inode:kvm-vm"
	ended g "two VMs"

	quick g "ten thousand" --mode nested --pages 10000 --stride 512
	cmp_ok "ten thousand: tables" "$(truth_count g npt12 level=1)" -ge 10000
	cmp_ok "ten thousand: shadow pages" "$(kvmstat g mmu_cache_miss)" -ge 10000
	is "ten thousand: none recycled" "$(kvmstat g mmu_recycled)" 0
	is "ten thousand: none zapped" "$(kvmstat g mmu_shadow_zapped)" 0
	ended g "ten thousand"
}

dirty_and_storms()
{
	quick g "dirty log" --pages 300 --dirty get --rounds 2
	release_vmm g
	wait_checkpoint g 2
	is "dirty log: the written pages" "$(truth_get g gfn dirty | sort)" "$(truth_get g gfn gmap touched=rw- | sort)"
	ended g "dirty log"

	start_vmm g --seed "$seed" --mode nested --pages 200 --rounds 0 --rewrite mix --storm slot \
		--storm madvise --storm mprotect --storm-hz 200 --at l2
	ok "storm: checkpoint" wait_checkpoint g 1
	all_well g "storm"
	ok "storm: go" release_vmm g
	sleep 1
	cmp_ok "storm: operations" "$(vmm_ctl g status | sed 's/.*storms=//')" -gt 20
	cmp_ok "storm: rounds" "$(vmm_ctl g status | sed 's/.*round=\([0-9]*\).*/\1/')" -gt 2
	status_is "storm: SIGTERM ends it well" 0 end_vmm g TERM
	ok "storm: socket removed" test ! -e "$SCRATCH/g.ctl"
}

# The checks above are worth something only if wrong data is noticed.
wrong_data()
{
	local hva

	quick g "damage" --mode nested --pages 64 --rounds 2 --write 0
	hva=$(truth_get g hva slot id=1)
	dd if=/dev/zero of="/proc/${vmm_pid[g]}/mem" bs=4096 seek=$((hva / 4096 + 5)) count=1 conv=notrunc 2>/dev/null
	release_vmm g
	status_is "damage: the guest notices a changed page" 1 wait_vmm g
	ok "damage: and says where" grep -q 'wrong value: address' "$SCRATCH/g.log"

	quick g "damage in NPT12" --mode nested --pages 64 --rounds 2 --write 0 --hold out
	hva=$(truth_get g hva slot id=0)
	# The level-1 table of the data pages: all of its entries become not present, so that L1 has to fill them.
	dd if=/dev/zero of="/proc/${vmm_pid[g]}/mem" bs=4096 count=1 conv=notrunc 2>/dev/null \
		seek=$((hva / 4096 + $(truth_get g gfn npt12 level=1 | head -n 1)))
	release_vmm g
	wait_checkpoint g 2 >/dev/null
	status_is "damage in NPT12: records contradict memory" 1 end_vmm g
	ok "damage in NPT12: and it says so" grep -q 'is not what L1 recorded' "$SCRATCH/g.log"

	status_is "wrong option" 2 "$VMM" --pages 0
	status_is "wrong combination" 2 "$VMM" --alias 3
	status_is "no image" 3 "$VMM" --l1-image /nonexistent
	status_is "help" 0 "$VMM" --help
	status_is "ctl without a guest" 5 "$VMM" ctl "$SCRATCH/none" -t 0.1 status
}

huge_pages_on
ok "a guest to keep KVM in use" hold_kvm
plain
nested
rewriting
many
dirty_and_storms
wrong_data
done_testing
