#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd intel
#
# stuck on the real KVM, inside the lab: an L1 that is told again and again and never grants the write is found at its
# pages, as often as its own log says; guests that get on are not.

# shellcheck disable=SC2016 # for awk
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

mmuscope=$BUILD/mmuscope
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"
VMM_WAIT=120
has_values=1
[[ $(uname -r) != 6.12* ]] || has_values=0
every=1 pages=200 mmio=
if [ "$vendor" = intel ]; then
	# A second of that machine's is half a minute of work.
	every=0.1 pages=40 mmio="--mmio 10"
fi

# listen NAME: stuck, round by round, in the background; returns when it listens.
listen()
{
	local i

	rm -f "$SCRATCH/stuck.json"
	"$mmuscope" stuck --vm "${vmm_pid[g]}" --watch "$every" -j >"$SCRATCH/stuck.json" 2>"$SCRATCH/stuck.err" &
	stuck_pid=$!
	for ((i = 0; i < 900; i++)); do
		[ ! -s "$SCRATCH/stuck.json" ] || break
		kill -0 "$stuck_pid" 2>/dev/null || break
		sleep 0.1
	done
	[ -s "$SCRATCH/stuck.json" ]
	result $? "$1: it listens" || diag "$(head -n 3 "$SCRATCH/stuck.err")"
}

# heard WANTED_STATUS NAME (or "0 or 1"): two rounds more, then it is ended; the last round's object is in $SCRATCH/last.json.
heard()
{
	local had i status

	had=$(wc -l <"$SCRATCH/stuck.json")
	for ((i = 0; i < 900 && $(wc -l <"$SCRATCH/stuck.json") < had + 2; i++)); do
		sleep 0.1
	done
	# Nor to one that detaches.
	kill -STOP "${vmm_pid[g]}"
	kill -INT "$stuck_pid"
	wait "$stuck_pid"
	status=$?
	kill -CONT "${vmm_pid[g]}"
	tail -n 1 "$SCRATCH/stuck.json" >"$SCRATCH/last.json"
	if [ "$1" = "0 or 1" ]; then
		cmp_ok "$2: status" "$status" -le 1
	else
		is "$2: status" "$status" "$1"
	fi
	# In one process, as starting it is what costs the emulated Intel seconds.
	/usr/bin/python3 - "$SCRATCH/last.json" "$SCRATCH/facts" <<'END' | sed 's/^/# /'
import json, sys
d = json.load(open(sys.argv[1]))
with open(sys.argv[2], "w") as facts:
    print("faults", d["watch"]["faults"], file=facts)
    print("lost", d["watch"]["lost"], file=facts)
    for p in d["places"]:
        timed = p["rate"] is not None and p["rate"] > 0 and 0 < p["first_ms"] <= p["last_ms"]
        print("place", hex(int(p["address"], 16) >> 12), p["count"], p["cause"], p["guest"], p["reason"], p["qual"],
              timed, p["seq_now"], file=facts)
print("%d faults, %d resolved, %d findings" % (d["watch"]["faults"], d["watch"]["resolved"], d["watch"]["findings"]), d["vcpus"])
for p in d["places"][:5]:
    print({k: v for k, v in p.items() if v is not None})
for n in d["notes"]:
    print(n)
END
}

# places EXPRESSION: awk's, of each place of the last round: 2 gfn, 3 count, 4 cause, 5 whose, 6 reason, 7 qualification,
# 8 whether it has a rate and times, 9 sequence value or None.
places()
{
	awk -v has_values=$has_values "\$1 == \"place\" { print $1 }" "$SCRATCH/facts" | sort
}

# number faults|lost: of the last round.
number()
{
	awk -v name="$1" '$1 == name { print $2 }' "$SCRATCH/facts"
}

