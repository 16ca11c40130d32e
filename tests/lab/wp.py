#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Were all stores of a fixture guest with --stores seen, each once?

    wp.py WRITES ROUNDS LEVEL GFN PID HVA [others]

WRITES: lines of `mmuscope -j wp on' on all data pages, whose first one is frame GFN and lies at HVA in process PID, which
is held. ROUNDS: how many rounds were made meanwhile. LEVEL: l1 or l2, who made them: vCPU 0 alone, unless "others" may
store there, too. Each of tests/lab/guest/proto.h's enum gf_store must have ROUNDS stores, caught with all their bytes or
let through, and the last value that was told of any byte must be the one in memory. Each record's count must be the
number of those of its frame, times go on, and each instruction has an address of its own, always the same. Of one that was not finished it is
not known: that many may lack, and memory is not looked at. Prints what is wrong, then the names of those that were let
through.
"""
import collections
import json
import sys

# In the order of enum gf_store; bytes that each stores. bts of a register's bit: the word that has it.
STORES = [("mov64", 8), ("mov8", 1), ("mov32", 4), ("movups", 16), ("movaps", 16), ("movq-xmm", 8), ("movss", 4),
          ("movsd-xmm", 8), ("movnti", 8), ("movntdq", 16), ("cmpxchg16b", 16), ("cmpxchg8b", 8), ("lock-xadd", 8),
          ("lock-or", 8), ("xchg", 8), ("rep-movsb", 32), ("rep-stosq", 32), ("movsq", 8), ("setcc", 1), ("push", 8),
          ("lock-bts", 8), ("fistp", 8)]
# Across the border of pages 1 + 2j and 2 + 2j: bytes in the first one, in the second.
CROSS = [("mov64", 4, 4), ("movq-xmm", 4, 4), ("rep-movsb", 16, 16), ("lock-xadd", 4, 4), ("movups", 8, 8)]


def places(base, first_gpa):
    for k, (name, size) in enumerate(STORES):
        yield name, first_gpa + base + 64 * k, size
    for j, (name, before, after) in enumerate(CROSS):
        border = first_gpa + (2 + 2 * j) * 4096
        yield name + "-cross", border - before, before
        yield name + "-cross", border, after


def main():
    path, rounds, level, gfn, pid, hva = sys.argv[1:7]
    others = sys.argv[7:] == ["others"]
    rounds, gfn, hva = int(rounds), int(gfn, 0), int(hva, 0)
    writes = [json.loads(line) for line in open(path) if '"seq"' in line]
    bad = []
    stored = collections.Counter()  # by byte
    through = collections.Counter()  # by first byte
    unknown = collections.Counter()  # those not finished, too
    last = {}
    counts = collections.Counter()  # by frame
    rips = collections.defaultdict(set)  # by first byte
    before = -1
    memory = open("/proc/%s/mem" % pid, "rb", 0)

    for n, w in enumerate(writes):
        gpa = int(w["gpa"], 0)
        if w["seq"] != n:
            bad.append("record %d has number %d" % (n, w["seq"]))
        counts[gpa >> 12] += 1
        if w["count"] != counts[gpa >> 12]:
            bad.append("record %d of its frame: %s" % (counts[gpa >> 12], w))
        if others and w["vcpu_id"]:
            continue
        if w["guest"] != level or w["vcpu_id"] != 0 or not w["rip"]:
            bad.append("not by vCPU 0 of %s: %s" % (level, w))
        if w["kind"] == "not-finished":
            unknown[gpa] += 1
            continue
        # Of one vCPU: what was let through has the time at which that began.
        if w["at_us"] < before:
            bad.append("back in time: %s" % w)
        before = w["at_us"]
        rips[gpa].add(w["rip"])
        if w["kind"] == "store":
            for i in range(w["bytes"]):
                stored[gpa + i] += 1
        else:
            through[gpa] += 1
        value = int(w["value"], 0)
        for i in range(w["value_bytes"]):
            last[gpa + i] = value >> 8 * i & 255
    # The half of the page that has not the word.
    base = min((g for g in through if g >> 12 == gfn), default=0) & 0x800
    names = set()
    of_name = collections.defaultdict(set)
    if writes and before <= writes[0]["at_us"]:
        bad.append("all at %d us" % before)
    for name, gpa, size in places(base, gfn << 12):
        of_name[name] |= rips[gpa]
        if through[gpa] and rounds - unknown[gpa] <= through[gpa] <= rounds and not stored[gpa]:
            names.add(name)
        elif through[gpa] or any(stored[gpa + i] != rounds for i in range(size)):
            bad.append("%s at %#x: stores %s, let through %d, rounds %d" %
                       (name, gpa, [stored[gpa + i] for i in range(size)], through[gpa], rounds))
        for i in range(0 if unknown[gpa] else size):
            memory.seek(hva + gpa + i - (gfn << 12))
            there = memory.read(1)[0]
            if last.get(gpa + i) != there:
                bad.append("%s at %#x: told %s, memory has %#x" % (name, gpa + i, last.get(gpa + i), there))
                break
    if any(len(of) != 1 for of in of_name.values()) or len(set.union(*of_name.values())) != len(of_name):
        bad.append("addresses of instructions: %s" % dict(of_name))
    for line in bad[:20]:
        print(line)
    print(" ".join(sorted(names)))
    return 1 if bad else 0


sys.exit(main())
