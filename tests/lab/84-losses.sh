#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# What listening loses when it is short of something, on the real KVM: each loss is brought about, seen, and as large as what is
# known from elsewhere: rows and totals, threads that have a cause, the kernel's own count.
# ONLY="keys threads recursion storage" picks parts; MMUSCOPE_DEEP=1 counts more than a million events.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-listen.sh
. "$(dirname "$0")/lib-listen.sh"

seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
by_gfn=$((1 << 5))
# Of the guests that `under' runs.
pages=400 rounds=3
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

# guest_of PAGES: "g" has so many and waits at checkpoint $at; 0: it ends. Starting one takes longer than what is asked of it.
of=0 at=1
guest_of()
{
	[ "$of" != "$1" ] || return 0
	[ "$of" = 0 ] || end_vmm g
	of=$1 at=1
	[ "$of" != 0 ] || return 0
	start_vmm g --seed "$seed" --timeout 0 --mode nested --pages "$of" --vcpus 2 --rounds 100000 --rewrite mix
	wait_checkpoint g 1 || result 1 "a guest of $of pages"
}

# under NAME LISTEN-OPTION...: a guest runs for $rounds rounds less one under a listener. Meanwhile the kernel counts, too: its hits
# are in $SCRATCH/hits, when it began and ended in $SCRATCH/times.
under()
{
	local name=$1 i began tp counted="kvm/kvm_page_fault kvmmmu/kvm_mmu_prepare_zap_page"
	shift

	guest_of "$pages"
	listen_start "$@" || result 1 "$name: listening"
	# shellcheck disable=SC2086 # a list
	hist '' common_type $counted
	read -r began _ </proc/uptime
	for ((i = 2; i <= rounds; i++)); do
		release_vmm g
		at=$((at + 1))
		wait_checkpoint g "$at" || result 1 "$name: guest"
	done
	echo "$began $(cut -d ' ' -f 1 /proc/uptime)" >"$SCRATCH/times"
	listen_stop
	for tp in $counted; do
		hits "$tp"
	done | paste -sd ' ' >"$SCRATCH/hits"
	# shellcheck disable=SC2086
	hist '!' common_type $counted
}

rows()
{
	awk '$1 == "count" { sub("nr=", "", $NF); n += $NF; rows++ } END { print rows + 0, n + 0 }' "$heard"
}

# Threads that set an SPTE on behalf of something: that is told by their records.
threads_with_cause()
{
	awk '$1 == "event" && $2 == "spte_set" && !/ cause=unknown / { for (i = 3; i <= NF; i++) if ($i ~ /^tid=/) tid[$i] = 1 }
		END { for (t in tid) n++; print n + 0 }' "$heard"
}

hold_kvm

if want keys; then
	under "as many keys as usual" -e spte_set -c $by_gfn
	read -r nr_rows counted < <(rows)
	is "as many keys as usual: none is lost" "$(stat_of lost_count) $counted" "0 $(total_of spte_set)"
	cmp_ok "as many keys as usual: more than sixteen" "$nr_rows" -gt 16
	under "sixteen keys" -e spte_set -c $by_gfn -K 16
	read -r nr_rows counted < <(rows)
	is "sixteen keys: so many rows" "$nr_rows" 16
	cmp_ok "sixteen keys: some are lost" "$(stat_of lost_count)" -ge 1
	is "sixteen keys: what is lost is counted to the last one" "$((counted + $(stat_of lost_count)))" "$(total_of spte_set)"
	diag "sixteen keys: $counted counted, $(stat_of lost_count) lost"
fi

if want threads; then
	under "as many threads as there are" -e fault,spte_set
	is "as many threads as there are: none is without a record" "$(stat_of lost_thread)" 0
	cmp_ok "as many threads as there are: more than one has causes" "$(threads_with_cause)" -ge 2
	under "a record for one thread" -e fault,spte_set -T 1
	cmp_ok "a record for one thread: hits of others are counted" "$(stat_of lost_thread)" -ge 1
	cmp_ok "a record for one thread: no other has causes" "$(threads_with_cause)" -le 1
	cmp_ok "a record for one thread: what others do is an event all the same" "$(heard_nr spte_set cause=unknown)" -ge 1
	diag "a record for one thread: $(stat_of lost_thread) hits without"
