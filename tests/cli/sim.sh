#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The simulated VM by every command: the schema, the same answer each time and from a snapshot of it, redaction, and that it is
# never taken for this host.
. "$SRCDIR/tests/cli/tap-lib"
needs_schema
cat >"$T/same.py" <<END
import json, sys
a, b = (json.load(open(path)) for path in sys.argv[1:3])
for data in a, b:
    for key in ("target", "live", "time"):
        del data["provenance"][key]
    del data["target"]
sys.exit(a != b)
END
# same A B: two JSON outputs, but for the time and the target.
same() {
	$python "$T/same.py" "$1" "$2"
}

# commands SPEC: one a line.
commands() {
	page=$("$M" -T "$1" sps --list --mmu guest --level 1 --no-header | sed -n '1s/ .*//p')
	cat <<-END
		vms
		vcpus
		slots
		mmus
		sps
		sps --list
		sp $page
		leaves --mmu guest
		leaves --state mmio
		walk 0x7f5500000000 --vcpu 1 --access wu
		walk 0xffff888000040000
		walk 0xffff888000040000 --vcpu 2 --access x
		walk 0x1000
		events
		events --last 3000 --event spte_set,flush,sp_create --vcpu 1
		events --gfn 0x1000-0x3000 --last 1000
	END
}
for spec in sim:hv=svm,kernel=6.1 sim; do
	commands $spec >"$T/commands"
	while read -r line; do
		forms='-j -j/--redact'
		[ $spec = sim ] || forms=-j
		for form in $forms; do
			run 0 -T $spec $line $(echo "$form" | tr / ' ') && $schema check "$SRCDIR/doc/schema.json" "$T/out"
			ok "schema: $spec $line $form"
		done
	done <"$T/commands"
done
run 0 events --list -j && $schema check "$SRCDIR/doc/schema.json" "$T/out"
ok 'schema: events --list, without a target'

for line in vms slots 'sps --list' "sp $page" 'leaves --mmu guest' 'walk 0xffff888000001000 --vcpu 1'; do
	run 0 -T sim $line && mv "$T/out" "$T/text" && run 0 -T sim $line -j && $schema agree "$T/text" "$T/out"
	ok "text and JSON say the same: $line"
done
for line in 'sps' 'leaves' 'events -n 500' 'walk 0x7f5500000000 -c 1'; do
	run 0 -T sim $line -j && mv "$T/out" "$T/once" && run 0 -T sim $line -j && same "$T/once" "$T/out"
	ok "the same each time: $line"
done

# A snapshot of it holds what it says, and that it is simulated.
run 0 -T sim save "$T/sim.snap"
ok 'save'
for line in vms slots vcpus mmus 'sps --list' leaves; do
	run 0 -T sim $line -j && mv "$T/out" "$T/once" && run 0 -T "snap:$T/sim.snap" $line -j && same "$T/once" "$T/out"
	ok "the same from a snapshot: $line"
done
has "$T/out" 'd["provenance"]["kernel"] == "nmmu like 6.12"' && run 0 -T "snap:$T/sim.snap" vms && grep -q 'sim:hypervisor' "$T/out"
ok 'a snapshot says that it is of a simulation'

# All that runs in it can be seen.
run 0 -T sim leaves -j && has "$T/out" '{"RW", "WP", "RO", "DL"} <= {r["state"] for r in d["leaves"]}' &&
	has "$T/out" '"mmio" in {r["class"] for r in d["leaves"]} and 2 in {r["level"] for r in d["leaves"]}'
ok 'leaves of every write state, of 2 MiB, and MMIO'
run 0 -T sim vcpus -j && has "$T/out" '[v["guest_mode"] for v in d["vcpus"]] == [True, True, False]'
ok 'two vCPUs run L2, the third L1'

run 0 -T sim events -n 2000 -e fault,flush -j && has "$T/out" '{e["event"] for e in d["events"]} == {"fault", "flush"}' &&
	has "$T/out" 'd["log"]["looked_at"] == 16384 and d["log"]["shown"] == len(d["events"]) == 2000' && mv "$T/out" "$T/many" &&
	run 0 -T sim events -n 3 -e fault,flush -j && $python - "$T/out" "$T/many" <<'END'
