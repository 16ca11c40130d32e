#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# stuck: nothing on a correct machine, L1's view where it is told of the wrong access, rounds, and what it refuses.
. "$SRCDIR/tests/cli/tap-lib"
needs_schema
export PYTHONPATH="$SRCDIR/tests/cli" PYTHONDONTWRITEBYTECODE=1
schema=$SRCDIR/tests/cli/schema.py
# so FILE PYTHON-EXPRESSION on d, the object of the file, and p, its places.
so() {
	$python -c 'import json, sys; d = json.load(open(sys.argv[1])); p = d["places"]; sys.exit(not eval(sys.argv[2]))' "$1" "$2" && return 0
	echo "# not so: $2"
	return 1
}

# A correct machine.
for spec in sim sim:2 sim:hv=svm sim:kernel=6.1 sim:hv=svm,kernel=6.1,seed=3; do
	run 0 -T "$spec" stuck -j && $python "$schema" check "$SRCDIR/doc/schema.json" "$T/out" && so "$T/out" 'not p and d["stuck"]["findings"] == 0' &&
		so "$T/out" 'd["stuck"]["faults"] > 1000 and d["listened"]["raised"] == d["listened"]["delivered"] > 5000 and d["listened"]["ms"] == 2000'
	ok "$spec: no fault comes again and again"
done
run 0 -T sim stuck --min 4 --for 8 -j && so "$T/out" 'not p and d["stuck"]["min"] == 4 and d["listened"]["ms"] == 8000'
ok 'nor 4 times in a row in 8000 steps'
so "$T/out" 'all(sum(v[f] for v in d["vcpus"]) == d["stuck"][f] for f in ("faults", "fixed", "emulated", "injected", "retried"))' &&
	so "$T/out" '[v["vcpu_id"] for v in d["vcpus"]] == [0, 1, 2]'
ok 'the vCPUs add up'
sum='all(x["faults"] == sum(x[o] for o in ("fixed", "spurious", "emulated", "retried", "injected", "failed", "unfinished")) for x in d["vcpus"] + [d["stuck"]])'
so "$T/out" "$sum and d['stuck']['unfinished'] <= 3"
ok 'each fault has one outcome'

for spec in sim:hv=svm sim:kernel=6.1 sim:bug=stale-qual; do
	run $([ $spec != sim:bug=stale-qual ]; echo $?) -T $spec stuck --for 1 -j && so "$T/out" "$sum and d['stuck']['injected'] > 10"
	ok "$spec: each fault has one outcome"
done

# L1 is told of the read that it has granted, L2 writes for ever.
run 1 -T sim:bug=stale-qual stuck -j && $python "$schema" check "$SRCDIR/doc/schema.json" "$T/out" && so "$T/out" 'p and len(p) == d["stuck"]["findings"]'
ok 'bug=stale-qual: status 1'
so "$T/out" 'all(x["guest"] == "l2" and x["mmu"] == "guest" and x["cause"] in ("l1-granted", "l1-denies") and x["reason"] == "0x30" and x["count"] == 16 for x in p)' &&
	so "$T/out" 'any(x["cause"] == "l1-granted" and x["qual"] == "0x189" for x in p)' &&
	so "$T/out" 'all(int(x["address"], 16) >> 12 == 0xfe001 and x["error"] is None for x in p)' &&
	so "$T/out" 'all(x["text"].startswith("L1\x27s view: ") for x in p) and any("told of read, its entries grant read" in x["text"] for x in p)'
ok 'it names the device, L1'"'"'s view, and what L1 is told'
so "$T/out" 'all(0 <= x["first_ms"] <= x["last_ms"] <= d["listened"]["ms"] and x["taken"] >= x["count"] and x["outcome"] == "emulate" for x in p)'
ok 'with times and the last outcome'
cp "$T/out" "$T/first"
run 1 -T sim:bug=stale-qual stuck -j && so "$T/out" "p == json.load(open('$T/first'))['places']"
ok 'the same each time'
run 1 -T sim:bug=stale-qual stuck && $python - "$T/out" "$T/first" <<'END'
import json, re, sys
text = [b.split("\n") for b in open(sys.argv[1]).read().rstrip("\n").split("\n\n")]
want = json.load(open(sys.argv[2]))
for block in text[1:]:
    for line in block:
        if len(line) > 100:
            sys.exit("# wide: %s" % line)
for name, lines in (("stuck", text[1]), ("listened", text[4])):
    got = [re.split(r"  +", line, maxsplit=1)[1] for line in lines[1:]]
    if got != [str(v) for v in want[name].values() if v is not None]:
        sys.exit("# %s: %s" % (name, got))
rows = []
for line in text[2][2:]:
    if line.startswith(8 * " "):
        rows[-1][1].append(line.strip())
    else:
        rows.append((line.split(), []))