# get_on NAME OPTION...: a guest that faults in its second round, and is stuck nowhere.
get_on()
{
	local name=$1
	shift
	start_vmm g --seed "$seed" --rounds 2 "$@"
	wait_checkpoint g 1 || result 1 "$name: guest"
	listen "$name"
	release_vmm g
	ok "$name: second round" wait_checkpoint g 2
	heard 0 "$name"
	is "$name: nothing is stuck" "$(places '$2, $4')" ""
	cmp_ok "$name: faults were seen" "$(number faults)" -gt 5
	end_vmm g
}

# busy NAME OPTION...: a guest that goes on and on while its memory is taken away. On a slow machine a fault may well meet
# the same invalidation again and again: then that is the cause that is told, and no other. 6.12 may find it before it asks
# is_page_fault_stale(), which is where the sequence values are seen.
busy()
{
	local name=$1
	shift
	start_vmm g --seed "$seed" --rounds 0 "$@"
	wait_checkpoint g 1 || result 1 "$name: guest"
	# Before the guest goes on, which on one CPU leaves little to a listener that attaches.
	listen "$name"
	release_vmm g
	heard "0 or 1" "$name"
	is "$name: the host's invalidations alone" \
		"$(places '($4 == "invalidated" || $4 == "invalidating") && ($9 != "None" || !has_values) ? "" : $0' | grep .)" ""
	cmp_ok "$name: faults were seen" "$(number faults)" -gt 20
	end_vmm g
}

# stubborn ON: three pages that L1 leaves unwritable, forty times each.
stubborn()
{
	local name="stubborn, $1" was reason=0x400 qual=0x100000007

	# A write to what may be read: SVM's EXITINFO1, VMX's exit qualification. Of an access that KVM emulates that has the
	# bit of a read as well.
	if [ "$vendor" = intel ]; then
		reason=0x30 qual=0x1aa
		[ "$1" = data ] || qual=0x1ab
	fi

	start_vmm g --seed "$seed" --mode nested --pages 60 --rounds 2 --stubborn 40 --stubborn-pages 3 --stubborn-on "$1"
	wait_checkpoint g 1 || result 1 "$name: guest"
	was=$(truth_get g faults stubborn | head -n 1)
	listen "$name"
	release_vmm g
	ok "$name: second round" wait_checkpoint g 2
	heard 1 "$name"
	is "$name: found at its pages, no others" "$(places '$2' | tr '\n' ' ')" \
		"$(truth_get g l2gfn stubborn | sort | tr '\n' ' ')"
	is "$name: as often as L1 was told" "$(places '$3' | sort -u)" "$(($(truth_get g faults stubborn | head -n 1) - was))"
	is "$name: L1's view" "$(places '$4, $5, $6, $7' | sort -u)" "l1-denies l2 $reason $qual"
	is "$name: what L1 was told" "$(truth_get g qual l1exit did=stay | sort -u)" $qual
	is "$name: with a rate and times" "$(places '$8' | sort -u)" True
	is "$name: nothing was lost" "$(number lost)" 0
	end_vmm g
}

# want PART: of plain, nested, storm, data and mmio those that ONLY names. A listening costs the emulated Intel a minute:
# without MMUSCOPE_DEEP it does the one that finds most.
[ "$vendor" != intel ] || [ "${MMUSCOPE_DEEP:-0}" != 0 ] || : "${ONLY:=data}"
[ -z "${ONLY:-}" ] || diag "only: $ONLY"
want()
{
	case " ${ONLY:-$1} " in
	*" $1 "*) return 0 ;;
	*) return 1 ;;
	esac
}

hold_kvm
# With PML pages are written again without a fault: MMIO has its own.
# shellcheck disable=SC2086 # words or none
want plain && get_on "a plain guest, its log read" --pages $pages --write 80 --dirty get $mmio
want nested && get_on "NPT12 rewritten" --mode nested --pages $pages --npt fault --rewrite mix --vcpus 2
want storm && busy "a storm of madvise" --mode nested --pages 60 --storm madvise --storm-hz 50
want data && stubborn data
want mmio && stubborn mmio
done_testing
