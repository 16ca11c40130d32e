#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd intel
#
# Who dirtied what, on the real KVM: the frames that are marked, and with PML the entries of its buffers, are the pages
# that the guest wrote, drawn anew for each round. Frames that come by PML and by write faults in one period of the log are told
# apart. A VMM that throws bits of the log away is found, at these frames; one that does not is not.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-listen.sh
. "$(dirname "$0")/lib-listen.sh"

mmuscope=$BUILD/mmuscope
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"
VMM_WAIT=120
pages=300

# listen NAME OPTION...: dirty in the background; returns when it listens.
listen()
{
	local name=$1

	shift
	"$mmuscope" dirty --vm "${vmm_pid[g]}" --for 3600 --last 16384 -j "$@" >"$SCRATCH/dirty.json" 2>"$SCRATCH/dirty.err" &
	dirty_pid=$!
	listening_by "$SCRATCH/dirty.err" $dirty_pid
	result $? "$name: it listens" || diag "$(head -n 3 "$SCRATCH/dirty.err")"
}

# heard WANTED_STATUS NAME: it is told to end; the answer is in $SCRATCH/dirty.json.
heard()
{
	# Entries wait in the CPU's buffer for the next exit, events in ours for the reader.
	sleep 1
	kill -INT "$dirty_pid"
	wait "$dirty_pid"
	is "$2: status" "$?" "$1"
	diag "$(head -n 3 "$SCRATCH/dirty.err")"
}

# said EXPRESSION: of the answer d; of a list each item on a line. Frames of the data slot alone: data(gfn).
said()
{
	/usr/bin/python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
first = int(sys.argv[3], 16)
data = lambda gfn: gfn and first <= int(gfn, 16) < first + int(sys.argv[4])
r = eval(sys.argv[2])
print("\n".join(map(str, r)) if isinstance(r, (list, set)) else r)' "$SCRATCH/dirty.json" "$1" "$(truth_get g gfn slot id=1)" \
		"$(truth_get g npages slot id=1)"
}

rounds()
{
	local n

	for n in "$@"; do
		release_vmm g
		wait_checkpoint g "$n" || result 1 "round $n"
		truth_get g gfn wrote >>"$SCRATCH/wrote"
		truth_get g gfn lost >>"$SCRATCH/lost"
	done
}

# begin NAME OPTION...: a guest at its first checkpoint: from the second round on, what is marked is what is written.
begin()
{
	local name=$1

	shift
	rm -f "$SCRATCH/wrote" "$SCRATCH/lost" "$SCRATCH/who"
	start_vmm g --seed "$seed" --pages "$pages" --dirty get --write-redraw "$@"
	wait_checkpoint g 1
	result $? "$name: guest"
}

# A VMM that does as it should: its marks, and --check beside them. To attach is what costs time.
marks()
{
	begin "marks" --rounds 5
	listen "marks" --check "$(truth_get g gfn slot id=1)+$pages"
	rounds 2 3 4 5
	heard 0 "marks"
	is "in the log: nothing is found" "$(said '[w["gfn"] for w in d["written"]]')" ""
	cmp_ok "in the log: changes that were reported" "$(said 'd["check"]["reported"]')" -gt 50
	cmp_ok "marks: pages were written" "$(sort -u "$SCRATCH/wrote" | wc -l)" -gt 100
	said '[g["gfn"] for g in d["gfns"] if data(g["gfn"])]' >"$SCRATCH/marked"
	same "marks: the frames that the guest wrote, and no other" "$SCRATCH/marked" "$SCRATCH/wrote"
	diag "ways: $(said '", ".join("%s %d" % (w["way"], w["count"]) for w in d["ways"] if w["count"])')"
	is "marks: nothing was lost" "$(said 'sum(d["listened"][k] or 0 for k in ("lost_buffer", "lost_recursion", "lost_probe", "lost_thread"))')" 0
	if [ "$vendor" = intel ]; then
		is "marks: each by PML" "$(said '[w["way"] for w in d["ways"] if w["count"] and w["way"] != "d bit"]')" "pml"
		said '[g for b in d["batches"] for g in b["gfns"] if data(g)]' >"$SCRATCH/logged"
		same "PML: the entries of its buffers are the pages that the guest wrote" "$SCRATCH/logged" "$SCRATCH/wrote"
		is "PML: each batch has as many entries as were seen" \
			"$(said 'sum(b["entries"] != len(b["gfns"]) for b in d["batches"] if b["entries"] is not None)')" 0
		cmp_ok "PML: batches" "$(said 'd["summary"]["batches"]')" -gt 0
	else
		is "marks: by faults alone" "$(said '[w["way"] for w in d["ways"] if w["count"] and
			w["way"] not in ("d bit", "write fault", "fast fault", "read fault")]')" ""
		is "no PML here" "$(said 'd["summary"]["batches"]')" 0
	fi
	ok "marks: the log was read" test "$(said 'sum(m["what"] == "read" for m in d["log"])')" -ge 2
	end_vmm g
}

