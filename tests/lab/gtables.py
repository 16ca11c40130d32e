#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest tables of a snapshot against what the VMM has.

  gtables.py same SNAPSHOT TRUTH   all were read, and each is what /proc/PID/mem has there, in the frame that pagemap names; those that
                                   L1 says it made are among them, and no others
  gtables.py gone SNAPSHOT TRUTH   all are there, none was read: not present, no address, no bytes
  gtables.py device SNAPSHOT TRUTH one is a device's: not RAM, no bytes; the others as with same
  gtables.py equal SNAPSHOT OTHER  both have the same tables with the same bytes

Says what differs and exits 1. It knows the format of snapshots from src/target/snapfile.h and src/abi/rec.h."""
import gzip
import os
import struct
import sys

GTABLE, READ, NOT_PRESENT, NOT_RAM = 15, 0, 2, 4


def tables(path):
    with gzip.open(path) as f:
        data = f.read()
    at, found = 16, {}
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        at += 8
        if kind == GTABLE:
            _, gfn, hpa, as_id, state = struct.unpack_from("<QQQHB", data, at)
            found[as_id, gfn] = (state, hpa, data[at + 32:at + length])
        at += length
    return found


def truth(path):
    lines = [line.split() for line in open(path, encoding="utf-8").read().splitlines()[1:]]
    return [(words[0], dict(w.split("=", 1) for w in words[1:])) for words in lines]


def main():
    mode, mine = sys.argv[1], tables(sys.argv[2])
    bad, devices = [], 0
    if mode == "equal":
        other = tables(sys.argv[3])
        bad += [f"only in one: {sorted(set(mine) ^ set(other))}"] if set(mine) != set(other) else []
        bad += [f"gfn {k[1]:#x} differs" for k in mine if k in other and (mine[k][0], mine[k][2]) != (other[k][0], other[k][2])]
    else:
        said = truth(sys.argv[3])
        pid = [d["pid"] for k, d in said if k == "run"][0]
        slots = [(int(d["gfn"], 0), int(d["npages"], 0), int(d["hva"], 0)) for k, d in said if k == "slot"]
        made = {int(d["gfn"], 0) for k, d in said if k in ("npt12", "gtable")}
        if {gfn for _, gfn in mine} - made:
            bad.append(f"not L1's: {sorted({gfn for _, gfn in mine} - made)}")
        for (_, gfn), (state, hpa, data) in sorted(mine.items()):
            hva = [h + ((gfn - g) << 12) for g, n, h in slots if g <= gfn < g + n][0]
            if mode == "gone":
                if state != NOT_PRESENT or hpa or any(data):
                    bad.append(f"gfn {gfn:#x}: state {state}, hpa {hpa:#x}")
                continue
            if mode == "device" and state == NOT_RAM and not hpa and not any(data):
                devices += 1
                continue
            with open(f"/proc/{pid}/mem", "rb", buffering=0) as f:
                want = os.pread(f.fileno(), 4096, hva)
            with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as f:
                pfn = struct.unpack("<Q", os.pread(f.fileno(), 8, hva >> 9))[0] & (1 << 55) - 1
            if state != READ or data != want or hpa >> 12 != pfn:
                bad.append(f"gfn {gfn:#x}: state {state}, hpa {hpa:#x} of {pfn << 12:#x}, bytes {'equal' if data == want else 'differ'}")
    if devices != (mode == "device"):
        bad.append(f"{devices} tables are not RAM")
    print("\n".join(bad[:10]))
    print(f"{len(mine)} tables, {sum(any(t[2]) for t in mine.values())} not empty, {len(bad)} differences")
    sys.exit(bool(bad) or len(mine) < 4)


main()