if len(rows) != len(want["places"]):
    sys.exit("# %d rows" % len(rows))
for (cells, below), p in zip(rows, want["places"]):
    number = lambda v: "-" if v is None else str(v)
    if cells != [number(p[k]) for k in ("vcpu_id", "guest", "address", "gfn", "count", "rate", "last_ms", "outcome")] + ["yes" if p["open"] else "no", p["cause"]]:
        sys.exit("# %s" % cells)
    figures = "exit reason %s, qualification %s; %s MMU; root of L2 %s; first at %s ms; of %s faults here %s resolved: %s since" % tuple(
        [p[k] for k in ("reason", "qual", "mmu", "pgd", "first_ms", "taken", "resolved")] + ["it has not got on" if p["open"] else "such an access has got on"])
    if " ".join(below) != p["text"] + " " + figures:
        sys.exit("# %s" % below)
END
ok 'text says the same, within 100 columns'
vcpu=$($python -c 'import json, sys; print(json.load(open(sys.argv[1]))["places"][0]["vcpu_id"])' "$T/first")
run 1 -T sim:bug=stale-qual stuck --vcpu "$vcpu" -j && so "$T/out" "p == [x for x in json.load(open('$T/first'))['places'] if x['vcpu_id'] == $vcpu] and len(d['vcpus']) == 1"
ok '--vcpu: what others do still counts'
run 0 -T sim:bug=stale-qual stuck --min 17 -j && so "$T/out" 'not p'
ok '--min: L2 gives up after 16'
run 1 -T "sim:$SRCDIR/tests/scenarios/bug-stale-qual.scn,bug=stale-qual" stuck -j && so "$T/out" 'len(p) == 1 and p[0]["count"] == 21 and p[0]["open"] and p[0]["address"] == "0xfee00000" and p[0]["cause"] == "l1-granted"'
ok 'the scenario: one place, still open'
run 1 -T "sim:$SRCDIR/tests/scenarios/bug-stale-qual.scn,bug=stale-qual" stuck && tr -s ' \n' ' ' <"$T/out" | grep -q 'grants already, so that it is another which L2 tries; .*of 21 faults here 0 resolved: it has not got on since'
ok 'and says so'
run 0 -T "sim:$SRCDIR/tests/scenarios/bug-stale-qual.scn" stuck -j && so "$T/out" 'not p and d["stuck"]["injected"] == 2'
ok 'the same without the bug: L1 is told twice'

# Rounds.
run 0 -T sim stuck --watch 0.1 --count 3 && [ "$(grep -c '; nothing new; findings 0; ' "$T/out")" = 3 ] && [ "$(wc -l <"$T/out")" = 4 ] && [ ! -s "$T/err" ]
ok '--watch: provenance once, then a line a round'
run 1 -T sim:bug=stale-qual stuck --watch 0.5 --count 4 -j && [ "$(wc -l <"$T/out")" = 4 ] && $python - "$SRCDIR/doc/schema.json" "$T/out" "$T/line" "$T/first" <<'END'
import json, sys
import schema
rounds = []
for line in open(sys.argv[2]):
    with open(sys.argv[3], "w") as file:
        file.write(line)
    schema.cmd_check(sys.argv[1], sys.argv[3])
    rounds.append(json.loads(line))
known = 0
for i, r in enumerate(rounds):
    w = r["watch"]
    known += w["came"]
    if w["round"] != i + 1 or w["findings"] != len(r["places"]) or known != w["findings"] or r["listened"]["ms"] != 500:
        sys.exit("# round %d: %r" % (i + 1, w))
# Four rounds of half a second are the two seconds of one.
if rounds[-1]["places"] != json.load(open(sys.argv[4]))["places"]:
    sys.exit("# not the same as in one piece")
END
ok '--watch: what is known is kept from round to round, nothing between is missed'

# What it refuses.
refused() {
	want=$1
	text=$2
	shift 2
	run "$want" "$@" && [ ! -s "$T/out" ] && [ "$(wc -l <"$T/err")" = 1 ] && grep -q -e "$text" "$T/err"
}
run 0 -T sim save "$T/snap"
refused 2 'has no events to listen to' -T "snap:$T/snap" stuck
ok 'a snapshot has no events'
refused 2 '--min: .1. is not' -T sim stuck --min 1
ok '--min 1'
refused 2 '--for: .0. is not' -T sim stuck --for 0
ok '--for 0'
refused 2 'takes no --gfn' -T sim stuck --gfn 1
ok '--gfn'
refused 2 '--count: there is but one round' -T sim stuck --count 2
ok '--count without --watch'
refused 2 'stuck: .* vCPU\|no vCPU' -T sim stuck --vcpu 77
ok 'a vCPU that is not there'
finish
