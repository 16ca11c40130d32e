#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# diff: snapshots of the simulated VM at two moments and of two hosts; equal ones, filters, limits, what is refused.
. "$SRCDIR/tests/cli/tap-lib"
needs_schema
empty='not (d["counts"] or d["not_compared"] or d["members"] or d["pages"] or d["sptes"] or d["notes"])'
"$M" -T sim save "$T/a.snap" >"$T/out" && "$M" -T sim:steps=4300 save "$T/b.snap" >"$T/out" &&
	"$M" -T sim:hv=svm,kernel=6.1 save "$T/svm.snap" >"$T/out"
ok 'snapshots at two moments, and of another host'

for how in "$T/a.snap $T/a.snap" "snap:$T/a.snap $T/a.snap" "sim $T/a.snap" 'sim sim'; do
	run 0 diff $how -j && has "$T/out" "$empty" && $schema check "$SRCDIR/doc/schema.json" "$T/out"
	ok "nothing differs, status 0: diff $how"
done
for form in '' --redact --list; do
	run 1 diff "$T/a.snap" "$T/b.snap" -j $form && $schema check "$SRCDIR/doc/schema.json" "$T/out"
	ok "schema, status 1: diff -j $form"
	run 1 diff "$T/a.snap" "$T/svm.snap" -j $form && $schema check "$SRCDIR/doc/schema.json" "$T/out"
	ok "schema: another host: -j $form"
done

# What the tables say is what sps and sp say of both sides.
run 1 diff "$T/a.snap" "$T/b.snap" --list -j && mv "$T/out" "$T/ab"
ok 'a to b'
run 1 diff "$T/b.snap" "$T/a.snap" --list -j && mv "$T/out" "$T/ba"
ok 'b to a'
for side in a b; do
	run 0 -T "snap:$T/$side.snap" sps --list -j && mv "$T/out" "$T/$side.sps"
	ok "pages of $side"
done
cat >"$T/judge.py" <<'END'
import json, sys
ab, ba, a, b = (json.load(open(path)) for path in sys.argv[1:5])
key = lambda row: (row["mmu"], row["gfn"], row["role"])
pages = [{key(r): r["sp"] for r in side["sps"]} for side in (a, b)]
assert len(pages[0]) == len(a["sps"]) and len(pages[1]) == len(b["sps"])
rows = {change: {key(r) for r in ab["pages"] if r["change"] == change} for change in ("came", "went", "rebuilt")}
assert rows["came"] == set(pages[1]) - set(pages[0]) and rows["came"]
assert rows["went"] == set(pages[0]) - set(pages[1]) and rows["went"]
moved = {k for k in set(pages[0]) & set(pages[1]) if pages[0][k] != pages[1][k]}
assert moved <= rows["rebuilt"]
for row in ab["sptes"]:
    assert row["raw_a"] != row["raw_b"] or "guest-access" in row["change"] or "gfn" in row["change"], row
total = {}
for row in ab["sptes"]:
    for change in row["change"]:
        total[change] = total.get(change, 0) + 1
for row in ab["pages"]:
    total["page " + row["change"]] = total.get("page " + row["change"], 0) + 1
counts = {}
for row in ab["counts"]:
    name = {"spte": "", "page": "page "}.get(row["object"])
    if name is not None:
        counts[name + row["change"]] = counts.get(name + row["change"], 0) + row["count"]
# A change with two causes is counted under both.
assert set(counts) == set(total) and all(counts[k] >= total[k] for k in total), (counts, total)
back = {(key(r), r["index"]): r for r in ba["sptes"]}
assert len(back) == len(ab["sptes"])
for row in ab["sptes"]:
    other = back[key(row), row["index"]]
    assert (row["raw_a"], row["raw_b"]) == (other["raw_b"], other["raw_a"])
    assert ("w-set" in row["change"]) == ("w-cleared" in other["change"])
    assert ("mapped" in row["change"]) == ("zapped" in other["change"])
END
$python "$T/judge.py" "$T/ab" "$T/ba" "$T/a.sps" "$T/b.sps"
ok 'pages are those of sps, counts those of the rows, and backwards it is the opposite'
has "$T/ab" '{"vm", "mmu", "page", "spte"} <= {r["object"] for r in d["counts"]} and {"host-page", "shadowed-table"} <= {r["cause"] for r in d["counts"]}'
ok 'roots, pages and entries changed, some for a reason'

run 1 diff "$T/a.snap" "$T/b.snap" -j && has "$T/out" 'len(d["sptes"]) == 200 and "--list shows all" in d["notes"][0]' &&
	has "$T/ab" 'len(d["sptes"]) > 200 and not d["notes"]'
