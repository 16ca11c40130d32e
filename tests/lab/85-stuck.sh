#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# stuck on the real KVM, inside the lab: an L1 that is told again and again and never grants the write is found at its
# pages, as often as its own log says; guests that get on are not.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

mmuscope=$BUILD/mmuscope
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"
VMM_WAIT=120
has_values=True
[[ $(uname -r) != 6.12* ]] || has_values=False

# listen NAME: stuck, round by round, in the background; returns when it listens.
listen()
{
	local i

	rm -f "$SCRATCH/stuck.json"
	"$mmuscope" stuck --vm "${vmm_pid[g]}" --watch 1 -j >"$SCRATCH/stuck.json" 2>"$SCRATCH/stuck.err" &
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
	kill -INT "$stuck_pid"
	wait "$stuck_pid"
	status=$?
	tail -n 1 "$SCRATCH/stuck.json" >"$SCRATCH/last.json"
	if [ "$1" = "0 or 1" ]; then
		cmp_ok "$2: status" "$status" -le 1
	else
		is "$2: status" "$status" "$1"
	fi
	/usr/bin/python3 - "$SCRATCH/last.json" <<'END' | sed 's/^/# /'
import json, sys
d = json.load(open(sys.argv[1]))
print("%d faults, %d resolved, %d findings" % (d["watch"]["faults"], d["watch"]["resolved"], d["watch"]["findings"]), d["vcpus"])
for p in d["places"][:5]:
    print({k: v for k, v in p.items() if v is not None})
for n in d["notes"]:
    print(n)
END
}

# places EXPRESSION: of each place p of the last round.
places()
{
	/usr/bin/python3 -c 'import json, sys
for p in json.load(open(sys.argv[1]))["places"]:
    print(eval(sys.argv[2]))' "$SCRATCH/last.json" "$1" | sort
}

number()
{
	/usr/bin/python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$SCRATCH/last.json" "$1"
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
	is "$name: nothing is stuck" "$(places 'p["address"], p["cause"]')" ""
	cmp_ok "$name: faults were seen" "$(number 'd["watch"]["faults"]')" -gt 5
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
	release_vmm g
	listen "$name"
	heard "0 or 1" "$name"
	is "$name: the host's invalidations alone" \
		"$(places '"" if p["cause"] in ("invalidated", "invalidating") and (p["seq_now"] is not None or not '"$has_values"') else p' |
			grep .)" ""
	cmp_ok "$name: faults were seen" "$(number 'd["watch"]["faults"]')" -gt 20
	end_vmm g
}

# stubborn ON: three pages that L1 leaves unwritable, forty times each.
stubborn()
{
	local name="stubborn, $1" was

	start_vmm g --seed "$seed" --mode nested --pages 60 --rounds 2 --stubborn 40 --stubborn-pages 3 --stubborn-on "$1"
	wait_checkpoint g 1 || result 1 "$name: guest"
	was=$(truth_get g faults stubborn | head -n 1)
	listen "$name"
	release_vmm g
	ok "$name: second round" wait_checkpoint g 2
	heard 1 "$name"
	is "$name: found at its pages, no others" "$(places 'hex(int(p["address"], 16) >> 12)' | tr '\n' ' ')" \
		"$(truth_get g l2gfn stubborn | sort | tr '\n' ' ')"
	is "$name: as often as L1 was told" "$(places 'p["count"]' | sort -u)" "$(($(truth_get g faults stubborn | head -n 1) - was))"
	is "$name: L1's view" "$(places 'p["cause"], p["guest"], p["reason"], p["qual"]' | sort -u)" \
		"('l1-denies', 'l2', '0x400', '0x100000007')"
	is "$name: what L1 was told" "$(truth_get g qual l1exit did=stay | sort -u)" 0x100000007
	is "$name: with a rate and times" "$(places 'p["rate"] > 0 and 0 < p["first_ms"] < p["last_ms"]' | sort -u)" True
	is "$name: nothing was lost" "$(number 'd["watch"]["lost"]')" 0
	end_vmm g
}

hold_kvm
get_on "a plain guest, its log read" --pages 200 --write 80 --dirty get
get_on "NPT12 rewritten" --mode nested --pages 200 --npt fault --rewrite mix --vcpus 2
busy "a storm of madvise" --mode nested --pages 60 --storm madvise --storm-hz 50
stubborn data
stubborn mmio
done_testing
