#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd intel
#
# Events as they happen, on the real KVM: as many as the kernel's own tracepoints counted on the same run, each and by name, and
# what L1 is told in its own words. What guests provoke, and on whose behalf: 81-causes.sh. Filters, and that nothing is left
# behind: 86-filters.sh; losses: 84-losses.sh. Geometry comes from a seed that is drawn and printed.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-listen.sh
. "$(dirname "$0")/lib-listen.sh"

seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

# --- against the kernel's own counts ---

tracepoints="kvm/kvm_page_fault kvm/kvm_emulate_insn kvm/kvm_nested_vmexit kvm/kvm_nested_vmenter kvm/kvm_unmap_hva_range
	kvm/kvm_nested_vmexit_inject kvmmmu/kvm_mmu_get_page kvmmmu/kvm_mmu_prepare_zap_page kvmmmu/kvm_tdp_mmu_spte_changed
	kvmmmu/fast_page_fault kvmmmu/mark_mmio_spte kvmmmu/kvm_mmu_unsync_page kvmmmu/kvm_mmu_split_huge_page
	kvmmmu/kvm_mmu_zap_all_fast"
functions="kvm_flush_remote_tlbs __rmap_add kvm_mmu_notifier_invalidate_range_end mmu_free_root_page"
[ "$vendor" != amd ] || functions="$functions svm_flush_tlb_asid svm_flush_tlb_gva"

# kernel_counts ""|!: it begins or ends.
kernel_counts()
{
	local fn

	# shellcheck disable=SC2086 # a list
	hist "$1" common_type $tracepoints kvm/kvm_fast_mmio
	hist "$1" type kvm/kvm_mmio
	hist "$1" exit_reason kvm/kvm_exit
	if [ -n "$1" ]; then
		echo 0 >"$tracing/events/kprobes/enable"
		echo >"$tracing/kprobe_events"
		return
	fi
	for fn in $functions; do
		echo "p:ms_$fn $fn" >>"$tracing/kprobe_events"
	done
	echo 1 >"$tracing/events/kprobes/enable"
}

called()
{
	awk -v name="ms_$1" '$1 == name { print $2 }' "$tracing/kprobe_profile"
}

# same NAME COUNT TRACEPOINT
same()
{
	is "$1 as often as $3" "$2" "$(hits "$3")"
	[ "$2" -eq 0 ] || echo "$3" >>"$SCRATCH/met"
}

# Of an EPT misconfiguration, exit reason 49, which is MMIO, kvm_page_fault does not tell; of fast MMIO nobody makes a fault.
misconfigurations()
{
	awk '/exit_reason: *49 / { n = $NF } END { print n + 0 }' "$tracing/events/kvm/kvm_exit/hist" |
		{ read -r n; echo $((n - $(hits kvm/kvm_fast_mmio))); }
}