ok 'at most 200 rows without --list, and that is said'
run 1 diff "$T/a.snap" "$T/b.snap" --level 2 -j && has "$T/out" '{r["level"] for r in d["pages"] + d["sptes"]} == {2}'
ok '--level'
run 1 diff "$T/a.snap" "$T/b.snap" --gfn 0x1000-0x2000 --list -j &&
	has "$T/out" 'd["sptes"] and all(r["entry_gfn"] for r in d["sptes"])' && has "$T/out" 'len(d["sptes"]) < 500'
ok '--gfn'
run 1 diff "$T/a.snap" "$T/b.snap" --state WP --list -j && has "$T/out" 'd["sptes"] and all("WP" in (r["state_a"], r["state_b"]) for r in d["sptes"])'
ok '--state'
run 1 diff "$T/a.snap" "$T/b.snap" --mmu root -j && has "$T/out" 'all("guest" not in (r["id"] or "") for r in d["members"])' &&
	has "$T/out" 'all("guest" not in r["role_text"] for r in d["pages"])'
ok '--mmu'
run 1 diff "$T/a.snap" "$T/svm.snap" -j && has "$T/out" '"not one VM" in d["notes"][0] and all(r["cause"] is None for r in d["counts"])' &&
	has "$T/out" '"kernel" in [r["member"] for r in d["members"]] and "pfn-moved" not in [r["change"] for r in d["counts"]]'
ok 'another host is named, and neither frames nor causes are said'
run 1 diff "$T/a.snap" "$T/b.snap" --list && mv "$T/out" "$T/text" && $schema agree "$T/text" "$T/ab"
ok 'text and JSON say the same'
run 1 diff "$T/a.snap" "$T/b.snap" --list --redact -j && $schema leaks "$T/a.sps" "$T/out" "$T" && $schema leaks "$T/b.sps" "$T/out" "$T"
ok 'nothing leaks'

# The made-up host: two VMs, pages that are not confirmed.
snapshot "$T/npt.snap" npt 6.1
snapshot "$T/extra.snap" npt 6.1 extra=3
run 0 diff "$T/npt.snap" "$T/npt.snap" --vm 4242 -j && has "$T/out" "$empty"
ok 'equal, though some pages are not confirmed'
run 1 diff "$T/npt.snap" "$T/extra.snap" --vm 4242 -j && has "$T/out" '[r["change"] for r in d["pages"]] == ["entries"] + 4 * ["came"]' &&
	has "$T/out" '[(r["change"], r["index"]) for r in d["sptes"]] == [(["linked"], 16)] and not d["not_compared"]' &&
	has "$T/out" '[(r["object"], r["change"], r["member"]) for r in d["members"]] == [("vm", "changed", "pages_4k"), ("memslot", "came", None)]'
ok 'what came, and nothing else'
run 1 diff "$T/npt.snap" "$T/npt.snap" --vm 4242 --vm-b 4343 -j && has "$T/out" '[s["vm_pid"] for s in d["sides"]] == [4242, 4343]'
ok '--vm-b'

# bad STATUS PART WORDS...: this status and one line that has PART.
bad() {
	status=$1
	part=$2
	shift 2
	run "$status" "$@" && [ ! -s "$T/out" ] && [ "$(wc -l <"$T/err")" -eq 1 ] && grep -qF -- "$part" "$T/err" ||
		{ echo "# got: $(cat "$T/err")"; false; }
	ok "$status: mmuscope $*"
}
head -c 3000 "$T/a.snap" >"$T/cut.snap"
echo nonsense >"$T/text.snap"
bad 2 'usage: mmuscope diff A B' diff "$T/a.snap"
bad 2 'name one with --vm' diff "$T/npt.snap" "$T/npt.snap"
bad 2 'no such VM' diff "$T/npt.snap" "$T/npt.snap" --vm 1
bad 2 'states of pages' diff "$T/a.snap" "$T/b.snap" --state torn
bad 2 'takes no --target' -T sim diff "$T/a.snap" "$T/b.snap"
bad 3 'none.snap' diff "$T/a.snap" "$T/none.snap"
bad 3 'cut.snap' diff "$T/cut.snap" "$T/a.snap"
bad 3 'text.snap' diff "$T/a.snap" "$T/text.snap"

# Each word of the comparison is in the manual, with its meaning.
sed -n 's/^DIFF_[CL][A-Z]*([A-Z0-9_]*, "\([^"]\{1,\}\)", .*/\1/p' "$SRCDIR/src/query/diff.def" >"$T/words"
[ "$(wc -l <"$T/words")" -gt 50 ] && while read -r word; do
	grep -q "^\.It Cm $word\$" "$SRCDIR/doc/mmuscope.1" || { echo "# $word"; false; } || { broken=1; break; }
done <"$T/words"
ok 'the manual has the words'
finish
