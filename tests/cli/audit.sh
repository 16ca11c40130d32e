#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The auditor as a command: silent on machines that work, heard with a bug, the same of a snapshot, and what it says it skipped.
. "$SRCDIR/tests/cli/tap-lib"
needs_schema
# checked WORDS...: the output obeys the schema.
checked() {
	$schema check "$SRCDIR/doc/schema.json" "$T/out"
}

# Without a bug.
for spec in sim sim:hv=svm sim:seed=9,kernel=6.1,steps=2000 sim:seed=3,hv=svm,kernel=6.1; do
	# vmcs02 is Intel's.
	case $spec in *svm*) nr=39 ;; *) nr=40 ;; esac
	run 0 -T $spec audit -j && checked && has "$T/out" 'd["findings"] == [] and d["notes"] == []' &&
		has "$T/out" "d['audit']['checked'] == $nr and d['audit']['skipped'] == 44 - $nr" &&
		has "$T/out" 'd["audit"]["pages"] > 10 and d["audit"]["sptes"] == 512 * d["audit"]["pages"] and d["audit"]["slots"] == 3'
	ok "silent: $spec"
done
bad=
for file in "$SRCDIR"/tests/scenarios/*.scn; do
	run 0 -T "sim:$file" audit --guest --no-header || bad=$file
done
[ -z "$bad" ]
ok 'silent: the machine of every scenario'

pinned="sim:$SRCDIR/tests/scenarios/34-pinned-slots.scn"
run 0 -T "$pinned" save "$T/pins.snap" && for spec in "$pinned" "snap:$T/pins.snap"; do
	run 0 -T "$spec" audit -j && checked && has "$T/out" 'd["findings"] == []' &&
		has "$T/out" '[r["judged"] > 0 for r in d["invariants"] if r["row"] in (42, 43)] == [True, True]' || { broken=1; break; }
	spec=
done
[ -z "$spec" ]
ok 'pins are judged where there are any, of a snapshot too'

run 0 -T sim audit -j && mv "$T/out" "$T/plain"
has "$T/plain" 'all((r["judged"] is None) == (r["lacking"] is not None) == (r["found"] is None) for r in d["invariants"])' &&
	has "$T/plain" 'len(d["invariants"]) == 44 and [r["row"] for r in d["invariants"]] == list(range(1, 45))' &&
	has "$T/plain" '{r["lacking"] for r in d["invariants"] if r["row"] in (35, 42)} == {"guest memory (--guest)", "pins"}' &&
	has "$T/plain" 'sum(r["judged"] or 0 for r in d["invariants"]) > 50000'
ok 'each invariant is judged or says what is lacking'

run 0 -T sim audit --quick -j && checked && has "$T/out" 'd["audit"]["checked"] == 34' &&
	has "$T/out" '{r["lacking"] for r in d["invariants"] if r["row"] in (18, 19, 20, 32)} == {"reverse maps (--quick)", "write-track counts (--quick)"}'
ok '--quick leaves out reverse maps and counts'
run 0 -T sim audit --row rmap-fwd,parent-fwd,32 -j && has "$T/out" 'all(r["judged"] > 10 for r in d["invariants"])'
ok 'lists are read for a row that needs them'

# Guest memory, where it is asked for.
for spec in sim sim:hv=svm sim:seed=9,kernel=6.1,steps=2000 sim:seed=3,hv=svm,kernel=6.1; do
	case $spec in *svm*) nr=41 ;; *) nr=42 ;; esac
	run 0 -T $spec audit --guest -j && checked && has "$T/out" "d['audit']['checked'] == $nr and d['findings'] == [] and d['notes'] == []" &&
		has "$T/out" 'all(r["judged"] > 50 for r in d["invariants"] if r["row"] in (35, 36))'
	ok "silent with guest memory: $spec"
done
run 0 -T sim audit --row 35,36 && grep -q '^note: shadow-guest: guest memory is read with --guest only$' "$T/out"
ok 'a row that needs guest memory says how to have it read'
for edit in 'r ad shadow-guest' 'rwx a d-clean' 'none shadow-guest'; do
	sed "\$ a edit ept12 ALIAS2 -> HEAP ${edit% *} by=poke" "$SRCDIR/tests/scenarios/01-dirty-two-aliases.scn" |
		sed '/^edit/s/-> HEAP none/none/' >"$T/edit.scn"
	run 0 -T "sim:$T/edit.scn" audit -j && run 1 -T "sim:$T/edit.scn" audit --guest -j && checked &&
		has "$T/out" '{(f["name"], f["text"] != "", f["gpte"][:2]) for f in d["findings"]} == {("'"${edit##* }"'", True, "0x")}'
	ok "heard: a guest's entry that is changed unseen: ${edit% *}"
	run 1 -T "sim:$T/edit.scn" audit --guest --redact -j && checked && has "$T/out" '[f["gpte"] for f in d["findings"]] == ["hidden"]'
	ok 'and hidden by --redact'
done
sed '$ a host discard 0x100000 pages=32' "$SRCDIR/tests/scenarios/01-dirty-two-aliases.scn" >"$T/gone.scn"
run 0 -T "sim:$T/gone.scn" audit --guest -j && has "$T/out" '{r["lacking"] for r in d["invariants"] if r["row"] in (35, 36)} == {"guest memory"}'
ok 'tables that the host has taken away are not faulted in'
run 0 -T "sim:$T/edit.scn" save "$T/none.snap" && ! grep -q 'guest memory' "$T/out" && run 0 -T "snap:$T/none.snap" audit --guest -j &&
	has "$T/out" '{r["lacking"] for r in d["invariants"] if r["row"] in (35, 36)} == {"guest memory"}'
ok 'a snapshot has no guest memory'
run 0 -T "sim:$T/edit.scn" save --guest "$T/guest.snap" && grep -q 'guest memory: treat it as private' "$T/out" &&
	run 0 -T "snap:$T/guest.snap" audit -j && run 1 -T "snap:$T/guest.snap" audit --guest -j && has "$T/out" '{f["row"] for f in d["findings"]} == {35}'
ok 'one with --guest has, and says so'

# With one.
run 1 -T sim:bug=pml-l2 audit -j && checked && has "$T/out" '{(7, "wp-only", "critical"), (8, "pml-l2", "critical")} <= {(f["row"], f["name"], f["severity"]) for f in d["findings"]} <= {(7, "wp-only", "critical"), (8, "pml-l2", "critical"), (37, "dirty-complete", "critical")}' &&
	has "$T/out" 'd["audit"]["findings"] == len(d["findings"]) == sum(r["found"] or 0 for r in d["invariants"]) > 100' &&
	has "$T/out" 'all(f["counts"] and f["text"] for f in d["findings"])' &&
	has "$T/out" 'all(f["sp"] and f["index"] < 512 and f["gfn"] and f["raw"] for f in d["findings"] if f["row"] == 7)' &&
	has "$T/out" 'all(f["vcpu"] and f["see"] == "vcpus" and not f["sp"] for f in d["findings"] if f["row"] == 8)'
ok 'pml-l2 is wp-only, and pml-l2'
mv "$T/out" "$T/bug"
see=$($python -c 'import json, sys; f = json.load(open(sys.argv[1]))["findings"][0]; print(f["see"], f["index"], f["raw"])' "$T/bug")
raw=${see##* }
words=${see% *}
run 0 -T sim:bug=pml-l2 ${words% *} -j && has "$T/out" "any(e['index'] == ${words##* } and e['raw'] == '$raw' for e in d['entries'])"
ok 'the command that a finding names shows the entry'
run 1 -T sim:bug=writable-invariant audit -j && has "$T/out" '{f["row"] for f in d["findings"]} == {2}'
ok 'writable-invariant is w-mw'
run 0 -T sim:bug=no-flush audit -j && has "$T/out" 'd["findings"] == []'
ok 'no-flush is in no table'
for kernel in 6.1 6.12; do
	run 1 -T "sim:$SRCDIR/tests/scenarios/bug-no-flush.scn,kernel=$kernel,bug=no-flush" audit --guest -j && checked && has "$T/out" '{f["row"] for f in d["findings"]} == {35}' &&
		has "$T/out" 'all(f["gpte"] and f["text"] for f in d["findings"])'
	ok "no-flush has let a table be written: $kernel"
done
run 1 -T sim:bug=stale-qual audit -j && checked && has "$T/out" '{f["row"] for f in d["findings"]} == {44}' &&
	has "$T/out" 'all(f["see"].startswith("events ") for f in d["findings"])'
ok 'stale-qual is qual'
run 0 -T sim:bug=stale-qual $($python -c 'import json, sys; print(json.load(open(sys.argv[1]))["findings"][0]["see"])' "$T/out") -j &&
	has "$T/out" 'any(e["event"] == "inject" for e in d["events"])'
ok 'the events that a finding names are there'
run 1 -T sim:bug=pml-l2 audit -j --redact && checked && ! grep -q "$raw" "$T/out" && has "$T/out" 'all(f["see"] == "hidden" and f["sp"].startswith("sp#") for f in d["findings"] if f["row"] == 7)' && has "$T/out" 'all(f["vcpu"].startswith("vcpu#") for f in d["findings"] if f["row"] == 8)'
ok '--redact'

# Snapshots.
run 0 -T sim save "$T/good.snap" && run 0 -T "snap:$T/good.snap" audit -j && checked &&
	has "$T/out" 'd["findings"] == [] and d["audit"]["checked"] == 37'
ok 'a snapshot of a simulated VM: silent'
run 0 -T sim:bug=pml-l2 save "$T/bad.snap" && run 1 -T "snap:$T/bad.snap" audit -j && has "$T/out" '{7, 8} <= {f["row"] for f in d["findings"] if f["counts"]} <= {7, 8, 37}'
ok 'a snapshot of a simulated VM: heard'
for opts in 'ept 6.1' 'ept 6.12' 'npt 6.1' 'npt 6.12 passthrough'; do
	snapshot "$T/made.snap" $opts
	run 0 -T "snap:$T/made.snap" audit --vm 4242 -j && checked &&
		has "$T/out" 'd["findings"] == [] and d["audit"]["checked"] == 29 and d["audit"]["pages_unconfirmed"] == 2'
	ok "a snapshot of the made-up host: silent: $opts"
done
has "$T/plain" 'd["invariants"][33]["judged"] is not None and d["invariants"][37]["judged"] > 0'
ok 'huge pages are held against logs and nx_huge_pages'

# Text, choice, list.
run 0 -T sim audit && mv "$T/out" "$T/text" && run 0 -T sim audit -j && $schema agree "$T/text" "$T/out"
ok 'text and JSON say the same'
run 1 -T sim:bug=pml-l2 audit --row 7,ro-slot && grep -q '^checked  *2$' "$T/out"
ok '--row takes numbers and names'
run 0 -T sim:bug=pml-l2 audit --row mw-hw -j && has "$T/out" '[r["row"] for r in d["invariants"]] == [1] and d["findings"] == []'
ok '--row: others are not judged'
run 0 -T sim audit --severity critical -j && has "$T/out" '{r["severity"] for r in d["invariants"]} == {"critical"} and 10 < len(d["invariants"]) < 30'
ok '--severity'
run 0 audit --list -j && checked && has "$T/out" '[r["row"] for r in d["list"]] == list(range(1, 45)) and d["provenance"] is None'
ok '--list needs no target'
mv "$T/out" "$T/list"
$python - "$T/list" "$SRCDIR/doc/audit.md" <<'END'
import json, sys
text = open(sys.argv[2], encoding="utf-8").read()
bad = [r["row"] for r in json.load(open(sys.argv[1]))["list"]
       if "| %d | `%s` | %s | %s | %s |" % (r["row"], r["name"], r["severity"], r["needs"], r["statement"]) not in text]
print("# doc/audit.md lacks or differs:", bad)
sys.exit(bool(bad))
END
ok 'doc/audit.md has them, in the words of --list'
run 2 -T sim audit --row 45 && grep -q 'no invariant' "$T/err" && grep -q 'audit --list' "$T/err"
ok '--row 45'
run 2 -T sim audit --row 7, && grep -q 'no invariant' "$T/err"
ok '--row with nothing behind a comma'
run 2 -T sim audit --severity bad && grep -q 'low, medium, high or critical' "$T/err"
ok '--severity bad'
run 2 -T sim audit --row 10 --severity high && grep -q 'leave no invariant' "$T/err"
ok '--row and --severity that leave nothing'
run 1 -T sim:bug=pml-l2 audit -j && cp "$T/out" "$T/all" && run 1 -T sim:bug=pml-l2 audit -n 3 -j && $python - "$T/out" "$T/all" <<'END'
import json, sys
some, every = (json.load(open(p)) for p in sys.argv[1:])
left = "not shown: %d findings" % (len(every["findings"]) - 3)
sys.exit(some["findings"] != every["findings"][:3] or some["audit"] != every["audit"] or some["notes"] != every["notes"] + [left] and some["notes"] != [left] + every["notes"])
END
ok '--last: so many findings'
for words in '--list -n 3' '--watch 1 -n 3'; do
	run 2 -T sim audit $words && [ "$(wc -l <"$T/err")" = 1 ] || { broken=1; break; }
done
ok '--last: not where it is no table of findings'
finish