# "VCPU 512" for each time that the kernel's own tracepoint had exit reason 62.
kernel_full()
{
	awk '/^{ vcpu_id:/ { for (i = 0; i < $NF; i++) print $3, 512 }' "$tracing/events/kvm/kvm_pml_full/hist"
}

# PML buffers that are full: of two vCPUs, each with more to write in a round than a buffer holds. Whether one fills depends on the host's
# interrupts, which make exits, too: the kernel's count of exits for it is what there has to be.
full()
{
	local name="full buffers" pages=1300 n gfn base

	begin "$name" --vcpus 2 --write 90 --rounds 8
	base=$(($(truth_get g gfn slot id=1)))
	listen "$name"
	hist '' vcpu_id kvm/kvm_pml_full
	rounds 2 3
	for n in 4 5 6 7 8; do
		[ -n "$(kernel_full)" ] || rounds $n
	done
	heard 0 "$name"
	# Each vCPU has every other page, and goes upwards.
	while read -r gfn; do
		echo "$(((gfn - base) % 2)) $gfn"
	done <"$SCRATCH/wrote" | sort -s -k 1,1n >"$SCRATCH/wrote-by"
	said '["%s %s" % (b["vcpu_id"], g) for b in reversed(d["batches"]) for g in reversed(b["gfns"]) if data(g)]' |
		sort -s -k 1,1n >"$SCRATCH/logged-by"
	is "$name: of each vCPU the pages that it wrote, in its order" "$(diff "$SCRATCH/wrote-by" "$SCRATCH/logged-by" | head -n 5)" ""
	said '["%s %s" % (b["vcpu_id"], b["entries"]) for b in d["batches"] if b["full"]]' | sort >"$SCRATCH/full"
	kernel_full | sort >"$SCRATCH/kernel-full"
	cmp_ok "$name: there are some" "$(wc -l <"$SCRATCH/kernel-full")" -ge 1
	is "$name: of 512 entries, and of each vCPU as many as the kernel counted" "$(xargs <"$SCRATCH/full")" \
		"$(xargs <"$SCRATCH/kernel-full")"
	is "$name: they are counted" "$(said 'd["summary"]["batches_full"]')" "$(wc -l <"$SCRATCH/kernel-full")"
	diag "$name: vCPU and entries: $(uniq -c "$SCRATCH/full" | xargs)"
	hist '!' vcpu_id kvm/kvm_pml_full
	end_vmm g
}

# by WHO: round and frame of each write of l1's or l2's in the data slot.
by()
{
	awk -v by="by=$1" '$1 == "wrote" && index(" " $0 " ", " " by " ") {
		for (i = 2; i <= NF; i++) {
			split($i, kv, "=")
			v[kv[1]] = kv[2]
		}
		print v["round"], v["gfn"]
	}' "$SCRATCH/who" | sort -u
}

# times: "FRAME NUMBER" of "ROUND FRAME".
times()
{
	awk '{ nr[$2]++ } END { for (gfn in nr) print gfn, nr[gfn] }' | sort
}