import json, sys
few, many = (json.load(open(path))["events"] for path in sys.argv[1:])
sys.exit(len(few) != 3 or few != many[-3:])
END
ok 'events: --last counts what --event lets pass, and has the last of it'
run 0 -T sim events -n 2000 -c 1 -j && has "$T/out" '{e["vcpu_id"] for e in d["events"]} == {1}'
ok 'events: --vcpu'
# Entries of higher levels and ranges of memslots cover it; tests/cli/events.sh looks at these.
run 0 -T sim events -n 16384 -g 0x1000-0x1100 -j &&
	has "$T/out" 'd["events"] and all(0x1000 <= int(e.get("gfn") or hex(int(e["gpa"], 16) >> 12), 16) < 0x1100 for e in d["events"]
		if e.get("level", 1) == 1 and "pages" not in e)'
ok 'events: --gfn'
run 0 -T sim events -n 16384 -j &&
	has "$T/out" '[e["seq"] for e in d["events"]] == list(range(d["events"][0]["seq"], d["events"][0]["seq"] + 16384))' &&
	has "$T/out" 'd["log"]["raised"] == 16384 + d["log"]["overwritten"] and d["log"]["lost"] == 0'
ok 'events: what is no longer kept is counted'
# Time passes between two commands of one process.
printf '%s\n' 'events -n 1 --no-header' 'events -n 1 --no-header' | "$M" -T sim prompt >"$T/out" 2>"$T/err" &&
	[ "$(grep -c '^raised' "$T/out")" -eq 2 ] && [ "$(grep '^raised' "$T/out" | sort -u | wc -l)" -eq 2 ]
ok 'the prompt: it goes on between two commands'
run 0 events --list -j && mv "$T/out" "$T/list" && sed -n 's/^EVENT(\([a-z0-9_]*\),.*/\1/p' "$SRCDIR/src/abi/events.def" | sort >"$T/want" &&
	$python -c 'import json, sys; print("\n".join(sorted({r["event"] for r in json.load(open(sys.argv[1]))["list"]})))' "$T/list" |
	cmp -s - "$T/want"
ok 'events --list has those of events.def'
has "$T/list" '{"fault", "nx huge", "fixed", "guest"} <= {r["value"] for r in d["values"]}' &&
	has "$T/list" '{r["unit"] for r in d["values"]} == {"RET", "MMU", "CAUSE", "FLUSH"}' &&
	has "$T/list" '{"RET", "MMU", "FLUSH"} < {r["unit"] for r in d["list"]}'
ok 'events --list has the names of values'
run 0 -T sim events -n 3000 -j && has "$T/out" 'all(v is not None for e in d["events"] for k, v in e.items() if k != "vcpu_id")' &&
	has "$T/out" '{e["mmu"] for e in d["events"] if e["event"] == "fault"} <= {"root", "guest"}'
ok 'events: those fields that an event has'

run 0 -T sim walk 0x1000 -j && has "$T/out" 'd["walk"]["result"] == "fault of L2" and d["walk"]["gpa"] is None and not d["shadow"]'
ok 'walk: what L2 does not map is a fault of L2'
# why ACCESS WORDS: a walk of L2's heap is denied for this.
why() {
	run 0 -T sim walk 0x7f5500003000 -c 1 --access $1 -j && has "$T/out" "d['steps'][-1]['notes'] == '$2'.split()"
	ok "walk: --access $1: $2"
}
why r 'denies SMAP'
why x 'denies NX SMEP'
why ux 'denies NX'
run 0 -T sim walk 0xffff888000040000 -c 1 --access u -j && has "$T/out" 'd["steps"][-1]["notes"] == ["denies", "not-user"]'
ok 'walk: not a user page'
run 0 -T sim walk 0x8000000000000000 -c 1 -j && has "$T/out" '"not canonical" in d["walk"]["result"] and not d["steps"] and not d["shadow"]'
ok 'walk: an address that is not canonical is not taken for another'
run 0 -T sim walk 0xffff7fffffffffff -c 1 -j && has "$T/out" '"not canonical" in d["walk"]["result"]' &&
	run 0 -T sim walk 0xffff800000000000 -c 1 -j && has "$T/out" 'd["walk"]["result"] == "fault of L2"'
