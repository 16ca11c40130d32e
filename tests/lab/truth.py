#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Holds what mmuscope says against what the fixture guest really did (tests/lab/guest/truth.md) and against what Linux itself says
# (KVM's statistics, /proc/PID/pagemap). It knows JSON and the truth format, and no code of mmuscope's.
#
#   truth.py check  MMUSCOPE TRUTH [--target SPEC] [--arg WORD]...   all facts of a guest that holds still; exit 1 on any difference
#   truth.py storm  MMUSCOPE TRUTH --rounds N                        a guest in motion: no false leaf, and at least one torn mark
#
# Prints one line a difference, and last how many facts were compared. Exit status: 0 all equal, 1 differences, 3 the check itself did
# not work.

import argparse
import json
import os
import struct
import subprocess
import sys
import traceback

PAGE = 4096
BROKEN = 3
PROBLEMS_SHOWN = 12


def broken(text):
    print(text)
    sys.exit(BROKEN)


class Truth:
    """The fixture's file: lines by type, one VM at a time."""

    def __init__(self, path):
        self.lines = []
        with open(path) as f:
            text = f.read().splitlines()
        if not text or text[0] != "mmuscope-truth 1":
            broken(f"{path}: not a truth file of format 1")
        for line in text[1:]:
            words = line.split()
            self.lines.append((words[0], dict(w.split("=", 1) for w in words[1:])))
        if self.lines[-1][0] != "end" or int(self.lines[-1][1]["lines"]) != len(text):
            broken(f"{path}: cut off")

    def get(self, kind, vm=None):
        return [d for k, d in self.lines if k == kind and (vm is None or d.get("vm") == str(vm))]


def num(text):
    return int(text, 0)


