#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Holds every field that mmuscope shows of a VM that stands still against the same memory, read by another way: /proc/kcore, at offsets
# out of the kernel's own type information, both parsed here. It shares no code with mmuscope and reads no lock, no BPF and no libbpf.
#
#   fields.py MMUSCOPE TRUTH [--cache FILE] [--need NAME]...   exit 1 on any difference, or if what is needed was not seen (see needs())
#
# A field of the JSON that is neither compared nor named as left out is a difference as well. Prints one line a difference, then how
# many facts were compared. Exit status: 0 all equal, 1 differences, 3 the check itself did not work.

import argparse
import glob
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import traceback

PAGE = 4096
NO_ROOT = (1 << 64) - 1
PROBLEMS_SHOWN = 24
TRIES = 12
PRESENT, HUGE, WRITABLE, FRAME = 1 << 11, 1 << 7, 1 << 1, 0x000FFFFFFFFFF000
VCPU_MODES = ("outside", "guest", "exiting", "reading-tables")  # enum in linux/kvm_host.h
# Made of what is compared, or of SPTE bits that unit tests and truth.py judge.
LEFT_OUT = {
    "vms": set(), "files": {"name"}, "vcpus": set(), "mmus": {"root_role_text", "cpu_role_text"},
    "roots": {"translates", "role_text", "page_state"}, "sps": {"role_text", "unknown"},
    "page": {"role_text", "gfn_means", "role_unknown", "order"}, "role_fields": {"bits", "meaning"},
    "entries": {"gfn_source", "access", "host_writable", "mmu_writable", "accessed", "dirty", "ad_kind", "memtype", "mmio_gen", "rules",
                "state", "gfn", "guest_access", "why"},
}


class Btf:
    """Types of vmlinux and, numbered behind them, of the kvm module (Documentation/bpf/btf.rst)."""

    TAIL = {1: 4, 3: 12, 14: 4, 17: 4}  # bytes behind a type, by kind; per member below
    EACH = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}

    def __init__(self, names):
        self.types = [None]  # (blob, offset)
        self.strings = b""
        self.named = {}
        for path in ("/sys/kernel/btf/vmlinux", "/sys/kernel/btf/kvm"):
            with open(path, "rb") as f:
                self.load(f.read(), names)

    def load(self, blob, names):
        _, _, _, hlen, toff, tlen, soff, slen = struct.unpack_from("<HBBIIIII", blob)
        base = len(self.strings)
        strings = blob[hlen + soff:hlen + soff + slen]
        self.strings += strings
        wanted = {}
        for n in names:
            at = self.strings.find(b"\0" + n.encode() + b"\0")
            if at >= 0:
                wanted[at + 1] = n
        unpack, tail, each, types = struct.Struct("<III").unpack_from, self.TAIL, self.EACH, self.types
        at, end = hlen + toff, hlen + toff + tlen
        while at < end:
            name, info, _ = unpack(blob, at)
            kind = info >> 24 & 31
            if kind in (4, 5) and name in wanted:
                self.named.setdefault(wanted[name], len(types))
            types.append((blob, at))
            at += 12 + tail.get(kind, 0) + each.get(kind, 0) * (info & 0xffff)
        assert base < len(self.strings)

    def head(self, tid):
        blob, at = self.types[tid]
        name, info, size = struct.unpack_from("<III", blob, at)
        return blob, at, name, info >> 24 & 31, info & 0xffff, info >> 31, size

    def size(self, tid):
        blob, at, _, kind, _, _, size = self.head(tid)
        if kind == 2:
            return 8
        if kind == 3:
            elem, _, nr = struct.unpack_from("<III", blob, at + 12)
            return self.size(elem) * nr
        return self.size(size) if kind in (8, 9, 10, 11, 18) else size

    def plain(self, tid):
        while self.head(tid)[3] in (8, 9, 10, 11, 18):
            tid = self.head(tid)[6]
        return tid

    def find(self, tid, name):
        """(bit offset, type, bits) of a member, also inside unnamed ones; None without one."""
        blob, at, _, _, nr, kflag, _ = self.head(self.plain(tid))
        for i in range(nr):
            off, mtype, where = struct.unpack_from("<III", blob, at + 12 + 12 * i)
            bits = where >> 24 if kflag else 0
            where = where & 0xffffff if kflag else where
            mname = self.strings[off:self.strings.index(b"\0", off)].decode()
            if mname == name:
                return where, mtype, bits or 8 * self.size(mtype)
            if not mname and self.head(self.plain(mtype))[3] in (4, 5):
                inner = self.find(mtype, name)
                if inner:
                    return where + inner[0], inner[1], inner[2]
        return None

    def size_of(self, struct_name):
        return self.size(self.named[struct_name])

    def bits(self, union_name):
        """{field: (bit, width)} of the bit fields in the unnamed structure of a union."""
        def members(tid):
            blob, at, _, _, nr, _, _ = self.head(tid)
            return [struct.unpack_from("<II", blob, at + 12 + 12 * i) for i in range(nr)]

        inner = next(t for _, t in members(self.named[union_name]) if self.head(self.plain(t))[3] == 4)
        names = [self.strings[off:self.strings.index(b"\0", off)].decode() for off, _ in members(inner)]
        return {n: self.find(inner, n)[::2] for n in names if n}

    def place(self, struct_name, path):
        """(byte offset, bytes) of a.b.c in a structure; None if this kernel has it not."""
        tid, bit, bits = self.named[struct_name], 0, 0
        for name in path.split("."):
            found = self.find(tid, name)
            if not found:
                return None
            bit, tid, bits = bit + found[0], found[1], found[2]
        return bit // 8, bits // 8