ok 'walk: the first canonical one of the upper half'
run 0 -T sim walk 0xffff888000040000 -c 2 -j && has "$T/out" 'd["walk"]["gpa"] == "0x40000" and d["walk"]["second"] is None'
ok 'walk: L1 has one dimension'

# The examples of README and of the machine's description say what they are said to say.
sed -n 's/^    \(build\/\)\{0,1\}mmuscope -T sim \([^#|]*\).*/\2/p' "$SRCDIR/doc/sim.md" "$SRCDIR/README.md" >"$T/examples"
[ "$(grep -c '^walk' "$T/examples")" -ge 8 ]
ok 'there are examples'
while read -r line; do
	run 0 -T sim $line -j && if [ "$line" = 'walk 0x7f5500003000 --vcpu 1' ]; then
		has "$T/out" '"SMAP" in d["steps"][-1]["notes"]'
	elif [ "${line#walk}" != "$line" ]; then
		has "$T/out" 'd["walk"]["result"] in ("memory", "no memory: a device")'
	else
		has "$T/out" 'd.get("leaves") or d.get("events")'
	fi
	ok "example: $line"
done <"$T/examples"

for line in vms 'slots' 'sps --list' "sp $page" 'leaves --mmu guest' 'events -n 500' 'walk 0xffff888000001000 -c 1'; do
	run 0 -T sim $line -j && mv "$T/out" "$T/plain"
	for how in '' -j; do
		run 0 -T sim $line --redact $how && $schema leaks "$T/plain" "$T/out" "$T"
		ok "nothing leaks: $line --redact $how"
	done
done

# bad STATUS PART WORDS...: this status and one line that has PART.
bad() {
	status=$1
	part=$2
	shift 2
	run "$status" "$@" && [ ! -s "$T/out" ] && [ "$(wc -l <"$T/err")" -eq 1 ] && grep -qF -- "$part" "$T/err" ||
		{ echo "# got: $(cat "$T/err")"; false; }
	ok "$status: mmuscope $*"
}
bad 2 'keeps no events: target sim does' -T "snap:$T/sim.snap" events
bad 2 'does not walk the tables of a guest' -T "snap:$T/sim.snap" walk 0
bad 2 "'nope' is no event" -T sim events --event fault,nope
bad 2 'is no address' -T sim walk here
bad 2 'no vCPU 7' -T sim walk 0 --vcpu 7
bad 2 'events: the VM has no vCPU 7' -T sim events --vcpu 7
bad 2 'not a value' -T sim walk 0 --access rw
bad 2 'not a value' -T sim events --last 0
bad 2 'is not understood' -T sim:hv=arm vms
bad 2 'bug=:' -T sim:bug=none vms
bad 2 'bug=:' -T sim:bug=pml-l2,pml-l2 vms
bad 2 'bug= is given twice' -T sim:bug=pml-l2,bug=no-flush vms
bad 2 'seed= is given twice' -T sim:7,seed=8 vms
bad 2 'is not understood' -T sim:pml-l2 vms
bad 2 'steps=: 0 to 1000000' -T sim:steps=1000001 vms
bad 2 'is a directory' -T "sim:$T" vms
bad 2 'hv=svm has no PML' -T sim:hv=svm,bug=pml-l2 vms
bad 2 'hv=svm has no EPT' -T sim:bug=stale-qual,hv=svm vms
run 0 -T sim:0x10 sps -j && mv "$T/out" "$T/once" && run 0 -T sim:seed=16 sps -j && same "$T/once" "$T/out"
ok 'numbers are hexadecimal behind 0x'

