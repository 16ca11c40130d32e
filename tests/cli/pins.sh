#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# pins: the pin tables of a VM and the SPTEs that map what is pinned; marks in sp and leaves; a VM without pins says so.
. "$SRCDIR/tests/cli/tap-lib"
needs_schema
checked() {
	$schema check "$SRCDIR/doc/schema.json" "$T/out"
}
# Two of 4K, one zapped, one of 2M that L2 maps a page of, and one that the host did not pin.
cat >"$T/pins.scn" <<END
scenario pinned pages of each kind
rule G
machine vmx ad pins
slot 0 gfn=0 pages=0x200
slot 3 gfn=0x400 pages=0x400 host=2m
table ept12 ept4 pool=0x100+32
map ept12 0x40000000 -> 0x413000 rwx ad
write 0x5000
write 0x7000
write 0x413000
enter ept12 ad
write 0x40000000
leave
host notify 0x7000
fail pin 1
write 0x9000
expect pin 0x9000 none
expect pin 0x413000 level=2 mapped=1
END
run 0 -T "sim:$T/pins.scn" save "$T/pins.snap"
for spec in "sim:$T/pins.scn" "snap:$T/pins.snap"; do
	kind=${spec%%:*}
	run 0 -T "$spec" pins -j && checked &&
		has "$T/out" '{(p["gfn"], p["level"], p["slot"], p["state"]) for p in d["pins"]} >= {("0x5", 1, 0, "P"), ("0x7", 1, 0, "Z"), ("0x400", 2, 3, "P")}' &&
		has "$T/out" 'not any(p["gfn"] == "0x9" for p in d["pins"])'
	ok "$kind: gfn, level, slot and state"
	has "$T/out" 'd["summary"]["pins"] == len(d["pins"]) and d["summary"]["frames"] == sum(512 ** (p["level"] - 1) for p in d["pins"])' &&
		has "$T/out" 'd["summary"]["mapped"] == sum(p["state"] == "P" for p in d["pins"]) and d["summary"]["zapped"] == 1' &&
		has "$T/out" 'd["summary"]["sptes"] == len(d["sptes"]) == sum(p["sptes"] for p in d["pins"])'
	ok "$kind: the summary counts what is listed"
	has "$T/out" '[(s["gfn"], s["level"]) for s in d["sptes"] if s["pin_gfn"] == "0x400"] in ([("0x413", 1), ("0x400", 2)], [("0x400", 2), ("0x413", 1)])' &&
		has "$T/out" 'not any(s["pin_gfn"] == "0x7" for s in d["sptes"])'
	ok "$kind: the SPTEs that map a pinned page, L2's among them; of a zapped one none"
	cp "$T/out" "$T/pins" && run 0 -T "$spec" leaves -j && checked && cp "$T/out" "$T/leaves"
	$python - "$T/pins" "$T/leaves" <<'END'
import json, sys
pins, leaves = (json.load(open(path)) for path in sys.argv[1:3])
a = {(s["sp"], s["index"], s["raw"]) for s in pins["sptes"]}
b = {(l["sp"], l["index"], l["raw"]) for l in leaves["leaves"] if l["pinned"] == "P"}
c = [l for l in leaves["leaves"] if l["gfn"] == "0x9"]
sys.exit(a != b or len(c) != 1 or c[0]["pinned"] is not None)
END
	ok "$kind: leaves marks just these"
	sp=$($python -c 'import json, sys; print(next(s["sp"] for s in json.load(open(sys.argv[1]))["sptes"] if s["pin_gfn"] == "0x5"))' "$T/pins")
	run 0 -T "$spec" sp "$sp" -j && checked && has "$T/out" '{e["pinned"] for e in d["entries"] if e["gfn"] in ("0x5", "0x9")} == {"P", None}'
	ok "$kind: sp too"
	run 0 -T "$spec" sps -j && checked && $python - "$T/pins" "$T/out" <<'END'
import json, sys
pins, sps = (json.load(open(path)) for path in sys.argv[1:3])
wanted = {p["sp"]: sum(s["sp"] == p["sp"] for s in pins["sptes"]) for p in sps["sps"]}
sys.exit(any(p["pinned"] != wanted[p["sp"]] for p in sps["sps"]) or sorted(wanted.values())[-3:] == [0, 0, 0])
END
	ok "$kind: sps counts them by page"
	run 0 -T "$spec" pins --gfn 0x5ff -j && has "$T/out" '[p["gfn"] for p in d["pins"]] == ["0x400"] and {s["pin_gfn"] for s in d["sptes"]} == {"0x400"}' &&
		run 0 -T "$spec" pins --gfn 0x600 -j && has "$T/out" 'd["pins"] == [] and d["summary"]["pins"] == 0 and d["notes"] == [n for n in d["notes"] if "pin tables" not in n]'
	ok "$kind: --gfn takes the pages that hold a frame"
done
pfn=$($python -c 'import json, sys; print(json.load(open(sys.argv[1]))["pins"][0]["pfn"])' "$T/pins")
run 0 -T "sim:$T/pins.scn" pins -j --redact && checked && ! grep -q "$pfn\|0xffff8" "$T/out" && has "$T/out" 'len(d["pins"]) > 2'
ok '--redact hides host frames, pages and values'
run 0 -T "sim:$T/pins.scn" pins && cp "$T/out" "$T/text" && run 0 -T "sim:$T/pins.scn" pins -j && $schema agree "$T/text" "$T/out"
ok 'text and JSON say the same'
snapshot "$T/host.snap" ept 6.12
for spec in sim "snap:$T/host.snap --vm 4242"; do
	# shellcheck disable=SC2086
	run 0 -T $spec pins -j && checked && has "$T/out" 'd["pins"] == [] and d["summary"]["pins"] is None' &&
		has "$T/out" 'sum("no pin tables" in n for n in d["notes"]) == 1'
	ok "a VM without pins says so: ${spec%%:*}"
done
finish