fi

# A program runs once at a time on a CPU. With full preemption a thread is put aside in the middle of one, and the next that comes to the
# same place is not looked at: many threads on one CPU do it often.
if want recursion; then
	guest_of 0
	mode=/sys/kernel/debug/sched/preempt
	was=$(sed 's/.*(\(.*\)).*/\1/' $mode)
	echo full >$mode
	result $? "full preemption"
	for ((try = 0; try < 5; try++)); do
		start_vmm h --seed "$seed" --pages 300 --vcpus 2 --rounds 0 --storm madvise --storm mprotect --storm-hz 0
		wait_checkpoint h 1 || result 1 "put aside: guest"
		start_vmm g --seed "$seed" --pages 300 --vcpus 4 --rounds 0 --storm madvise --storm mprotect --storm-hz 0
		wait_checkpoint g 1 || result 1 "put aside: guest"
		taskset -acp 0 "${vmm_pid[g]}" >/dev/null
		taskset -acp 0 "${vmm_pid[h]}" >/dev/null
		listen_start -q || result 1 "put aside: listening"
		release_vmm g
		release_vmm h
		sleep 5
		kill -STOP "${vmm_pid[g]}" "${vmm_pid[h]}"
		sleep 0.5
		# The kernel's own count, while the programs are there and nobody runs into them.
		bpftool -j prog show | jq '[.[].recursion_misses // 0] | add' >"$SCRATCH/recursion"
		listen_stop
		kill -CONT "${vmm_pid[g]}" "${vmm_pid[h]}"
		end_vmm g KILL
		end_vmm h KILL
		[ "$(stat_of lost_recursion)" -eq 0 ] || break
	done 2>/dev/null
	echo "$was" >$mode
	cmp_ok "put aside: hits are not looked at" "$(stat_of lost_recursion)" -ge 1
	is "put aside: as many as the kernel counts" "$(stat_of lost_recursion)" "$(cat "$SCRATCH/recursion")"
	is "put aside: each is a probe's" "$(awk '$1 == "probe" && match($0, / misses=[0-9]+/) { n += substr($0, RSTART + 8, RLENGTH - 8) } END { print n + 0 }' "$heard")" \
		"$(($(stat_of lost_recursion) + $(stat_of lost_probe)))"
	diag "put aside: $(stat_of lost_recursion) of $(passed) events and more, at try $((try + 1))"
fi

