#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# dirty: by the schema, its figures agree with one another and with the events, the two PMLs apart, rounds, and what
# is written but clean.
. "$SRCDIR/tests/cli/tap-lib"
needs_schema
by_schema() {
	$python "$SRCDIR/tests/cli/schema.py" check "$SRCDIR/doc/schema.json" "$1"
}
for spec in sim sim:hv=svm sim:kernel=6.1; do
	run 0 -T $spec dirty --for 2 -j && by_schema "$T/out"
	ok "$spec: the schema"
	has "$T/out" 'd["summary"]["marks"] > 100 and d["summary"]["marks"] == sum(s["marks"] for s in d["slots"]) ==
		sum(w["count"] for w in d["ways"] if w["way"] != "d bit")'
	ok "$spec: marks of the slots and of the ways are all marks"
	has "$T/out" 'all(s["marks"] == s["l1"] + s["l2"] + s["of_none"] == sum(int(n) for n in s["timeline"]) for s in d["slots"]) and
		max(d["slots"], key=lambda s: s["marks"])["marks"] == sum(r["marks"] for r in d["map"]) and
		all(r["marks"] == sum(int(n) for n in r["timeline"]) for r in d["map"])'
	ok "$spec: marks in time, and of ranges of frames, are the slot's"
	has "$T/out" 'len(d["gfns"]) == 20 and all(a["marks"] >= b["marks"] for a, b in zip(d["gfns"], d["gfns"][1:])) and
		d["listened"]["ms"] == 2000 and d["summary"]["rate"] == round(d["summary"]["marks"] / 2 + 0.001)'
	ok "$spec: the most marked frames first, and the rate"
done
# The same machine, the same time: what it does is what the events say.
run 0 -T sim dirty --for 2 -j && cp "$T/out" "$T/dirty"
run 0 -T sim events --for 2 --event dirty,pml_drain,pml12 -j
cat >"$T/agree.py" <<'END'
import collections, json, sys
d = json.load(open(sys.argv[1]))
e = [x for x in map(json.loads, open(sys.argv[2])) if "event" in x]
marks = [x for x in e if x["event"] == "dirty"]
by_gfn = collections.Counter(x["gfn"] for x in marks)
by_slot = collections.Counter(x["slot"] for x in marks)
drains = [x for x in e if x["event"] == "pml_drain"]
bad = d["summary"]["marks"] != len(marks) or d["summary"]["frames"] != len(by_gfn) or \
    any(g["marks"] != by_gfn[g["gfn"]] for g in d["gfns"]) or d["gfns"][0]["marks"] != max(by_gfn.values()) or \
    any(s["marks"] != by_slot[s["slot"]] for s in d["slots"]) or d["summary"]["batches"] != len(drains) or \
    d["summary"]["entries"] != sum(x["entries"] for x in drains) or \
    [b["entries"] for b in d["batches"]] != [x["entries"] for x in drains[::-1]][:20] or \
    d["summary"]["pml12"] != sum(x["event"] == "pml12" for x in e)
sys.exit(bad or not marks or not drains)
END
$python "$T/agree.py" "$T/dirty" "$T/out"
ok 'marks, frames, batches and entries are those of the events'
has "$T/dirty" 'd["summary"]["host_pml"] and any("pml" in t["seen_by"] for t in d["tracking"] if t["seen_by"]) and
	all(t["leaves"] == t["ad_enabled"] + t["wrprot_only"] + t["ad_disabled"] for t in d["tracking"])'
ok 'leaves by A/D kind say what sees a write'
run 0 -T sim:hv=svm dirty --for 0.5 -j && has "$T/out" 'd["summary"]["host_pml"] == False and not d["batches"] and
	not any("pml" in t["seen_by"] for t in d["tracking"] if t["seen_by"])'
ok 'without PML there are no batches'
run 0 -T sim dirty --for 2 --slot 1 -j && has "$T/out" '[s["slot"] for s in d["slots"]] == [1] and
	d["summary"]["marks"] == d["slots"][0]["marks"] > 0 and all(g["slot"] == 1 for g in d["gfns"])' &&
	has "$T/dirty" "[s for s in d['slots'] if s['slot'] == 1][0]['marks'] == $($python -c 'import json, sys; print(json.load(open(sys.argv[1]))["summary"]["marks"])' "$T/out")"