# What was heard since `kernel_counts ""', while the kernel counted too.
counted()
{
	local name=$1

	misconfigured=0
	if [ "$vendor" = intel ]; then
		misconfigured=$(heard_nr fault error=0x8)
		is "$name: fault of MMIO as often as kvm_exit has it, fast MMIO apart" "$misconfigured" "$(misconfigurations)"
		cmp_ok "$name: there was MMIO" "$misconfigured" -gt 0
	fi
	same "$name: fault" $(($(heard_nr fault) - misconfigured)) kvm/kvm_page_fault
	is "$name: each fault is done with" "$(heard_nr fault_done)" "$(heard_nr fault)"
	same "$name: sp_create and sp_find" $(($(heard_nr sp_create) + $(heard_nr sp_find))) kvmmmu/kvm_mmu_get_page
	same "$name: sp_zap" "$(heard_nr sp_zap)" kvmmmu/kvm_mmu_prepare_zap_page
	same "$name: spte_set of the TDP MMU" "$(heard_nr spte_set sp=0x0)" kvmmmu/kvm_tdp_mmu_spte_changed
	same "$name: fast_fault" "$(heard_nr fast_fault)" kvmmmu/fast_page_fault
	same "$name: mmio_mark" "$(heard_nr mmio_mark)" kvmmmu/mark_mmio_spte
	same "$name: unsync" "$(heard_nr unsync)" kvmmmu/kvm_mmu_unsync_page
	same "$name: split" "$(heard_nr split)" kvmmmu/kvm_mmu_split_huge_page
	same "$name: zap_all" "$(heard_nr zap_all)" kvmmmu/kvm_mmu_zap_all_fast
	same "$name: emulate" "$(heard_nr emulate)" kvm/kvm_emulate_insn
	same "$name: nested_exit" "$(heard_nr nested_exit)" kvm/kvm_nested_vmexit
	# KVM has not read VMX's qualification yet: nothing may be told as if it had.
	[ "$vendor" != intel ] || is "$name: nested_exit has a qualification that KVM has not read" \
		"$(grep '^event nested_exit ' "$heard" | grep -cv ' qual=0xffffffffffffffff addr=0xffffffffffffffff')" 0
	same "$name: nested_enter" "$(heard_nr nested_enter)" kvm/kvm_nested_vmenter
	same "$name: invalidate" "$(heard_nr invalidate)" kvm/kvm_unmap_hva_range
	is "$name: mmio as often as kvm_mmio did something" "$(heard_nr mmio)" \
		"$(awk '/type: *[12] / { n += $NF } END { print n + 0 }' "$tracing/events/kvm/kvm_mmio/hist")"
	is "$name: flush as often as the function was called" "$(heard_nr flush)" "$(called kvm_flush_remote_tlbs)"
	# SVM's flushes of more than that are done by the first of these two.
	[ "$vendor" != amd ] || is "$name: flush_vcpu once for each" "$(heard_nr flush_vcpu)" \
		"$(($(called svm_flush_tlb_asid) + $(called svm_flush_tlb_gva)))"
	is "$name: rmap_add" "$(heard_nr rmap_add)" "$(called __rmap_add)"
	is "$name: invalidate_end" "$(heard_nr invalidate_end)" "$(called kvm_mmu_notifier_invalidate_range_end)"
	is "$name: what is added to the reverse map leaves it" "$(heard_nr rmap_remove)" "$(heard_nr rmap_add)"
	is "$name: pages made are freed" "$(heard_nr sp_free)" "$(heard_nr sp_create)"
	is "$name: nothing was lost" "$(stat_of gaps) $(stat_of lost_buffer) $(stat_of lost_recursion) $(stat_of backwards)" "0 0 0 0"
	is "$name: what is said to have passed was delivered" "$(passed)" "$(stat_of delivered)"
	kernel_counts '!'
	diag "$name: $(stat_of delivered) events, $(stat_of runs) runs of $(($(stat_of run_ns) / ($(stat_of runs) + 1))) ns; ready in $(awk '/^ready/ { print $2 }' "$heard") s"
}

# What no guest on AMD brings about. L1 executes INVEPT when each round begins, and has a PML of its own.
of_vmx()
{
	local name

	# The last has operations of its own on VMX.
	for name in $vmx_causes nested-switch; do
		cmp_ok "events on behalf of $name" "$(grep -c "^event .* cause=$name " "$heard")" -ge 1
	done
	diag "causes: $(grep -o ' cause=[^ ]*' "$heard" | sort | uniq -c | sed 's/ cause=//' | xargs)"
	diag "on behalf of nested switches: $(awk '/ cause=nested-switch / { print $2 }' "$heard" | sort | uniq -c | xargs)"
	for name in $vmx_events; do
		cmp_ok "events $name" "$(heard_nr "$name")" -ge 1
	done
	is "on behalf of INVEPT roots are let go, and what follows from that" \
		"$(awk '/ cause=invept / { print $2 }' "$heard" | sort -u | xargs)" "root_free"
}