class Layout:
    """Places of members, kept in a file: parsing all types takes longer than anything else here."""

    STRUCTS = ("kvm", "kvm_vcpu", "kvm_mmu", "kvm_mmu_page", "kvm_mmu_root_info", "kvm_mmu_page_role", "page", "xarray", "xa_node")

    def __init__(self, path):
        self.path, self.known, self.btf = path, {}, None
        if path and os.path.exists(path):
            with open(path, "rb") as f:
                self.known = pickle.load(f)
        self.nr = len(self.known)

    def ask(self, *question):
        if question not in self.known:
            self.btf = self.btf or Btf(self.STRUCTS)
            self.known[question] = getattr(self.btf, question[0])(*question[1:])
        return self.known[question]

    def place(self, name, path):
        return self.ask("place", name, path)

    def size(self, name):
        return self.ask("size_of", name)

    def bits(self, name):
        return self.ask("bits", name)

    def save(self):
        if self.path and len(self.known) > self.nr:
            with open(self.path, "wb") as f:
                pickle.dump(self.known, f)


class Memory:
    """Kernel memory by virtual address, through the program headers of /proc/kcore."""

    def __init__(self):
        self.fd = os.open("/proc/kcore", os.O_RDONLY)
        head = os.pread(self.fd, 64, 0)
        phoff, size, nr = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
        table = os.pread(self.fd, size * nr, phoff)
        self.parts = []
        for i in range(nr):
            kind, _, off, va, _, _, length = struct.unpack_from("<IIQQQQQ", table, size * i)
            if kind == 1:
                self.parts.append((va, va + length, off))

    def bytes(self, va, n):
        for lo, hi, off in self.parts:
            if lo <= va and va + n <= hi:
                data = os.pread(self.fd, n, off + va - lo)
                if len(data) == n:
                    return data
        raise ValueError(f"/proc/kcore has nothing at {va:#x}")

    def int(self, va, n=8, signed=False):
        return int.from_bytes(self.bytes(va, n), "little", signed=signed)

    def words(self, va, n):
        return struct.unpack(f"<{n}Q", self.bytes(va, 8 * n))