ok '--slot: its marks only, all of them'
run 0 -T sim dirty --for 2 --gfn 0x400-0x800 --last 5 -j && has "$T/out" 'len(d["gfns"]) == 5 and
	all(0x400 <= int(g["gfn"], 16) < 0x800 for g in d["gfns"]) and sum(r["marks"] > 0 for r in d["map"]) == 1'
ok '--gfn: its marks only; --last: so many rows'
run 2 -T sim dirty --slot 9 && grep -q 'slots' "$T/err"
ok 'a slot that is none'
run 2 -T sim dirty --slot x && run 2 -T sim dirty --for 0 && run 2 -T sim dirty --count 3
ok 'words that are off'
snapshot "$T/a.snap" npt 6.1
run 2 -T "snap:$T/a.snap" dirty --vm 4242 && grep -q 'live and sim' "$T/err"
ok 'a file has no events'
run 0 -T sim dirty --watch 0.3 --count 3 -j && [ "$(wc -l <"$T/out")" = 3 ] && sed -n 3p "$T/out" >"$T/third" &&
	$python "$SRCDIR/tests/cli/schema.py" lines "$SRCDIR/doc/schema.json" "$T/out" dirty.summary && by_schema "$T/third" && has "$T/third" 'd["listened"]["ms"] == 300'
ok '--watch: an object a line'
# Without a pause: three rounds have what one long one has.
run 0 -T sim dirty --watch 0.5 --count 4 -j && $python - "$T/out" "$T/dirty" <<'END'
import json, sys
rounds = [json.loads(line) for line in open(sys.argv[1])]
sys.exit(sum(r["summary"]["marks"] for r in rounds) != json.load(open(sys.argv[2]))["summary"]["marks"])
END
ok 'rounds lack nothing between them'
for command in dirty stuck; do
	run 2 -T sim $command --watch 0.1 --for 0.5 && [ "$(wc -l <"$T/err")" = 1 ] && grep -q -e '--watch and --for: a round lasts as long as --watch says' "$T/err" || { broken=1; break; }
done
ok '--watch and --for: one of them says how long a round is'
run 0 -T sim dirty --for 1 && LC_ALL=C run 0 -T sim dirty --for 1 && LC_ALL=C grep -q '[^ -~]' "$T/out"
[ $? -eq 1 ] && grep -q '[.:=+*#@] *[.:=+*#@]' "$T/out"
ok 'ASCII where the locale is'
LC_ALL=C.UTF-8 run 0 -T sim dirty --for 1 && grep -q '█' "$T/out"
ok 'and bars where it has them'
# Written but clean: nothing of a correct engine; PML left on for L2 loses frames that L2 writes.
for spec in sim:seed=3 sim:seed=5,kernel=6.1 sim:seed=4,hv=svm; do
	run 0 -T $spec dirty --for 4 --check 0x1000+0x1000 -j && by_schema "$T/out" &&
		has "$T/out" 'd["check"]["found"] == 0 and not d["written"] and d["check"]["reported"] > 30 and d["check"]["digests"] > 5'
	ok "$spec: what was written is in the log"
done
for spec in sim:seed=3 sim:seed=5,kernel=6.1; do
	run 1 -T $spec,bug=pml-l2 dirty --for 4 --check 0x1000+0x1000 -j && by_schema "$T/out" &&
		has "$T/out" 'd["check"]["found"] == len(d["written"]) > 0 and all(0x1000 <= int(f["gfn"], 16) < 0x2000 and
			f["loss"] == "never marked" and f["clean_us"] <= f["from_us"] < f["to_us"] and f["before"] != f["after"] for f in d["written"])'
	ok "$spec: bug pml-l2 is found"