# The same of what was counted by name alone, which looks at nothing but names.
counted_by_name()
{
	local event mmio=0

	[ "$vendor" != intel ] || mmio=$(misconfigurations)
	is "by name: fault as often as kvm/kvm_page_fault, MMIO of EPT apart" $(($(row_nr fault) - mmio)) "$(hits kvm/kvm_page_fault)"
	for event in sp_zap:kvmmmu/kvm_mmu_prepare_zap_page fast_fault:kvmmmu/fast_page_fault \
		mmio_mark:kvmmmu/mark_mmio_spte unsync:kvmmmu/kvm_mmu_unsync_page emulate:kvm/kvm_emulate_insn \
		nested_exit:kvm/kvm_nested_vmexit nested_enter:kvm/kvm_nested_vmenter invalidate:kvm/kvm_unmap_hva_range; do
		is "by name: ${event%%:*} as often as ${event#*:}" "$(row_nr "${event%%:*}")" "$(hits "${event#*:}")"
	done
	is "by name: sp_create and sp_find" $(($(row_nr sp_create) + $(row_nr sp_find))) "$(hits kvmmmu/kvm_mmu_get_page)"
	is "by name: flush" "$(row_nr flush)" "$(called kvm_flush_remote_tlbs)"
	is "by name: rmap_add" "$(row_nr rmap_add)" "$(called __rmap_add)"
	is "by name: what is added to the reverse map leaves it" "$(row_nr rmap_remove)" "$(row_nr rmap_add)"
	is "by name: pages made are freed" "$(row_nr sp_free)" "$(row_nr sp_create)"
	is "by name: each fault is done with" "$(row_nr fault_done)" "$(row_nr fault)"
	kernel_counts '!'
}

hold_kvm
[ -z "${ONLY:-}" ] || diag "only: $ONLY"

if want counts; then
	if listen_start; then
		kernel_counts ''
		n=200 pml=
		[ "$vendor" != intel ] || n=60 pml=--pml
		run_through --pages $n --mmio 3 --ro 4 --rounds 2 --dirty get
		run_through --mode nested --pages $n --map shuffle --alias 7 --mmio 3 --rounds 2 --rewrite mix --npt-ro 20 $pml
		run_through --mode nested --pages $((n / 2)) --npt fault --rounds 2 --rewrite mix --dirty get --dirty-lose 5
		listen_stop
		counted "three guests"
		is "what does not attach is listed with what is lost by it" \
			"$(awk '$1 == "probe" && $2 == "off" && !/lost=[a-z].*why=[a-z]/' "$heard")" ""
		is "no program is refused" "$(awk '$1 == "probe" && /program load failed/' "$heard")" ""
		is "kprobes that were missed are told from 6.7 on, and not known before" "$(stat_of lost_probe_unknown)" \
			"$([ "$(printf '%s\n' 6.7 "$(uname -r)" | sort -V | head -n 1)" = 6.7 ]; echo $?)"
		is "every thread had its record" "$(stat_of lost_thread)" 0
		[ "$vendor" != intel ] || of_vmx
		diag "off on this kernel: $(awk '$1 == "probe" && $2 == "off" { print $3 }' "$heard" | xargs)"
		if listen_start -c 1; then
			kernel_counts ''
			run_through --pages $n --mmio 3 --ro 4 --rounds 2 --dirty get
			run_through --mode nested --pages $n --map shuffle --alias 7 --mmio 3 --rounds 2 --rewrite mix --npt-ro 20
			listen_stop
			counted_by_name
		else
			result 1 "counting everything by name"
		fi
	else
		result 1 "listening for everything"
	fi
fi

# --- what L1 is told: in its own words ---

# told: the nested faults that L1 wrote down: reason, qualification and guest-physical address of each.
told()
{
	truth g l1exit | awk '{
		for (i = 2; i <= NF; i++) {
			split($i, kv, "=")
			v[kv[1]] = kv[2]
		}
		printf "0x%x %s %s\n", v["reason"], v["qual"], v["gpa"]
	}' | sort
}

# refused: the frames of those that are due to an entry which the CPU refuses, of lines as told has them.
refused()
{
	if [ "$vendor" = intel ]; then
		sed -n 's/^0x31 0x0 \(.*\)...$/\1/p'
	else
		while read -r _ qual addr; do
			[ $((qual & 8)) -eq 0 ] || echo "${addr%???}"
		done
	fi
}

# injected LINE: the same out of what was heard behind that line, in its order.
injected()
{
	tail -n +$(($1 + 1)) "$heard" | sed -n 's/^event inject .* reason=\([^ ]*\) qual=\([^ ]*\) addr=\([^ ]*\) .*/\1 \2 \3/p' |
		grep -v '^0xe '
}

# L1's own PML: it is told by exit reason 62 that it is full, and what KVM stored there is what L1 read.
full_of_l1()
{
	local from name="a full log of L1"

	from=$(wc -l <"$heard")
	guest --mode nested --pages 600 --write 100 --pml
	sleep 0.5
	told >"$SCRATCH/told"
	is "$name: it is told once, by exit reason 62" "$(cut -d ' ' -f 1 "$SCRATCH/told")" 0x3e
	is "$name: reason, qualification and address" "$(injected "$from")" "$(cat "$SCRATCH/told")"
	truth g pml | sed 's/.* l2gfn=\([^ ]*\) index=\([0-9]*\) .*/\1 \2/' >"$SCRATCH/read"
	tail -n +$((from + 1)) "$heard" | sed -n 's/^event pml12 .* addr=\([^ ]*\)000 index=\([0-9]*\).*/\1 \2/p' >"$SCRATCH/stored"
	is "$name: entries and their places are what L1 read, in its order" "$(diff "$SCRATCH/read" "$SCRATCH/stored" | head -n 5)" ""
	is "$name: L1 is told behind the entry that is the last to fit" \
		"$(tail -n +$((from + 1)) "$heard" | awk '$2 == "inject" && / reason=0x3e / { print last }
			$2 == "pml12" { for (i = 3; i <= NF; i++) if ($i ~ /^index=/) last = $i }')" index=0
	diag "$name: $(wc -l <"$SCRATCH/stored") entries"
	end_vmm g
}