class Kernel:
    SYMBOLS = ("vm_list", "page_offset_base", "vmemmap_base", "tdp_mmu_enabled", "shadow_mmio_value", "shadow_mmio_mask",
               "enable_mmio_caching", "shadow_host_writable_mask", "shadow_mmu_writable_mask")

    def __init__(self, layout):
        self.mem = Memory()
        self.layout = layout
        self.sym = layout.known.get("symbols") or self.symbols()
        layout.known["symbols"] = self.sym
        self.page_offset = self.mem.int(self.sym["page_offset_base"])
        self.vmemmap = self.mem.int(self.sym["vmemmap_base"])
        self.page_bytes = layout.size("page")
        self.vals = {n: self.mem.int(a) for n, a in self.sym.items() if n.startswith("shadow_")}
        self.mmio_on = self.mem.int(self.sym["enable_mmio_caching"], 1)

    def symbols(self):
        with open("/proc/kallsyms") as f:
            text = f.read()
        found = re.findall(rf"^([0-9a-f]+) . ({'|'.join(self.SYMBOLS)})(?:\t\[kvm\])?$", text, re.M)
        return {name: int(address, 16) for address, name in found}

    def get(self, name, base, path, signed=False):
        """A member's value; None if this kernel has it not."""
        place = self.layout.place(name, path)
        return None if place is None else self.mem.int(base + place[0], place[1], signed)

    def addr(self, name, base, path):
        return base + self.layout.place(name, path)[0]

    def list_of(self, head, name, link):
        """The objects on a list, in its order."""
        off, at, found = self.layout.place(name, link)[0], self.mem.int(head), []
        # 6.1 does not set up the list of TDP roots of a VM without that MMU: a head of zeros.
        while at and at != head:
            found.append(at - off)
            at = self.mem.int(at)
        return found

    def array_of(self, entry):
        """What an xarray's entry leads to (lib/xarray.c: 10b marks a node)."""
        if entry & 3 != 2:
            return [entry] if entry else []
        off, size = self.layout.place("xa_node", "slots")
        return [v for e in self.mem.words(entry - 2 + off, size // 8) for v in self.array_of(e)]

    def page_of(self, pfn):
        """to_shadow_page()"""
        return self.get("page", self.vmemmap + pfn * self.page_bytes, "private")


def names_of(k, vcpu):
    return {k.addr("kvm_vcpu", vcpu, f"arch.{n}_mmu"): n for n in ("root", "guest", "nested")}


class Vm:
    """One VM as memory has it, as the rows that mmuscope ought to show."""

    def __init__(self, k, kvm):
        self.k, self.kvm = k, kvm
        self.pid = k.get("kvm", kvm, "userspace_pid", True)
        with open(f"/proc/{self.pid}/comm", "rb") as f:
            self.name = f.read().rstrip(b"\n").decode()
        self.fds = {}
        for path in glob.glob(f"/proc/{self.pid}/fd/*"):
            link = os.readlink(path)
            if link == "anon_inode:kvm-vm":
                self.fds[int(os.path.basename(path))] = None
            elif link.startswith("anon_inode:kvm-vcpu:"):
                self.fds[int(os.path.basename(path))] = int(link.rsplit(":", 1)[1])
        self.vcpu_at = k.array_of(k.get("kvm", kvm, "vcpu_array.xa_head"))

    def vm_row(self):
        k, kvm = self.k, self.kvm
        tdp = k.layout.place("kvm", "arch.tdp_mmu_pages")
        on = k.get("kvm", kvm, "arch.tdp_mmu_enabled")
        row = {"pid": self.pid, "name": self.name, "kvm": kvm, "legacy_mmu": True, "userspace_pid": self.pid,
               # 6.1 has a list there, 6.12 a counter; and the switch in the VM or in a variable.
               "tdp_pages": k.get("kvm", kvm, "arch.tdp_mmu_pages") if tdp and tdp[1] == 8 else None,
               "tdp_mmu": bool(k.mem.int(k.sym["tdp_mmu_enabled"], 1) if on is None else on),
               "shadow_root_allocated": bool(k.get("kvm", kvm, "arch.shadow_root_allocated"))}
        for key, path in (("vcpus", "online_vcpus"), ("created_vcpus", "created_vcpus"), ("used_pages", "arch.n_used_mmu_pages"),
                          ("max_pages", "arch.n_max_mmu_pages"), ("indirect_pages", "arch.indirect_shadow_pages"),
                          ("pages_4k", "stat.pages_4k"), ("pages_2m", "stat.pages_2m"), ("pages_1g", "stat.pages_1g"),
                          ("generation", "arch.mmu_valid_gen"), ("invalidate_seq", "mmu_invalidate_seq"),
                          ("invalidate_in_progress", "mmu_invalidate_in_progress"), ("mmio_value", "arch.shadow_mmio_value"),
                          ("log_mode_raw", "manual_dirty_log_protect"), ("mm", "mm")):
            row[key] = k.get("kvm", kvm, path)
        # KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE and _INITIALLY_SET.
        row["log_mode"] = [w for bit, w in enumerate(("manual-protect", "initially-set")) if row["log_mode_raw"] >> bit & 1]
        if k.get("kvm", kvm, "dirty_ring_size"):
            row["log_mode"].append("ring")
        row["nx_huge_disabled"] = bool(k.get("kvm", kvm, "arch.disable_nx_huge_pages"))
        return row

    def file_rows(self):
        by_id = {self.k.get("kvm_vcpu", v, "vcpu_id"): v for v in self.vcpu_at}
        return [{"pid": self.pid, "fd": fd, "kind": "vm" if vcpu is None else "vcpu", "kvm": self.kvm,
                 "vcpu": None if vcpu is None else by_id[vcpu]} for fd, vcpu in sorted(self.fds.items())]

    def vcpu_rows(self):
        k, rows = self.k, []
        for v in self.vcpu_at:
            mmus = names_of(k, v)
            ident = k.get("kvm_vcpu", v, "vcpu_id", True)
            row = {"id": ident, "index": k.get("kvm_vcpu", v, "vcpu_idx", True), "vcpu": v, "smm": None,
                   "fd": next((fd for fd, i in self.fds.items() if i == ident), None),
                   "cpu": k.get("kvm_vcpu", v, "cpu", True), "mode": VCPU_MODES[k.get("kvm_vcpu", v, "mode")]}
            for key in ("cr0", "cr3", "cr4", "efer", "hflags"):
                row[key] = k.get("kvm_vcpu", v, f"arch.{key}")
            for key in ("mmu", "walk_mmu"):
                row[key + "_address"] = k.get("kvm_vcpu", v, f"arch.{key}")
                row[key] = mmus.get(row[key + "_address"])
            # With nested paging L2 is active exactly while guest_mmu serves faults (SEMANTICS A1).
            row["guest_mode"] = row["mmu"] == "guest"
            rows.append(row)
        return rows

    def mmu_rows(self):
        k, self.roots, rows = self.k, [], []
        off, size = k.layout.place("kvm_mmu", "prev_roots")
        info = k.layout.size("kvm_mmu_root_info")
        for v in self.vcpu_at:
            ident = k.get("kvm_vcpu", v, "vcpu_id", True)
            used = {key: k.get("kvm_vcpu", v, f"arch.{key}") for key in ("mmu", "walk_mmu")}
            for at, name in names_of(k, v).items():
                row = {"vcpu_id": ident, "mmu": name, "address": at, "in_use": [w for w in used if used[w] == at],
                       "pdptrs": [hex(w) for w in k.mem.words(k.addr("kvm_mmu", at, "pdptrs"), 4)]}
                for key in ("cpu_role", "root_role", "pae_root", "pml4_root", "pml5_root"):
                    row[key] = k.get("kvm_mmu", at, key)
                infos = [k.layout.place("kvm_mmu", "root")[0]] + list(range(off, off + size, info))
                found = [(k.get("kvm_mmu_root_info", at + i, "hpa"), k.get("kvm_mmu_root_info", at + i, "pgd")) for i in infos]
                # Frame 0 is no table: nested_mmu never gets a root and KVM leaves its words at zero.
                real = [(which, *r) for which, r in enumerate(found) if r[0] not in (0, NO_ROOT)]
                row["root_hpa"], row["root_pgd"] = found[0] if real and real[0][0] == 0 else (None, None)
                row["cached_roots"] = sum(1 for r in real if r[0])
                self.roots += [(ident, name, "current" if not n else f"previous-{n - 1}", pgd, hpa) for n, hpa, pgd in real]
                if name == "nested":
                    # It owns no page: these are absent, and memory must have nothing there.
                    row.update({key: row[key] or None for key in ("pae_root", "pml4_root", "pml5_root", "cached_roots")})
                rows.append(row)
        return rows

    def root_rows(self):
        rows = []
        for ident, name, which, pgd, hpa in self.roots:
            sp = next((s for s in self.sps.values() if s["table_pfn"] == hpa >> 12), None)
            rows.append({"vcpu_id": ident, "mmu": name, "which": which, "pgd": pgd, "hpa": hpa,
                         **{key: sp[key] if sp else None for key in ("sp", "level", "gfn", "role")}})
        return rows

    # --- shadow pages ---

    def read_pages(self):
        k, self.sps, self.tables, self.heads = self.k, {}, {}, {}
        self.gen = k.get("kvm", self.kvm, "arch.mmu_valid_gen")
        self.nx_pages = self.nx_list()
        own = k.get("kvm", self.kvm, "arch.shadow_mmio_value")
        self.mmio_value = None if not k.mmio_on else k.vals["shadow_mmio_value"] if own is None else own
        for sp in k.list_of(k.addr("kvm", self.kvm, "arch.active_mmu_pages"), "kvm_mmu_page", "link"):
            self.add_page(sp, "legacy")
        below = k.list_of(k.addr("kvm", self.kvm, "arch.tdp_mmu_roots"), "kvm_mmu_page", "link")
        while below:
            sp = below.pop(0)
            if sp not in self.sps:
                below += [c for c in self.add_page(sp, "tdp") if c]
        return list(self.sps.values())

    def nx_list(self):
        """Pages on the VM's list of those that NX recovery may zap, by that list itself."""
        k = self.k
        for head, link in (("possible_nx_huge_pages", "possible_nx_huge_page_link"),
                           ("lpage_disallowed_mmu_pages", "lpage_disallowed_link")):
            if k.layout.place("kvm_mmu_page", link):
                return set(k.list_of(k.addr("kvm", self.kvm, "arch." + head), "kvm_mmu_page", link))
        return None

    def add_page(self, sp, mmu):
        """Adds the row; returns the 512 children, None where an entry leads to no table."""
        k, tdp = self.k, mmu == "tdp"

        raw = k.mem.bytes(sp, k.layout.size("kvm_mmu_page"))

        def head(path):
            place = k.layout.place("kvm_mmu_page", path)
            return None if place is None else int.from_bytes(raw[place[0]:place[0] + place[1]], "little")

        assert bool(head("tdp_mmu_page")) == tdp
        role, spt = head("role"), head("spt")
        table = k.mem.words(spt, 512)
        nx = head("nx_huge_page_disallowed")
        nx = bool(head("lpage_disallowed") if nx is None else nx)
        row = {"sp": sp, "depth": 0, "link": "listed", "mmu": mmu, "level": role & 15, "gfn": head("gfn"), "role": role,
               # KVM pins nothing.
               "page_state": "confirmed", "pinned": None, "table_pfn": (spt - k.page_offset) >> 12,
               "root_count": head("root_count"), "parents": head("ptep" if tdp else "parent_ptes"),
               # These words are the legacy MMU's; TDP pages leave them alone or use them for something else.
               **{key: None if tdp else head(path) for key, path in (("unsync_children", "unsync_children"),
                  ("write_flooding", "write_flooding_count"), ("generation", "mmu_valid_gen"))}}
        unsync = not tdp and bool(head("unsync"))
        row["flags"] = [w for w, on in (("unsync", unsync), ("invalid", role >> 11 & 1),
                        ("obsolete", not tdp and row["generation"] != self.gen), ("nx-split", nx)) if on]
        classes = [self.entry_class(e, role & 15) for e in table]
        row.update({key: classes.count(c) for key, c in (("tables", "table"), ("mmio", "mmio"), ("frozen", "frozen"),
                                                          ("empty", "empty"), ("leaves", "leaf"))})
        leaves = [e for e, c in zip(table, classes) if c == "leaf"]
        row["huge"] = sum(1 for e in leaves if role & 15 > 1)
        states = [self.write_state(e) for e in leaves]
        row.update({s.lower(): states.count(s) for s in ("RW", "DL", "WP", "RO", "AT", "illegal")})
        children = [k.page_of((e & FRAME) >> 12) if c == "table" else None for e, c in zip(table, classes)]
        translations = head("shadowed_translation") if not tdp else 0
        stored = k.mem.words(translations, 512) if translations else [None] * 512
        self.sps[sp] = row
        self.heads[sp] = {"unsync": None if tdp else unsync, "nx_disallowed": nx, "nx_possible": sp in self.nx_pages, "translations": translations or None,
                          "vm_generation": self.gen}
        self.tables[sp] = [{"index": i, "raw": e, "pinned": None, "class": classes[i], "child_sp": children[i], "translation": stored[i],
                            "pfn": (e & FRAME) >> 12 if classes[i] in ("leaf", "table") else None} for i, e in enumerate(table)]
        return children

    def entry_class(self, e, level):
        if self.mmio_value is not None and e & self.k.vals["shadow_mmio_mask"] == self.mmio_value:
            return "mmio"
        if e & PRESENT:
            return "leaf" if level == 1 or e & HUGE else "table"
        return "frozen" if e & ~(1 << 63) == 0x5a0 else "empty"

    def write_state(self, e):
        """SEMANTICS E.1; SVM has no access tracking."""
        host, mmu = (bool(e & self.k.vals[f"shadow_{n}_writable_mask"]) for n in ("host", "mmu"))
        return {(1, 1, 1): "RW", (1, 1, 0): "DL", (1, 0, 0): "WP", (0, 0, 0): "RO"}.get((host, mmu, bool(e & WRITABLE)), "illegal")

    def sps_rows(self):
        rows = self.read_pages()
        for s in rows:
            s["root_of"] = [f"vcpu{i}:{n}" + ("" if w == "current" else ":" + w) for i, n, w, _, hpa in self.roots
                            if hpa >> 12 == s["table_pfn"]]
        return rows

    def page_row(self, sp):
        s = self.sps[sp]
        span = 512 << 9 * (s["level"] - 1) if s["role"] >> 7 & 1 else 1
        keys = ("sp", "mmu", "page_state", "level", "gfn", "role", "table_pfn", "unsync_children", "root_count", "generation",
                "write_flooding", "parents")
        return {**{key: s[key] for key in keys}, "gfn_end": s["gfn"] + span, **self.heads[sp]}

    def role_rows(self, sp):
        role = self.sps[sp]["role"]
        return [{"field": n, "value": role >> at & (1 << width) - 1} for n, (at, width) in self.k.layout.bits("kvm_mmu_page_role").items()]


class Checker:
    def __init__(self, args):
        self.args, self.facts, self.problems = args, 0, []
        with open(args.truth) as f:
            lines = [(w[0], dict(p.split("=", 1) for p in w[1:])) for w in (text.split() for text in f.read().splitlines()[1:])]
        self.pid = int(next(d["pid"] for kind, d in lines if kind == "run"))
        self.stats = {d["name"]: int(d["value"]) for kind, d in lines if kind == "kvmstat"}
        self.k = Kernel(Layout(args.cache))

    def is_(self, what, got, want):
        self.facts += 1
        if got != want:
            self.problems.append(f"{what}: shown {got!r}, memory has {want!r}")

    def ask(self, *words):
        done = subprocess.run([self.args.mmuscope, *words, "-j"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            print(f"mmuscope {' '.join(words)}: status {done.returncode}: {done.stderr.decode()}")
            sys.exit(3)
        return json.loads(done.stdout)

    def steady(self, read, *words):
        """An answer and the memory behind it, which was the same before and after."""
        for _ in range(TRIES):
            before = read()
            answer = self.ask(*words)
            if before == read():
                return answer, before
        print(f"memory behind `{' '.join(words)}' never stood still")
        sys.exit(3)

    def rows(self, section, got, want, *key):
        """Two tables with the same keys; each cell of them."""
        def ident(row):
            return tuple(number(row[x]) for x in key)

        got = {ident(r): r for r in got}
        want = {ident(r): r for r in want}
        self.is_(f"{section}: which there are", sorted(got, key=str), sorted(want, key=str))
        for name in sorted(set(got) & set(want), key=str):
            text = " ".join(hex(x) if isinstance(x, int) and x > 1 << 32 else str(x) for x in name)
            self.cells(section, text, got[name], want[name])

    def cells(self, section, name, got, want):
        for key in got:
            if key not in want and key not in LEFT_OUT[section]:
                self.is_(f"{section} {name}: {key} is compared with something", False, True)
        for key, value in want.items():
            self.is_(f"{section} {name}: {key}", number(got.get(key)) if isinstance(value, int) else got.get(key), value)

    def check(self):
        k = self.k
        vms = [Vm(k, at) for at in k.list_of(k.sym["vm_list"], "kvm", "vm_list")]
        answer, want = self.steady(lambda: [v.vm_row() for v in vms], "vms")
        self.rows("vms", answer["vms"], want, "kvm")
        self.rows("files", answer["files"], [r for v in vms for r in v.file_rows()], "pid", "fd")
        vm = self.vm = next(v for v in vms if v.pid == self.pid)
        where = ("--vm", f"kvm:{vm.kvm:#x}")
        answer, self.vcpus = self.steady(vm.vcpu_rows, "vcpus", *where)
        self.rows("vcpus", answer["vcpus"], self.vcpus, "id")
        answer, (want, roots, _) = self.steady(lambda: (vm.mmu_rows(), vm.read_pages() and vm.root_rows(), vm.roots), "mmus", *where)
        self.mmus = want
        self.rows("mmus", answer["mmus"], want, "vcpu_id", "mmu")
        self.rows("roots", [r for r in answer["roots"] if r["mmu"]], roots, "vcpu_id", "mmu", "which")
        answer, self.pages = self.steady(vm.sps_rows, "sps", "--list", *where)
        self.rows("sps", answer["sps"], self.pages, "sp")
        self.is_("unsync pages and KVM's own count", sum("unsync" in s["flags"] for s in self.pages), self.stats["mmu_unsync"])
        for sp in self.samples():
            answer, _ = self.steady(lambda sp=sp: (vm.add_page(sp, vm.sps[sp]["mmu"]), vm.sps[sp], vm.heads[sp], vm.tables[sp]),
                                    "sp", hex(sp), *where)
            text = f"{sp:#x}"
            self.cells("page", text, answer["page"], vm.page_row(sp))
            self.rows("role_fields", answer["role_fields"], vm.role_rows(sp), "field")
            self.rows("entries", answer["entries"], vm.tables[sp], "index")

    def samples(self):
        """Pages to look into: the first of each sort that is there."""
        sorts = {}
        for s in self.pages:
            for sort in (("tdp" == s["mmu"], s["level"] > 1), *((f,) for f in s["flags"]),
                         *((("nx-possible",),) if s["sp"] in self.vm.nx_pages else ()), *(("more", key) for key in ("unsync_children", "write_flooding") if s[key])):
                sorts.setdefault(sort, s["sp"])
        return sorted(set(sorts.values()))

    def needs(self):
        """What the fixture was built to bring about; without it a field's zero would prove nothing."""
        seen = {
            "unsync": any("unsync" in s["flags"] for s in self.pages),
            "unsync-children": any(s["unsync_children"] for s in self.pages),
            "write-flooding": any(s["write_flooding"] for s in self.pages),
            "invalid": any("invalid" in s["flags"] for s in self.pages),
            "generation": any(s["generation"] for s in self.pages) and self.vm.gen,
            "nx-split": any("nx-split" in s["flags"] for s in self.pages),
            # As of 6.12 a page that no huge one could stand for is disallowed, and not on the list.
            "nx-possible": any(h["nx_possible"] for h in self.vm.heads.values()),
            "nx-huge-disabled": self.vm.vm_row()["nx_huge_disabled"],
            "log-manual": self.vm.vm_row()["log_mode"] == ["manual-protect"],
            "log-all-set": self.vm.vm_row()["log_mode"] == ["manual-protect", "initially-set"],
            "translations": any(h["translations"] for h in self.vm.heads.values()),
            "indirect": self.vm.vm_row()["indirect_pages"],
            "invalidate-seq": self.vm.vm_row()["invalidate_seq"],
            "cached-root": any(m["cached_roots"] for m in self.mmus),
            "root-count": any(s["root_count"] > 1 for s in self.pages),
            "pae-root": any(m["pae_root"] for m in self.mmus),
            "hflags": all(v["hflags"] for v in self.vcpus),
            "l2": all(v["guest_mode"] for v in self.vcpus),
            "in-guest": all(v["mode"] == "guest" for v in self.vcpus),
        }
        for name in self.args.need:
            self.facts += 1
            if not seen[name]:
                self.problems.append(f"the guest shows no case of {name}")

    def finish(self):
        for p in self.problems[:PROBLEMS_SHOWN]:
            print(p)
        if len(self.problems) > PROBLEMS_SHOWN:
            print(f"... and {len(self.problems) - PROBLEMS_SHOWN} more")
        print(f"{self.facts} facts compared, {len(self.pages)} pages, {len(self.problems)} differ")
        return 1 if self.problems else 0


def number(value):
    """Addresses are text in the JSON, counts are numbers."""
    return int(value, 16) if isinstance(value, str) and value.startswith("0x") else value


def main():
    p = argparse.ArgumentParser()
    p.add_argument("mmuscope")
    p.add_argument("truth")
    p.add_argument("--cache", help="file for what stays the same while the machine runs")
    p.add_argument("--need", action="append", default=[])
    checker = Checker(p.parse_args())
    checker.check()
    checker.needs()
    checker.k.layout.save()
    return checker.finish()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, KeyError, ValueError, IndexError, TypeError, OSError, StopIteration):
        traceback.print_exc()
        sys.exit(3)