done
run 1 -T sim:bug=pml-l2 dirty --for 4 --check 0x1000+0x1000 --redact -j && has "$T/out" 'all(f["before"] == f["after"] == "hidden" for f in d["written"])'
ok '--redact hides what was in them'
# Text: what was asked for first, tables bounded, and what they had no room for.
titles() {
	sed -n 's/^\([A-Z][^:]*\) ([0-9]*)$/\1/p; /^Dirty$/p; /^Written but clean$/p; /^Listened$/p' "$T/out" | cut -d, -f1 | tr '\n' ';'
}
run 1 -T sim:bug=pml-l2 dirty --for 4 --check 0x1000+0x1000 && head -n 24 "$T/out" | grep -qE '^verdict +[1-9][0-9]* changes are in no log$' &&
	[ "$(titles)" = 'Dirty;Written but clean;Frames that changed without a mark that was read;Ways;Memslots;Frames;PML buffers of the host;Entries of the PML that L1 reads;What the VMM did to the logs;Leaves;The busiest memslot in time;Listened;' ]
ok 'text: the verdict first'
run 0 -T sim dirty --for 2 && $python - "$T/out" "$T/dirty" <<'END'
import json, re, sys
rows = re.search(r"^Memslots \(\d+\)\n(.*?)\n\n", open(sys.argv[1]).read(), re.M | re.S)[1].splitlines()
at = {name: rows[0].index(name) + len(name) for name in ("MARKS", "L1", "L2", "NEITHER")}
for row, want in zip(rows[1:], json.load(open(sys.argv[2]))["slots"]):
    got = [int(row[:at[name]].split()[-1]) for name in ("MARKS", "L1", "L2", "NEITHER")]
    if got != [want[k] for k in ("marks", "l1", "l2", "of_none")] or got[0] != sum(got[1:]):
        sys.exit("# %s, not %s" % (got, want))
sys.exit(not any(s["of_none"] for s in json.load(open(sys.argv[2]))["slots"]))
END
ok 'text: marks of L1, of L2 and of neither are all marks'
run 0 -T sim dirty --for 4 --check 0x1000+0x1000 && grep -qE '^verdict +nothing found$' "$T/out" && run 0 -T sim dirty --for 0.1 --check 0x1000+4 && grep -qE '^verdict +not known: see the notes$' "$T/out"
ok 'text: nothing found, and nothing to judge'
run 0 -T sim dirty --for 2 && $python - "$T/out" "$T/dirty" <<'END'
import json, re, sys
text, d = open(sys.argv[1]).read(), json.load(open(sys.argv[2]))
rows = {m[1]: int(m[2]) for m in re.finditer(r"^([A-Z].*) \((\d+)\)$", text, re.M)}
left = {m[2]: int(m[1]) for m in re.finditer(r"(\d+) (frames|PML buffers|entries of L1's PML|readings and changes of logs)", re.search("^note: not shown: (.*)", text, re.M)[1])}
s = d["summary"]
want = {"frames": s["frames"] - 8, "PML buffers": s["batches"] - 8, "entries of L1's PML": s["pml12"] - 8, "readings and changes of logs": s["log_marks"] - 8}
if left != want or rows["Frames, the most marked first"] != 8 or rows["Ways"] != sum(w["count"] > 0 for w in d["ways"]) or len(text.splitlines()) > 120:
    sys.exit("# %s, not %s; %s; %d lines" % (left, want, rows, len(text.splitlines())))
END
ok 'text: eight rows of a table, and how many are not shown'
run 0 -T sim dirty --for 0.3 --last 16384 && ! grep -q '^note: not shown: .*frames' "$T/out"
ok 'text: all of them, when asked'
for words in '--gfn 0x100000+4' '--check 0x100000+4' '--gfn 0+4 --check 0x100000+4' '--check 0x100000+4 --watch 1'; do
	run 2 -T sim dirty $words && [ ! -s "$T/out" ] && [ "$(wc -l <"$T/err")" = 1 ] && grep -q 'no memslot of this VM has a frame of 0x100000-0x100004' "$T/err" || { broken=1; break; }
done
ok 'a range outside of every memslot: an error'
run 0 -T sim dirty --for 0.1 --gfn 0x3fff-0x100000 --check 0xfd000 -j && has "$T/out" 'not any("no memslot has" in n for n in d["notes"])'
ok 'a range that a memslot has a part of'
run 2 -T sim dirty --check 0+4097 && grep -q '0x0+4096' "$T/err"
ok 'too many frames'
run 2 -T sim dirty --check 5-4 && grep -q -e '--check' "$T/err"
ok 'a range that is none'
finish