# Descriptors, the buffer, stacks, what is kept of freed pages.
if want storage; then
	# Where each CPU's variables lie, of as many as there can be.
	if listen_start -e fault; then
		# That of the listener before may still be there.
		is "the programs know all CPUs that there can be" "$(bpftool -j map show name cpu_area | jq -c '[.. | .max_entries? // empty] | unique')" \
			"[$(($(sed 's/.*-//' /sys/devices/system/cpu/possible) + 1))]"
		listen_stop
	else
		result 1 "listening"
	fi
	for limit in 20 100 250; do
		(ulimit -n $limit && exec "$BUILD/mmuscope" events --for 100) >"$SCRATCH/out" 2>"$SCRATCH/err"
		is "$limit file descriptors: an error, and no table" "$? $(wc -l <"$SCRATCH/err") $(wc -c <"$SCRATCH/out")" "3 1 0"
		diag "$limit: $(cat "$SCRATCH/err")"
	done
	ok "too few file descriptors are said to be that" grep -q "too few file descriptors to listen: 250 are allowed" "$SCRATCH/err"
	some=fault,fault_done,spte_set,rmap_add,rmap_remove,sp_create,sp_zap,sp_find,flush
	pages=1000 many=1000
	[ "${MMUSCOPE_DEEP:-0}" = 0 ] || rounds=340 many=1000000
	under "counted" -e $some -c $((1 | 1 << 1 | 1 << 4 | 1 << 5))
	is "counted: nothing is delivered" "$(stat_of delivered) $(grep -c '^event' "$heard")" "0 0"
	cmp_ok "counted: how many" "$(passed)" -ge $many
	is "counted: none is lost" "$(stat_of lost_count) $(stat_of lost_recursion) $(stat_of lost_probe) $(stat_of lost_thread)" "0 0 0 0"
	is "counted: the rows add up to what passed" "$(rows | cut -d ' ' -f 2)" "$(passed)"
	is "counted: faults and pages zapped as often as the kernel's own tracepoints" "$(row_nr fault) $(row_nr sp_zap)" "$(cat "$SCRATCH/hits")"
	cmp_ok "counted: by cause" "$(grep '^count' "$heard" | grep -o 'cause=[^ ]*' | sort -u | wc -l)" -ge 2
	diag "counted: $(passed) events, $(grep -c '^count' "$heard") rows, in $(awk '{ print $2 - $1 }' "$SCRATCH/times") s; $(stat_of runs) runs of $(($(stat_of run_ns) / ($(stat_of runs) + 1))) ns"
	rounds=3
	under "stacks that find no room" -e fault,spte_set,rmap_add -s -S 1
	cmp_ok "stacks that find no room: there are some" "$(stat_of lost_stack)" -ge 1
	is "stacks that find no room: so many events have none" "$(grep '^event' "$heard" | grep -vc ' stack=f')" "$(stat_of lost_stack)"
	under "a buffer of a page" -e $some -b 4096 -q
	cmp_ok "a buffer of a page: much is lost" "$(stat_of lost_buffer)" -ge 100
	is "a buffer of a page: what is lost is counted to the last one" "$(($(stat_of heard) + $(stat_of lost_buffer)))" "$(passed)"
	cmp_ok "a buffer of a page: the numbers show it" "$(stat_of gaps)" -ge 1
	# What was lost after the last that was delivered leaves no gap.
	cmp_ok "a buffer of a page: gaps are losses" "$(stat_of gaps)" -le "$(stat_of lost_buffer)"
	diag "a buffer of a page: $(stat_of heard) heard, $(stat_of gaps) missing between them, $(stat_of lost_buffer) lost"
	under "a buffer that is large enough" -e $some -q
	is "a buffer that is large enough: nothing is lost" "$(stat_of heard) $(stat_of lost_buffer) $(stat_of gaps)" "$(passed) 0 0"
	guest_of 0
	# A VM's pages are freed all at once when it ends.
	for told in "" 1; do
		listen_start -e sp_create,sp_free -q ${told:+-F $told} || result 1 "pages freed at once: listening"
		run_through --mode nested --pages 400 --rounds 2 --rewrite mix
		listen_stop
		name="pages freed at once, ${told:-as many as usual} told"
		is "$name: those that are not are counted" "$(($(total_of sp_free) + $(stat_of lost_free)))" "$(total_of sp_create)"
		cmp_ok "$name: there are some" "$(total_of sp_create)" -ge 10
		if [ -n "$told" ]; then
			cmp_ok "$name: most are not" "$(stat_of lost_free)" -ge 5
		else
			is "$name: all are" "$(stat_of lost_free)" 0
		fi
	done
	# Those of the TDP MMU after a grace period; of a root nothing tells that it is zapped.
	of_none=0
	for kept in "" 1; do
		listen_start -e sp_free ${kept:+-Z $kept} || result 1 "pages that wait to be freed: listening"
		run_through --pages 400 --map shuffle --rounds 2
		listen_stop
		name="pages that wait to be freed, room for ${kept:-as many as usual}"
		if [ -n "$kept" ]; then
			cmp_ok "$name: of some the VM is not kept" "$(stat_of lost_owner)" -ge 1
		else
			is "$name: of each the VM is kept" "$(stat_of lost_owner)" 0
			of_none=$(heard_nr sp_free kvm=0x0)
		fi
		is "$name: no other is without" "$(($(heard_nr sp_free kvm=0x0) - $(stat_of lost_owner)))" "$of_none"
		cmp_ok "$name: some have it" "$(heard_nr sp_free)" -gt "$(heard_nr sp_free kvm=0x0)"
		diag "$name: $(heard_nr sp_free) freed, $(heard_nr sp_free kvm=0x0) of no known VM"
	done
fi
guest_of 0
done_testing
