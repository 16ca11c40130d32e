#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# rmap: what the reverse maps say of a frame is what its leaves say; both kernels' shapes; from a snapshot too.
. "$SRCDIR/tests/cli/tap-lib"
needs_schema
cat >"$T/agree.py" <<END
# The SPTEs of a reverse map are the leaves that map the frame, each once, with the same value.
import json, sys
rmap, leaves = (json.load(open(path)) for path in sys.argv[1:3])
a = sorted((e["sp"], e["index"], e["raw"]) for e in rmap["sptes"])
b = sorted({(l["sp"], l["index"], l["raw"]) for l in leaves["leaves"] if l["class"] == "leaf"})
sys.exit(a != b or not a or sum(l["entries"] for l in rmap["rmaps"]) != len(a))
END
# A list of fifteen: 6.1 adds a descriptor behind the full one, 6.12 before it.
for kernel in 6.1 6.12; do
	cat >"$T/chain.scn" <<END
scenario fifteen entries map one page
rule F
machine vmx kernel=$kernel ad
slot 0 gfn=0 pages=0x800
slot 1 gfn=0x1000 pages=1
table ept12 ept4 pool=0x100+64
map ept12 0x40000000 -> 0x1000000 rwx pages=1010 alias
enter ept12 ad
read 0x40000000 times=15
END
	run 0 -T "sim:$T/chain.scn" save "$T/$kernel.snap"
	for spec in "sim:$T/chain.scn" "snap:$T/$kernel.snap"; do
		run 0 -T "$spec" leaves --gfn 0x1000 -j && cp "$T/out" "$T/leaves" && run 0 -T "$spec" rmap 0x1000 -j &&
			$python "$T/agree.py" "$T/out" "$T/leaves" && has "$T/out" 'len(d["sptes"]) == 15'
		ok "$kernel, ${spec%%:*}: the reverse map holds the frame's 15 leaves, each once"
		if [ $kernel = 6.1 ]; then
			has "$T/out" 'd["rmaps"][0]["desc_counts"] == ["14", "1"] and d["rmaps"][0]["tail_counts"] is None'
		else
			has "$T/out" 'd["rmaps"][0]["desc_counts"] == ["1", "14"] and d["rmaps"][0]["tail_counts"] == ["14", "0"]'
		fi
		ok "$kernel, ${spec%%:*}: its descriptors are as this kernel leaves them"
		run 0 -T "$spec" rmap 0x100 -j &&
			has "$T/out" '[c["count"] > 0 for c in d["counts"] if c["counter"] == "gfn_write_track"] == [True]' &&
			has "$T/out" '[c["level"] for c in d["counts"] if c["counter"] == "disallow_lpage"][0] == 2'
		ok "$kernel, ${spec%%:*}: a shadowed root table is write-tracked and takes no large page"
	done
done
for form in -j '-j --redact'; do
	# shellcheck disable=SC2086
	run 0 -T "sim:$T/chain.scn" rmap 0x1000 $form &&
		$python "$SRCDIR/tests/cli/schema.py" check "$SRCDIR/doc/schema.json" "$T/out"
	ok "by the schema: $form"
done
! grep -q 0xffff8 "$T/out"
ok 'redacted: no kernel address is left'
run 0 -T "sim:$T/chain.scn" rmap 0xfffff && grep -q 'no memslot holds gfn 0xfffff' "$T/out"
ok 'a frame without memory is said to be one'
snapshot "$T/old.snap" ept 6.12
run 0 -T "snap:$T/old.snap" --vm 4242 rmap 0x200 && grep -q 'reverse maps were not read' "$T/out"
ok 'a target that read no reverse maps does not say that there are none'
run 2 -T "sim:$T/chain.scn" rmap 0x1g && grep -q "'0x1g' is not a frame number" "$T/err"
ok 'what is no frame number is refused'
finish