# One frame, both ways, between two readings: L1 writes it through its own tables, where the CPU logs it, and L2 through the shadow
# of EPT12, which is write-protected, as its writes must not go to L1's log (SEMANTICS E.2, E6). Both draw their pages in each round.
told_apart()
{
	local name="both ways" eptp_ad=$((seed & 1))

	begin "$name" --rounds 5 --mode nested --eptp-ad $eptp_ad --l1-touch --l1-write 50
	listen "$name"
	for n in 2 3 4 5; do
		rounds "$n"
		truth g wrote >>"$SCRATCH/who"
	done
	heard 0 "$name"
	by l1 >"$SCRATCH/by-l1"
	by l2 >"$SCRATCH/by-l2"
	comm -12 "$SCRATCH/by-l1" "$SCRATCH/by-l2" >"$SCRATCH/by-both"
	diag "$name: EPT12 $([ $eptp_ad = 1 ] || echo without) A/D; in four rounds L1 wrote $(wc -l <"$SCRATCH/by-l1") times," \
		"L2 $(wc -l <"$SCRATCH/by-l2"), both one frame $(wc -l <"$SCRATCH/by-both")"
	cmp_ok "$name: frames that both wrote between two readings" "$(wc -l <"$SCRATCH/by-both")" -ge 50
	said '["%s %d" % (g["gfn"], g["pml"]) for g in d["gfns"] if data(g["gfn"]) and g["pml"]]' | sort >"$SCRATCH/pml"
	said '["%s %d" % (g["gfn"], g["write_fault"]) for g in d["gfns"] if data(g["gfn"]) and g["write_fault"]]' | sort >"$SCRATCH/fault"
	is "$name: by PML, frame by frame as often as L1 wrote" "$(diff <(times <"$SCRATCH/by-l1") "$SCRATCH/pml" | head -n 5)" ""
	is "$name: by write fault, frame by frame as often as L2 wrote" "$(diff <(times <"$SCRATCH/by-l2") "$SCRATCH/fault" | head -n 5)" ""
	is "$name: by no other way" "$(said '[w["way"] for w in d["ways"] if w["count"] and w["way"] not in ("pml", "write fault", "d bit")]')" ""
	said '[g for b in d["batches"] for g in b["gfns"] if data(g)]' >"$SCRATCH/logged"
	cut -d ' ' -f 2 "$SCRATCH/by-l1" >"$SCRATCH/wrote-l1"
	same "$name: entries of the PML buffers are what L1 wrote" "$SCRATCH/logged" "$SCRATCH/wrote-l1"
	diag "ways: $(said '", ".join("%s %d" % (w["way"], w["count"]) for w in d["ways"] if w["count"])')"
	end_vmm g
}

written_but_clean()
{
	# What is not found: a frame that is marked once more, and read; and the first mark of each, as nobody saw it cleared before.
	begin "thrown away" --rounds 10 --dirty-lose 9 --write 30
	listen "thrown away" --check "$(truth_get g gfn slot id=1)+$pages"
	rounds 2 3 4 5 6 7 8 9 10
	heard 1 "thrown away"
	said '[w["gfn"] for w in d["written"]]' >"$SCRATCH/found"
	diag "thrown away $(sort -u "$SCRATCH/lost" | wc -l), found $(sort -u "$SCRATCH/found" | wc -l)"
	diag "$(said 'd["check"]')"
	cmp_ok "thrown away: found" "$(sort -u "$SCRATCH/found" | wc -l)" -ge 5
	within "thrown away: what is found was thrown away" "$SCRATCH/found" "$SCRATCH/lost"
	end_vmm g
}

# A VM whose dirty frames go to rings: they are told, what becomes of them there is not, and that is said.
ring()
{
	rm -f "$SCRATCH/wrote"
	start_vmm g --seed "$seed" --pages "$pages" --dirty-ring --write-redraw --rounds 4
	wait_checkpoint g 1
	result $? "ring: guest"
	is "ring: the VM has one" "$("$mmuscope" vms -j | jq -r --arg pid "${vmm_pid[g]}" '.vms[] | select((.pid | tostring) == $pid) | .log_mode | join(" ")')" ring
	listen "ring"
	is "ring: its log goes on" "$(vmm_ctl g log on)" ok
	rounds 2 3 4
	heard 0 "ring"
	said '[g["gfn"] for g in d["gfns"] if data(g["gfn"])]' >"$SCRATCH/marked"
	same "ring: marks are of the frames that the guest wrote" "$SCRATCH/marked" "$SCRATCH/wrote"
	is "ring: what is unread is not known" "$(said 'set((s["since_read"], s["reads"], s["clears"]) for s in d["slots"])')" "(None, None, None)"
	cmp_ok "ring: that is said" "$(jq '[.. | strings | select(contains("KVM_CAP_DIRTY_LOG_RING"))] | length' "$SCRATCH/dirty.json")" -eq 1
	end_vmm g
}

ok "a guest to keep KVM in use" hold_kvm
# ONLY names one of them.
[ "${ONLY:-marks}" != marks ] || marks
if [ "$vendor" = intel ]; then
	# Takes Bochs minutes.
	[ "${MMUSCOPE_DEEP:-0}" = 0 ] || [ "${ONLY:-full}" != full ] || full
	[ "${ONLY:-apart}" != apart ] || told_apart
fi
[ "${ONLY:-clean}" != clean ] || written_but_clean
[ "$vendor" = intel ] || [ "${ONLY:-ring}" != ring ] || ring
done_testing