class Checker:
    def __init__(self, args):
        self.args = args
        self.facts = 0
        self.problems = []
        self.truth = Truth(args.truth)
        self.run = self.truth.get("run")[0]

    def is_(self, what, got, want):
        self.facts += 1
        if got != want:
            self.problems.append(f"{what}: got {got!r}, truth is {want!r}")

    def ok(self, what, cond):
        self.facts += 1
        if not cond:
            self.problems.append(what)

    def ask(self, *words):
        cmd = [self.args.mmuscope, *words, "-j"]
        if self.args.target:
            cmd += ["-T", self.args.target]
        cmd += self.args.arg
        done = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode not in (0, 1):
            broken(f"{' '.join(cmd)}: status {done.returncode}: {done.stderr.decode()}")
        return json.loads(done.stdout)

    def find_vms(self):
        """kvm address of each VM of the truth, by its file descriptor."""
        answer = self.ask("vms")
        pid = int(self.run["pid"])
        files = {(f["pid"], f["fd"]): f["kvm"] for f in answer["files"]}
        vms = {v["kvm"]: v for v in answer["vms"]}
        found = []
        for vm in self.truth.get("vm"):
            kvm = files.get((pid, int(vm["fd"])))
            self.ok(f"vm {vm['vm']}: file {vm['fd']} of pid {pid} is listed", kvm is not None)
            for fd in self.truth.get("vmfd", vm["vm"]):
                self.is_(f"vm {vm['vm']}: its other file {fd['fd']}", files.get((pid, int(fd["fd"]))), kvm)
            found.append((int(vm["vm"]), vm, kvm, vms.get(kvm)))
        self.is_("VMs of this process", sum(1 for v in answer["vms"] if v["pid"] == pid), len(found))
        return found

    # --- one VM that holds still ---

    def check_vm(self, index, vm, kvm, shown):
        self.tag = f"vm {index}"
        self.stats = {s["name"]: int(s["value"]) for s in self.truth.get("kvmstat", index)}
        where = ["--vm", f"kvm:{kvm}"]
        self.is_(f"{self.tag}: owner's name", shown["name"], clean(unescape(self.run["comm"])))
        slots = self.check_slots(index, self.ask("slots", *where)["slots"])
        self.check_vcpus(index, self.ask("vcpus", *where)["vcpus"])
        mmus = self.ask("mmus", *where)
        sps = self.ask("sps", "--list", *where)
        leaves = self.ask("leaves", *where)
        self.is_(f"{self.tag}: every page confirmed", sps["provenance"]["confirmed"], sps["provenance"]["pages"])
        self.check_counts(shown, sps["sps"], {r["sp"] for r in mmus["roots"]})
        self.check_leaves(index, vm, slots, mmus, leaves["leaves"])
        if vm["mode"] == "nested":
            self.check_tables(index, sps["sps"], leaves["leaves"])
        self.check_roles(index, vm, mmus, sps["sps"])

    def ad_disabled(self, index):
        """Whether L1 runs L2 on EPT12 without accessed and dirty flags: bit 6 of the EPTP."""
        vmx = self.truth.get("vm", index)[0]["vendor"] == "vmx"
        return int(vmx and not num(self.truth.get("nested", index)[0]["npt_cr3"]) & 0x40)

    def check_slots(self, index, shown):
        keys = ("id", "gfn", "npages", "flags", "hva")
        truth = {tuple(num(s[k]) for k in keys) for s in self.truth.get("slot", index)}
        got = {(s["id"], num(s["gfn"]), s["pages"], num(s["flags_raw"]), num(s["hva"])) for s in shown}
        self.is_(f"{self.tag}: memslots", got, truth)
        for s in shown:
            self.is_(f"{self.tag}: slot {s['id']} is read-only", "readonly" in s["flags"], bool(num(s["flags_raw"]) & 2))
        return [(num(s["gfn"]), int(s["npages"]), num(s["hva"]), num(s["flags"]), s) for s in self.truth.get("slot", index)]

    def check_vcpus(self, index, shown):
        truth = {int(v["id"]): v for v in self.truth.get("vcpu", index)}
        self.is_(f"{self.tag}: vCPUs", sorted(v["id"] for v in shown), sorted(truth))
        guest_mode = {int(s["id"]): int(s["value"]) for s in self.truth.get("vcpustat", index) if s["name"] == "guest_mode"}
        for v in shown:
            t = truth.get(v["id"])
            if t is None:
                continue
            self.is_(f"{self.tag}: vcpu {v['id']} runs L2", v["guest_mode"], bool(guest_mode[v["id"]]))
            # SEMANTICS A1: which MMU serves faults, and which one walks the guest's own tables.
            want = ("guest", "nested") if v["guest_mode"] else ("root", "root")
            self.is_(f"{self.tag}: vcpu {v['id']} MMUs in use", (v["mmu"], v["walk_mmu"]), want)
            if not v["guest_mode"]:
                self.is_(f"{self.tag}: vcpu {v['id']} CR3", num(v["cr3"]), num(t["l1_cr3"]))
                self.is_(f"{self.tag}: vcpu {v['id']} EFER", num(v["efer"]) & 0x900, num(t["l1_efer"]) & 0x900)

    def check_counts(self, shown, sps, roots):
        # KVM counts pages by leaf SPTEs; its counters, the tool's reading of them, and the tool's own count must agree.
        for name, level in (("pages_4k", 1), ("pages_2m", 2), ("pages_1g", 3)):
            counted = sum(s["leaves"] for s in sps if s["level"] == level)
            self.is_(f"{self.tag}: {name} by count of leaves", counted, self.stats[name])
            self.is_(f"{self.tag}: {name} as shown", shown[name], self.stats[name])
        legacy = [s for s in sps if s["mmu"] != "tdp"]
        self.is_(f"{self.tag}: legacy pages", len(legacy), shown["used_pages"])
        if shown["tdp_pages"] is not None:  # 6.12 counts all but the roots; 6.1 has no counter
            children = sum(1 for s in sps if s["mmu"] == "tdp" and s["sp"] not in roots)
            self.is_(f"{self.tag}: TDP pages below roots", children, shown["tdp_pages"])

    def check_leaves(self, index, vm, slots, mmus, leaves):
        nested = vm["mode"] == "nested"
        guest_roots = {r["sp"] for r in mmus["roots"] if r["mmu"] == "guest" and r["sp"]}
        root_roots = {r["sp"] for r in mmus["roots"] if r["mmu"] == "root" and r["sp"]}
        logging = any(flags & 1 for _, _, _, flags, _ in slots)
        pagemap = Pagemap(int(self.run["pid"]))
        frames = {}

        for l in leaves:
            self.is_(f"{self.tag}: leaf at {l['address']} is confirmed", l["page_state"], "confirmed")
            if l["class"] != "leaf":
                continue
            gfn, pfn, level = num(l["gfn"]), num(l["pfn"]), l["level"]
            slot = next((s for s in slots if s[0] <= gfn < s[0] + s[1]), None)
            self.ok(f"{self.tag}: leaf {l['address']} -> gfn {gfn:#x} lies in a slot", slot is not None)
            if slot is None:
                continue
            # The frame is the one that Linux says is behind the slot's memory.
            self.is_(f"{self.tag}: pfn of gfn {gfn:#x} level {level}", pfn, pagemap.pfn(slot[2] + (gfn - slot[0]) * PAGE))
            self.is_(f"{self.tag}: gfn {gfn:#x} host-writable", l["host_writable"], not slot[3] & 2)
            frames.setdefault(gfn, set()).add(pfn)
        self.ok(f"{self.tag}: a frame has one host frame", all(len(p) == 1 for p in frames.values()))
        if nested:
            self.check_nested(index, [l for l in leaves if l["root"] in guest_roots], logging)
            self.check_plain(index, [l for l in leaves if l["root"] in root_roots], slots, by="l1", exact=False)
        else:
            self.check_plain(index, [l for l in leaves if l["root"] in root_roots], slots, by="guest", exact=True)

    def check_nested(self, index, leaves, logging):
        """touched is a part of S, S a part of mapped: as sets of (L2 frame, L1 frame)."""
        maps = self.truth.get("l2map", index)
        by_l2 = {}
        for m in maps:
            for i in range(512 if m["level"] == "2" else 1):
                by_l2[num(m["l2gfn"]) + i] = (num(m["l1gfn"]) + i, m)
        shown = {}
        for l in leaves:
            l2 = num(l["address"]) >> 12
            mapped = by_l2.get(l2)
            if not self.ok_(f"{self.tag}: leaf at L2 frame {l2:#x} was mapped by L1", mapped is not None):
                continue
            l1, m = mapped
            shown[l2] = l
            if l["class"] == "leaf" or l["class"] == "mmio":
                self.is_(f"{self.tag}: L1 frame behind L2 frame {l2:#x}", num(l["gfn"]), l1)
            self.is_(f"{self.tag}: L2 frame {l2:#x} is MMIO", l["class"] == "mmio", m["kind"] == "mmio")
            if m["kind"] == "ro" and l["class"] == "leaf":
                self.is_(f"{self.tag}: L2 frame {l2:#x} in the read-only slot", l["state"], "RO")
            elif l["class"] == "leaf" and "w" not in m["access"]:
                # What KVM has mapped in advance, after an injection too, is access-tracked where there is no A bit.
                got = "WP" if l["state"] == "AT" and self.ad_disabled(index) else l["state"]
                self.is_(f"{self.tag}: L2 frame {l2:#x}, which L1 write-protects", got, "WP")
            elif l["class"] == "leaf" and "w" in m["touched"] and l["level"] == 1 and not logging:
                # An entry whose D bit L1 has cleared since (--pml) is not writable again before the next write (SEMANTICS H 36).
                want = "RW" if "d" in m["ad"] or self.ad_disabled(index) else "WP"
                self.is_(f"{self.tag}: L2 frame {l2:#x}, which L2 wrote", l["state"], want)
        huge = {int(s["id"]): int(s["huge_kib"]) * 1024 >= int(s["npages"]) * PAGE for s in self.truth.get("slot", index)}
        for m in maps:
            l2 = num(m["l2gfn"])
            if m["touched"] == "---":
                continue
            if m["level"] == "2":
                if huge.get(1) and m["kind"] == "data" and not logging:
                    self.is_(f"{self.tag}: level of the 2M leaf at {l2:#x}", shown.get(l2, {}).get("level"), 2)
                else:
                    self.ok(f"{self.tag}: something of the 2M page at {l2:#x}", any(l2 + i in shown for i in range(512)))
            else:
                self.ok(f"{self.tag}: touched L2 frame {l2:#x} ({m['kind']}) has a leaf", l2 in shown)
        for a in self.truth.get("alias", index):
            one, two = shown.get(num(a["l2gfn"])), shown.get(num(a["l2gfn2"]))
            self.ok(f"{self.tag}: both names of L1 frame {a['l1gfn']}", one is not None and two is not None)
            if one and two:
                self.is_(f"{self.tag}: alias of {a['l1gfn']}: one frame", one["pfn"], two["pfn"])
        self.ok(f"{self.tag}: some nested leaves", len(leaves) > 0)

    def ok_(self, what, cond):
        self.ok(what, cond)
        return cond

    def check_plain(self, index, leaves, slots, by, exact):
        """What a guest touched itself, in its own memory: leaves of the direct map outside the system slot."""
        touched = {num(g["gfn"]): g for g in self.truth.get("gmap", index) if g["by"] == by and g["touched"] != "---"}
        data = [s for s in slots if s[4]["id"] != "0"]
        seen = {}
        for l in leaves:
            gfn = num(l["address"]) >> 12
            if l["class"] in ("leaf", "mmio"):
                self.is_(f"{self.tag}: direct leaf's frame", num(l["gfn"]), gfn)
            for i in range(512 if l["level"] == 2 else 1):
                seen[gfn + i] = l
        for gfn, g in touched.items():
            if self.ok_(f"{self.tag}: touched frame {gfn:#x} ({g['kind']}) has a leaf", gfn in seen):
                self.is_(f"{self.tag}: frame {gfn:#x} is MMIO", seen[gfn]["class"] == "mmio", g["kind"] == "mmio")
        if exact:
            extra = [hex(g) for g, l in seen.items() if l["level"] == 1 and l["class"] == "leaf" and g not in touched
                     and any(s[0] <= g < s[0] + s[1] for s in data)]
            self.is_(f"{self.tag}: leaves of pages never touched", extra, [])

    def check_tables(self, index, sps, leaves):
        tables = {(num(t["gfn"]), int(t["level"])) for t in self.truth.get("npt12", index)}
        shadow = [(num(s["gfn"]), s["level"]) for s in sps if s["mmu"] != "tdp"]
        self.is_(f"{self.tag}: shadow pages that shadow no table of L1's", [s for s in shadow if s not in tables], [])
        self.is_(f"{self.tag}: tables shadowed twice", len(shadow) - len(set(shadow)), 0)

    def check_roles(self, index, vm, mmus, sps):
        """SEMANTICS C.2, computed from L1's control registers."""
        regs = self.truth.get("vcpu", index)[0]
        cr4, efer = num(regs["l1_cr4"]), num(regs["l1_efer"])
        direct = 4 | 1 << 7 | 7 << 8 | 1 << 12 | 1 << 13
        if vmx_without_ad():
            direct |= 1 << 16
        shadow = (4 | 7 << 8 | (efer >> 11 & 1) << 12 | (cr4 >> 20 & 1) << 14 | (cr4 >> 21 & 1) << 15 | 1 << 17)
        if vm["vendor"] == "vmx" and vm["mode"] == "nested":
            # EPT12 knows none of them; whether its A and D bits are in use is in the EPTP.
            shadow = 4 | 7 << 8 | self.ad_disabled(index) << 16 | 1 << 17
        for r in mmus["roots"]:
            if r["which"] != "current" or not r["sp"]:
                continue
            want = shadow if r["mmu"] == "guest" else direct
            self.is_(f"{self.tag}: role of the {r['mmu']} root", r["role"], f"{want:#x}")
            if r["mmu"] == "guest":
                self.is_(f"{self.tag}: nCR3", num(r["pgd"]), num(self.truth.get("nested", index)[0]["npt_cr3"]))
                self.is_(f"{self.tag}: root gfn", num(r["gfn"]), num(r["pgd"]) >> 12)
        self.is_(f"{self.tag}: MMUs with a current root", sorted({r["mmu"] for r in mmus["roots"] if r["which"] == "current"}),
                 ["guest", "root"] if vm["mode"] == "nested" else ["root"])
        for s in sps:
            want = (direct if s["mmu"] == "tdp" else shadow) & ~0xf | s["level"]
            self.is_(f"{self.tag}: role of page {s['gfn']} level {s['level']}", s["role"], f"{want:#x}")

    # --- a guest in motion ---

    def storm(self):
        torn = leaves = confirmed = 0
        index, vm, kvm, _ = self.find_vms()[0]
        self.tag = f"vm {index}"
        maps = {}
        for m in self.truth.get("l2map", index):
            for i in range(512 if m["level"] == "2" else 1):
                maps[num(m["l2gfn"]) + i] = num(m["l1gfn"]) + i
        for done in range(self.args.rounds):
            answer = self.ask("leaves", "--vm", f"kvm:{kvm}")
            prov = answer["provenance"]
            torn += prov["torn"] + prov["unlinked"] + prov["unreadable"]
            self.is_("pages add up", prov["confirmed"] + prov["torn"] + prov["unlinked"] + prov["unreadable"], prov["pages"])
            for l in answer["leaves"]:
                if l["page_state"] != "confirmed":
                    continue
                confirmed += 1
                if l["translates"] != "nGPA" or l["class"] not in ("leaf", "mmio"):
                    continue
                leaves += 1
                l2 = num(l["address"]) >> 12
                self.is_(f"L1 frame behind L2 frame {l2:#x}, leaf {l}", num(l["gfn"]), maps.get(l2))
            if torn and done >= self.args.least and leaves > 1000:
                break
        print(f"{done + 1} readings, {confirmed} confirmed leaves of which {leaves} nested, {torn} pages not confirmed")
        self.ok("the storm tore no page at all: was there one?", torn > 0)
        self.ok("no nested leaf was ever confirmed", leaves > 0)

    def finish(self):
        for p in self.problems[:PROBLEMS_SHOWN]:
            print(p)
        if len(self.problems) > PROBLEMS_SHOWN:
            print(f"... and {len(self.problems) - PROBLEMS_SHOWN} more")
        print(f"{self.facts} facts compared, {len(self.problems)} differ")
        if self.facts < 20:
            broken("too few facts: nothing was checked")
        return 1 if self.problems else 0