# The CPU's, of an L1 that writes more pages than fit: in its order, the newest first, in batches as full as they are said to be.
full_of_cpu()
{
	local from n name="a full PML buffer"

	# Whether it fills depends on the host's interrupts, which make exits, too.
	guest --pages 1100 --write 100 --dirty get --rounds 12
	from=$(wc -l <"$heard")
	hist '' vcpu_id kvm/kvm_pml_full
	for ((n = 2; n <= 12; n++)); do
		release_vmm g
		wait_checkpoint g "$n" || result 1 "$name: guest"
		truth_get g gfn wrote
		[ "$(hits kvm/kvm_pml_full)" -eq 0 ] || break
	done >"$SCRATCH/wrote"
	end_vmm g
	sleep 0.5
	# Of each batch how many entries it has, is said to have, and whether it is said to be full; then its entries, the oldest first.
	tail -n +$((from + 1)) "$heard" | awk '{ for (i = 3; i <= NF; i++) { split($i, kv, "="); v[kv[1]] = kv[2] } }
		$2 == "pml" { if (v["nth"] != n) print "strange", n, $0; gfn[n++] = v["gfn"] }
		$2 == "pml_drain" { print "batch", v["vcpu"], n, v["entries"], v["full"]; while (n > 0) print gfn[--n] }' >"$SCRATCH/batches"
	grep '^0x' "$SCRATCH/batches" | within_range "$(head -n 1 "$SCRATCH/wrote")" "$(tail -n 1 "$SCRATCH/wrote")" >"$SCRATCH/logged"
	is "$name: entries are the pages that the guest wrote, in its order" "$(diff "$SCRATCH/wrote" "$SCRATCH/logged" | head -n 5)" ""
	cmp_ok "$name: pages that the guest wrote" "$(wc -l <"$SCRATCH/wrote")" -ge 1100
	is "$name: nothing else is strange about them" "$(grep -v '^0x\|^batch' "$SCRATCH/batches")" ""
	is "$name: batches are of the vCPU, as long as they are said to be, and full with 512 alone" "$(awk '$1 == "batch" &&
		($2 != 0 || $3 != $4 || $3 > 512 || ($5 == 1 && $3 != 512))' "$SCRATCH/batches")" ""
	cmp_ok "$name: there is one" "$(hits kvm/kvm_pml_full)" -ge 1
	is "$name: as often as the kernel has it" "$(grep -c '^batch .* 1$' "$SCRATCH/batches")" "$(hits kvm/kvm_pml_full)"
	hist '!' vcpu_id kvm/kvm_pml_full
	diag "$name: $(awk '$1 == "batch" { print $4 ($5 == 1 ? " full" : "") }' "$SCRATCH/batches" | xargs)"
}

# within_range FIRST LAST: of the frames on standard input those in there.
within_range()
{
	local gfn

	while read -r gfn; do
		[ $((gfn < $1 || gfn > $2)) -eq 1 ] || echo "$gfn"
	done
}

if want inject; then
	what=inject full=''
	# Full logs take Bochs minutes.
	[ "$vendor" != intel ] || [ "${MMUSCOPE_DEEP:-0}" = 0 ] || what=inject,pml,pml_drain,pml12 full=1
	listen_start -e $what || result 1 "listening for what L1 is told"
	start_vmm g --seed "$seed" --mode nested --pages 150 --npt fault --misconf 5 --vcpus 2 --rounds 2 --rewrite mix
	wait_checkpoint g 1 || result 1 "what L1 is told: guest"
	release_vmm g
	wait_checkpoint g 2 || result 1 "what L1 is told: guest"
	sleep 0.5
	told >"$SCRATCH/told"
	injected 0 | sort >"$SCRATCH/injected"
	cmp_ok "what L1 is told: it is told something" "$(wc -l <"$SCRATCH/told")" -ge 100
	is "what L1 is told: reason, qualification and address of each exit" "$(diff "$SCRATCH/told" "$SCRATCH/injected" | head -n 5)" ""
	refused <"$SCRATCH/injected" >"$SCRATCH/refused"
	truth_get g l2gfn misconf >"$SCRATCH/misconf"
	is "what L1 is told: entries that the CPU refuses, and no other, as such" "$(sort -u "$SCRATCH/refused" | xargs)" \
		"$(sort -u "$SCRATCH/misconf" | xargs)"
	diag "what L1 is told: $(wc -l <"$SCRATCH/injected") exits, $(cut -d ' ' -f 1,2 "$SCRATCH/injected" | sort | uniq -c | sort -rn | head -n 5 | xargs)"
	end_vmm g
	if [ -n "$full" ]; then
		full_of_l1
		full_of_cpu
	fi
	listen_stop
	is "what L1 is told: nothing was lost" "$(stat_of gaps) $(stat_of lost_buffer) $(stat_of lost_recursion)" "0 0 0"
fi

done_testing