# A bug shows by its harm.
run 0 -T sim:bug=pml-l2,steps=12000 vms -j && has "$T/out" '"no dirty log named them" in d["notes"][0]'
ok 'bug=pml-l2: pages are lost, and it says so'
run 0 -T sim:bug=stale-qual,steps=12000 vms -j && has "$T/out" 'len(d["notes"]) == 1 and "never got on" in d["notes"][0]'
ok 'bug=stale-qual: L2 does not get on, and it says so'
run 0 -T sim:steps=12000 vms -j && has "$T/out" 'd["notes"] == []'
ok 'without a bug neither'
run 0 -T sim:bug=la57-root,no-flush,hv=svm vms -j && has "$T/out" 'all("bug-%s.scn" % b in d["notes"][0] for b in ("la57-root", "no-flush"))'
ok 'bugs that do not show are not silent'

# A scenario's machine, as it is in the end.
scn=$SRCDIR/tests/scenarios/01-dirty-two-aliases.scn
for line in vms 'vcpus' 'sps' 'leaves' 'events' 'walk 0xc0001000'; do
	also=
	[ "$line" != events ] || also=', "this machine has no clock: its events have an order, and no times"'
	run 0 -T "sim:$scn" $line -j && $schema check "$SRCDIR/doc/schema.json" "$T/out" &&
		has "$T/out" 'd["notes"] == ["played as 6.12; otherwise with sim:FILE.scn,kernel=6.1"'"$also]"
	ok "a scenario's machine: $line"
done
run 0 -T "sim:$scn" leaves -j && has "$T/out" '[r["state"] for r in d["leaves"]] == ["DL", "DL"] and not d["provenance"]["live"]'
ok 'its leaves are as the scenario left them, for good'
run 0 -T "sim:$scn,kernel=6.1" leaves -j && has "$T/out" 'd["notes"] == [] and d["provenance"]["kernel"] == "nmmu like 6.1"'
ok 'as another kernel'
pml=$SRCDIR/tests/scenarios/bug-pml-l2.scn
run 0 -T "sim:$pml" leaves -j && has "$T/out" '"without its bug" in d["notes"][0]' && mv "$T/out" "$T/without" &&
	run 0 -T "sim:$pml,kernel=6.12,bug=pml-l2" leaves -j && has "$T/out" 'd["notes"] == []' && ! same "$T/without" "$T/out"
ok 'with its bug'
bad 2 'its machine names its kernel' -T "sim:$SRCDIR/tests/scenarios/24-rmap-chain-6.1.scn,kernel=6.12" vms
bad 2 'hv= is not for a scenario' -T "sim:$scn,hv=svm" vms
{ cat "$scn"; echo 'expect log 1 1'; } >"$T/fails.scn"
run 0 -T "sim:$T/fails.scn" leaves -j && has "$T/out" '"the scenario failed at" in d["notes"][0] and len(d["leaves"]) == 2'
ok 'one that fails is shown as it failed, and that is said'
printf 'machine \033[2J\n' >"$T/bad.scn"
bad 2 "$T/bad.scn:1:" -T "sim:$T/bad.scn" vms
bad 3 'No such file' -T "sim:$T/none.scn" vms

# This host's own VMs come first; nothing can be said here where it has some.
if "$M" -T live vms -j >"$T/out" 2>/dev/null && has "$T/out" 'd["vms"]'; then
	for i in 1 2 3 4; do n=$((n + 1)); echo "ok $n # SKIP this host has VMs"; done
else
	run 0 --frame && sed -n 1p "$T/out" | grep -q 'mmuscope  SIMULATED  sim ' && grep -q 'Simulated VM, not this host: ' "$T/out"
	ok 'without a VM the interface shows the simulated one, and says so'
	"$M" vms >"$T/out" 2>"$T/err" || { [ $? -eq 3 ] && grep -q 'sim looks at a simulated VM' "$T/err"; }
	ok 'a command does not: it fails or finds none'
	! grep -q 'sim:hypervisor' "$T/out"
	ok 'and shows nothing that is simulated'
	! "$M" --frame --vm 1 >"$T/out" 2>&1 && ! grep -q 'sim:hypervisor' "$T/out"
	ok 'nor does the interface when a VM is named'
fi
finish