class Pagemap:
    """Host frames by what Linux says of a process's memory."""

    def __init__(self, pid):
        self.file = open(f"/proc/{pid}/pagemap", "rb", buffering=0)

    def pfn(self, hva):
        entry = struct.unpack("<Q", os.pread(self.file.fileno(), 8, hva // PAGE * 8))[0]
        return entry & ((1 << 55) - 1) if entry >> 63 else None


def vmx_without_ad():
    """Whether kvm_intel was told, or had, to do without A and D bits in EPT: roles say so."""
    try:
        with open("/sys/module/kvm_intel/parameters/eptad") as f:
            return f.read(1) == "N"
    except OSError:
        return False


def unescape(text):
    return text.encode().decode("unicode_escape").encode("latin-1")


def clean(name):
    return "".join(chr(b) if 0x20 <= b < 0x7f else f"\\x{b:02x}" for b in name)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=("check", "storm"))
    p.add_argument("mmuscope")
    p.add_argument("truth")
    p.add_argument("--target")
    p.add_argument("--arg", action="append", default=[])
    p.add_argument("--rounds", type=int, default=60)
    p.add_argument("--least", type=int, default=8)
    checker = Checker(p.parse_args())
    if checker.args.what == "storm":
        checker.storm()
    else:
        for vm in checker.find_vms():
            if vm[2]:
                checker.check_vm(*vm)
    return checker.finish()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyError, ValueError, IndexError, TypeError, OSError):
        traceback.print_exc()
        sys.exit(BROKEN)
