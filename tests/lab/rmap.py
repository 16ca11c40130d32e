#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Reverse maps against leaves, of one VM of a snapshot: rmap.py MMUSCOPE SNAPSHOT VM. Says what differs and exits 1."""
import json
import subprocess
import sys

MAX = 40  # frames asked for one by one


def ask(*words):
    out = subprocess.run([sys.argv[1], "-T", "snap:" + sys.argv[2], "--vm", sys.argv[3], *words, "-j"],
                         stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)


frames = {}
for leaf in ask("leaves", "--mmu", "guest")["leaves"]:
    if leaf["class"] == "leaf" and leaf["gfn"]:
        key = int(leaf["gfn"], 16), leaf["level"]
        frames.setdefault(key, set()).add((leaf["sp"], leaf["index"], leaf["raw"]))
bad = sptes = 0
for (gfn, level), leaves in sorted(frames.items())[:MAX]:
    answer = ask("rmap", hex(gfn))
    listed = [(e["sp"], e["index"], e["raw"]) for e in answer["sptes"] if e["level"] == level]
    states = {r["state"] for r in answer["rmaps"]}
    sptes += len(listed)
    if len(listed) != len(set(listed)) or not leaves <= set(listed) or states != {"confirmed"}:
        bad += 1
        print("gfn %#x level %u: %s listed, leaves %s, %s" % (gfn, level, listed, leaves, states or answer["notes"]))
print("%u frames of %u, %u SPTEs listed, %u differ" % (min(len(frames), MAX), len(frames), sptes, bad))
sys.exit(bad or not sptes)
