#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Holds the fields of events against the kernel's own tracing of the same run: its tracepoints, and kprobes whose arguments tracefs
# fetches at offsets that are worked out here. It shares no code with the probes of mmuscope.
#
#   values.py on DIR               sets up and turns on an instance of tracefs in DIR (/sys/kernel/tracing)
#   values.py off DIR FILE         turns it off, keeps what was traced in FILE, and takes the probes away
#   values.py compare HEARD FILE   HEARD: what tests/lab/listen printed. A TAP-like line a comparison: "same|differ NAME: TEXT"
#
# rarer.py adds what it says there.
#
# Events of one kind are compared as a list for each thread, in its order.

import os
import re
import struct
import subprocess
import sys
from collections import Counter, defaultdict

from fields import Btf

PRESENT, HUGE = 1 << 11, 1 << 7
TRACEPOINTS = {
    "kvm/kvm_nested_vmexit": "exit_reason:x32 info1:x64 info2:x64",
    "kvm/kvm_nested_vmexit_inject": "exit_code:x32 exit_info1:x64 exit_info2:x64",
    "kvm/kvm_nested_vmenter": "tdp_enabled:u8 guest_pgd:x64",
    "kvm/kvm_emulate_insn": "rip:x64 failed:u8",
    "kvm/kvm_mmio": "type:u32 gpa:x64",
    "kvm/kvm_fast_mmio": "gpa:x64",
    "kvm/kvm_pml_full": "vcpu_id:u32",
    "kvm/kvm_unmap_hva_range": "start:x64 end:x64",
    "kvmmmu/kvm_tdp_mmu_spte_changed": "gfn:x64 level:u8 old_spte:x64 new_spte:x64",
    "kvmmmu/kvm_mmu_set_spte": "gfn:x64 level:u8 spte:x64 sptep:x64",
    "kvmmmu/fast_page_fault": "cr2_or_gpa:x64 sptep:x64 old_spte:x64 new_spte:x64 ret:s32",
    "kvmmmu/mark_mmio_spte": "gfn:x64 gen:x32",
    "kvmmmu/kvm_mmu_get_page": "gfn:x64 role:x32 created:u8",
    "kvmmmu/kvm_mmu_prepare_zap_page": "gfn:x64 role:x32",
    "kvmmmu/kvm_mmu_unsync_page": "gfn:x64",
    "kvmmmu/kvm_mmu_zap_all_fast": "mmu_valid_gen:u8",
    "kvmmmu/kvm_mmu_split_huge_page": "gfn:x64 spte:x64 level:s32 errno:s32",
    "kvmmmu/kvm_mmu_spte_requested": "gfn:x64",
}
# function: arguments of a probe at its entry; {struct.member} is an offset.
ENTRIES = {
    "kvm_mmu_page_fault": "addr=$arg2:x64 error=$arg3:x64 vcpu=$arg1:x64 mmu=+{kvm_vcpu.arch.mmu}($arg1):x64",
    "mmu_spte_update": "sptep=$arg1:x64 old=+0($arg1):x64 new=$arg2:x64",
    "mmu_spte_clear_track_bits": "sptep=$arg2:x64",
    "mmu_page_zap_pte": "sptep=$arg3:x64 old=+0($arg3):x64",
    "pte_list_add": "sptep=$arg2:x64 new=+0($arg2):x64",
    "__rmap_add": "sptep=$arg4:x64 gfn=$arg5:x64",
    "__kvm_mmu_prepare_zap_page": "sp=$arg2:x64 gfn=+{kvm_mmu_page.gfn}($arg2):x64 role=+{kvm_mmu_page.role}($arg2):x32"
                                  " spt=+{kvm_mmu_page.spt}($arg2):x64",
    "mmu_free_root_page": "hpa=+0($arg2):x64",
    "kvm_set_memslot": "old=$arg2:x64 new=$arg3:x64 old_id=+{kvm_memory_slot.id}($arg2):s16"
                       " old_gfn=+{kvm_memory_slot.base_gfn}($arg2):x64 id=+{kvm_memory_slot.id}($arg3):s16"
                       " gfn=+{kvm_memory_slot.base_gfn}($arg3):x64 pages=+{kvm_memory_slot.npages}($arg3):u64"
                       " flags=+{kvm_memory_slot.flags}($arg3):u32",
    "kvm_arch_memslots_updated": "gen=$arg2:x64",
    "kvm_mmu_notifier_invalidate_range_end": "start=+{mmu_notifier_range.start}($arg2):x64 end=+{mmu_notifier_range.end}($arg2):x64",
    "mark_page_dirty_in_slot": "slot=$arg2:x64 gfn=$arg3:x64 id=+{kvm_memory_slot.id}($arg2):s16 flags=+{kvm_memory_slot.flags}($arg2):u32",
    "kvm_flush_remote_tlbs": "held=+{kvm.mmu_lock}($arg1):x32",
    "kvm_mmu_load": "",
    "kvm_inject_page_fault": "addr=+{x86_exception.address}($arg2):x64 error=+{x86_exception.error_code}($arg2):u16",
    "{vendor}_load_mmu_pgd": "hpa=$arg2:x64",
    "{vendor}_flush_tlb_all": "",
    "{vendor}_flush_tlb_current": "",
    "{vendor}_flush_tlb_gva": "",
    "svm_flush_tlb_asid": "",
    "vmx_flush_tlb_guest": "",
}
# Of VMX alone: its vmx_*() above, and these. An exit is told from the next by how many there were.
VMX_ENTRIES = {
    "kvm_vcpu_mark_page_dirty": "gfn=$arg2:x64 caller=$stack0:x64 exits=+{kvm_vcpu.stat.exits}($arg1):u64",
    "nested_ept_inject_page_fault": "addr=+{x86_exception.address}($arg2):x64",
    "nested_vmx_write_pml_buffer": "",
    "kvm_write_guest_page": "data=+0($arg3):x64 offset=$arg4:u32",
}
VMX_RETURNS = ("nested_vmx_write_pml_buffer", "kvm_write_guest_page")
# Where vmx_handle_exit() empties the PML buffer: the first of these that the compiler left as a function of its own.
DRAINS = ("vmx_flush_pml_buffer", "__vmx_handle_exit", "vmx_handle_exit")
RETURNS = ("kvm_mmu_page_fault", "kvm_tdp_page_fault", "paging64_page_fault", "paging32_page_fault", "ept_page_fault",
           "mmu_spte_clear_track_bits", "kvm_set_memslot", "kvm_mmu_load", "__kvm_mmu_prepare_zap_page")
VOID = ("kvm_mmu_track_write", "kvm_mmu_pte_write")  # of those that are named as returns: they return nothing
# Most entries of a page that is zapped were never set, which is over at once.
FILTERS = {"p_mmu_page_zap_pte": "old != 0 && old != 0x8000000000000000"}
INVALID = 1 << 11  # of a role: the page is on its way out
STRUCTS = ("kvm_vcpu", "kvm_mmu_page", "kvm_memory_slot", "kvm", "mmu_notifier_range", "x86_exception")
M64 = (1 << 64) - 1
EPT_EXITS = {48: "inject of EPT violation", 49: "inject of EPT misconfiguration", 62: "inject of PML full"}


def write(path, text, flags=os.O_APPEND):
    """Without a seek to the end, which tracefs refuses."""
    fd = os.open(path, os.O_WRONLY | flags)
    try:
        os.write(fd, (text + "\n").encode())
    finally:
        os.close(fd)


def is_vmx():
    return os.path.exists("/sys/module/kvm_intel")


def code_range(module, names):
    """Of the first of these functions that is there, up to the symbol behind it."""
    lines = subprocess.run(["grep", "-F", "[%s]" % module, "/proc/kallsyms"], capture_output=True, check=True, text=True).stdout.split("\n")
    code = sorted((int(w[0], 16), w[2]) for w in (line.split() for line in lines) if len(w) == 4 and w[1] in "tT")
    for name in names:
        for addr, found in code:
            if found == name:
                return addr, min(a for a, _ in code if a > addr)
    sys.exit("%s has none of %s" % (module, names))


def turn_on(base, tracepoints=TRACEPOINTS, entries=ENTRIES, returns=RETURNS, filters=FILTERS):
    vendor = "vmx" if is_vmx() else "svm"
    btf = Btf(STRUCTS)
    lines = []
    for name, fields in tracepoints.items():
        group, event = name.split("/")
        args = " ".join("%s=$%s" % (f.split(":")[0], f) for f in fields.split())
        lines.append("e:msval/t_%s %s.%s %s" % (event, group, event, args))
    for fn, args in {**entries, **(VMX_ENTRIES if is_vmx() else {})}.items():
        fn = fn.replace("{vendor}", vendor)
        if fn.startswith(("svm_", "vmx_")) and not fn.startswith(vendor):
            continue
        args = re.sub(r"{(\w+)\.([\w.]+)}", lambda m: str(btf.place(m.group(1), m.group(2))[0]), args)
        lines.append("p:msval/p_%s %s %s" % (re.sub("^(svm|vmx)_", "x_", fn), fn, args))
    lines += ["r:msval/r_%s %s%s" % (fn, fn, "" if fn in VOID else " ret=$retval:x64") for fn in returns + (VMX_RETURNS if is_vmx() else ())]
    write(base + "/buffer_size_kb", "32768", os.O_TRUNC)
    write(base + "/trace", "", os.O_TRUNC)
    failed = 0
    for line in lines:
        try:
            write(base + "/dynamic_events", line)
        except OSError as e:
            print("no probe: %s: %s" % (line, e))
            failed = 1
    for event, what in filters.items():
        write("%s/events/msval/%s/filter" % (base, event), what, os.O_TRUNC)
    write(base + "/events/msval/enable", "1", os.O_TRUNC)
    # For compare, which would look for it anew. The form is that of the probes' lines.
    write(base + "/trace_marker", "() guest_mmu=%#x" % btf.place("kvm_vcpu", "arch.guest_mmu")[0])
    sys.exit(failed)


def turn_off(base, path):
    write(base + "/events/msval/enable", "0", os.O_TRUNC)
    with open(base + "/trace") as f, open(path, "w") as out:
        for line in f:
            out.write(line)
    lost = 0
    for cpu in os.listdir(base + "/per_cpu"):
        with open("%s/per_cpu/%s/stats" % (base, cpu)) as f:
            lost += sum(int(line.split()[-1]) for line in f if line.startswith(("overrun", "dropped")))
    write(path, "# lost %d" % lost)
    write(base + "/dynamic_events", "", os.O_TRUNC)
    write(base + "/trace", "", os.O_TRUNC)


LINE = re.compile(r"-(\d+) +\[\d+\] \S+ +[\d.]+: (\w+): \((.*?)\)(.*)$")
WORD = re.compile(r"(\w+)=(\S+)")


def value(text):
    try:
        return int(text, 0)
    except ValueError:
        return 0  # (fault): of no slot


def traced(path):
    lost = 0
    with open(path) as f:
        for line in f:
            if line.startswith("# lost"):
                lost = int(line.split()[2])
                continue
            m = LINE.search(line)
            if m:
                yield int(m.group(1)), m.group(2), {"at": m.group(3), **{k: value(v) for k, v in WORD.findall(m.group(4))}}
    if lost:
        print("differ the kernel's trace: %d were lost" % lost)


def rets():
    """Names of RET_PF_*: one more, in the middle, on later kernels."""
    with open("/sys/kernel/btf/kvm", "rb") as f:
        more = b"RET_PF_WRITE_PROTECTED\0" in f.read()
    return ["continue", "retry", "emulate"] + (["write-protected"] if more else []) + ["invalid", "fixed", "spurious"]


def gpa_in(spt):
    """The part of a table's address that its physical and its direct-map address share: the map begins at a multiple of 1G."""
    return spt & 0x3FFFFFFF


def is_table(spte, level):
    return bool(spte & PRESENT and level > 1 and not spte & HUGE)


class Thread:
    def __init__(self):
        self.fault = self.memslot = self.made = self.hpa = None
        self.clear = []
        self.zaps = [None]  # entries that are being zapped: outside of a page's zap, and in each that is under way
        self.levels = [None]  # of these pages
        self.swallow = self.logging = False
        self.drain = self.logged = None
        self.inject_addr = 0


class Kernel:
    """What events there should be, out of the kernel's trace: lists of tuples, by kind and thread."""

    def __init__(self, path):
        self.want = defaultdict(lambda: defaultdict(list))
        self.pages = defaultdict(set)  # spt: (sp, gfn, role) that it had
        self.ends = defaultdict(list)  # spt: (number of the event, level) of each page that had it and is zapped
        self.rets = rets()
        self.frame = {}  # sptep: frame that it maps
        self.threads = defaultdict(Thread)
        self.vmx = is_vmx()
        self.drain = code_range("kvm_intel", DRAINS) if self.vmx else (0, 0)
        self.guest_mmu = 0
        events = list(traced(path))
        for nr, (_, name, a) in enumerate(events):
            if name == "p___kvm_mmu_prepare_zap_page":
                self.pages[gpa_in(a["spt"])].add((a["sp"], a["gfn"], a["role"]))
                self.ends[gpa_in(a["spt"])].append((nr, a["role"] & 15))
        for self.nr, (tid, name, a) in enumerate(events):
            handler = getattr(self, name, None)
            if handler:
                handler(tid, self.threads[tid], a)
        for tid, t in self.threads.items():
            self.zaps_over(tid, t)

    def put(self, kind, tid, *fields):
        self.want[kind][tid].append(fields)

    def place(self, sptep):
        """Of an entry: its address, as far as physical and direct-map addresses share it."""
        return gpa_in(sptep)

    def level(self, sptep):
        """Of the page that holds it now: the next one with that table that is zapped."""
        return next((level for nr, level in self.ends.get(gpa_in(sptep) & ~0xFFF, ()) if nr >= self.nr), 1)

    def spte(self, tid, sptep, old, new):
        self.put("spte_set", tid, self.place(sptep), old, new)

    def tracing_mark_write(self, tid, t, a):
        self.guest_mmu = a["guest_mmu"]

    def p_kvm_mmu_page_fault(self, tid, t, a):
        t.fault = {"addr": a["addr"], "ret": None, "fast": 0, "gfn": None}
        self.put("fault", tid, a["addr"], a["error"], "guest" if a["mmu"] == a["vcpu"] + self.guest_mmu else "root")

    def t_kvm_mmu_spte_requested(self, tid, t, a):
        if t.fault:
            t.fault["gfn"] = a["gfn"]

    def handled(self, tid, t, a):
        if t.fault and t.fault["ret"] is None:
            ret = a["ret"] & 0xFFFFFFFF
            t.fault["ret"] = "error" if ret >> 31 else self.rets[ret]

    r_kvm_tdp_page_fault = r_paging64_page_fault = r_paging32_page_fault = r_ept_page_fault = handled

    def r_kvm_mmu_page_fault(self, tid, t, a):
        if t.fault:
            f = t.fault
            self.put("fault_done", tid, f["addr"], f["ret"] or "none", f["fast"])
            self.put("fault_done frame", tid, f["gfn"])
        t.fault = None

    def t_fast_page_fault(self, tid, t, a):
        ret = self.rets[a["ret"]]
        done = ret in ("fixed", "spurious")
        if t.fault and done:
            t.fault["fast"] = 1
        # It is for direct pages alone.
        self.put("fast_fault", tid, a["cr2_or_gpa"], a["cr2_or_gpa"] >> 12, a["old_spte"], a["new_spte"] if done else a["old_spte"], ret)
        if ret == "fixed":
            # Of the TDP MMU's pages no zap names the table: where in it.
            self.put("spte_set by a fast fault", tid, a["sptep"] >> 3 & 511, a["old_spte"], a["new_spte"])

    def t_kvm_nested_vmexit(self, tid, t, a):
        # VMX's qualification KVM has not read yet: it is said to be absent.
        self.put("nested_exit", tid, a["exit_reason"], *((M64, M64) if self.vmx else (a["info1"], a["info2"])))

    def t_kvm_nested_vmenter(self, tid, t, a):
        self.put("nested_enter", tid, a["guest_pgd"] if a["tdp_enabled"] else 0)

    def t_kvm_emulate_insn(self, tid, t, a):
        self.put("emulate", tid, a["rip"], a["failed"])

    def t_kvm_mmio(self, tid, t, a):
        if a["type"] in (1, 2):
            self.put("mmio", tid, a["gpa"], a["type"] - 1)

    def t_kvm_fast_mmio(self, tid, t, a):
        self.put("mmio", tid, a["gpa"], 1)

    def t_kvm_unmap_hva_range(self, tid, t, a):
        self.put("invalidate", tid, a["start"], a["end"])

    def p_kvm_mmu_notifier_invalidate_range_end(self, tid, t, a):
        self.put("invalidate_end", tid, a["start"], a["end"])

    def t_kvm_tdp_mmu_spte_changed(self, tid, t, a):
        old, new, level = a["old_spte"], a["new_spte"], a["level"]
        table = is_table(new, level) or not new & PRESENT and is_table(old, level)
        index = a["gfn"] >> (level - 1) * 9 & 511
        self.put("spte_set of the TDP MMU", tid, M64 if table else a["gfn"], old, new, index, level)

    def p_mmu_spte_update(self, tid, t, a):
        if not a["old"] & PRESENT:
            t.made = a
        elif a["old"] != a["new"]:
            self.spte(tid, a["sptep"], a["old"], a["new"])

    def t_kvm_mmu_set_spte(self, tid, t, a):
        self.frame[gpa_in(a["sptep"])] = a["gfn"]
        if t.made and gpa_in(t.made["sptep"]) == gpa_in(a["sptep"]):
            self.spte(tid, a["sptep"], t.made["old"], a["spte"])
            self.put("spte_set made", tid, self.place(a["sptep"]), a["gfn"], a["level"])
            t.made = None

    def p_mmu_spte_clear_track_bits(self, tid, t, a):
        t.clear.append(a["sptep"])

    def r_mmu_spte_clear_track_bits(self, tid, t, a):
        sptep = t.clear.pop() if t.clear else 0
        if a["ret"] & PRESENT:
            self.put("rmap_remove", tid, self.place(sptep), self.frame.get(gpa_in(sptep)))
            self.put("spte_set cleared", tid, self.place(sptep), a["ret"])

    def p_pte_list_add(self, tid, t, a):
        if a["new"] & PRESENT and is_table(a["new"], self.level(a["sptep"])):
            self.put("spte_set linked", tid, self.place(a["sptep"]), a["new"])

    # Told when an entry has been zapped, and with it what it led to: so before the next of the same page, and when that page is.
    def zap_over(self, tid, t):
        z, t.zaps[-1] = t.zaps[-1], None
        if z and not z["old"] & PRESENT and z["old"] not in (0, 1 << 63):
            self.put("spte_set MMIO cleared", tid, self.place(z["sptep"]), z["old"])
        elif z and is_table(z["old"], z["level"]):
            self.put("spte_set unlinked", tid, self.place(z["sptep"]), z["old"])

    def zaps_over(self, tid, t):
        while len(t.zaps) > 1:
            self.page_over(tid, t)
        self.zap_over(tid, t)

    def page_over(self, tid, t):
        self.zap_over(tid, t)
        if len(t.zaps) > 1:
            t.zaps.pop()
            t.levels.pop()

    def p_mmu_page_zap_pte(self, tid, t, a):
        self.zap_over(tid, t)
        t.zaps[-1] = {**a, "level": t.levels[-1] or self.level(a["sptep"])}

    def p___kvm_mmu_prepare_zap_page(self, tid, t, a):
        if t.zaps[-1] and gpa_in(t.zaps[-1]["old"] & ~0xFFF) != gpa_in(a["spt"]):
            self.zap_over(tid, t)
        t.zaps.append(None)
        t.levels.append(a["role"] & 15)

    def r___kvm_mmu_prepare_zap_page(self, tid, t, a):
        self.page_over(tid, t)

    def p___rmap_add(self, tid, t, a):
        self.frame[gpa_in(a["sptep"])] = a["gfn"]
        self.put("rmap_add", tid, self.place(a["sptep"]), a["gfn"])

    def t_mark_mmio_spte(self, tid, t, a):
        self.put("mmio_mark", tid, a["gfn"], a["gen"])

    def t_kvm_mmu_get_page(self, tid, t, a):
        self.put("sp_create" if a["created"] else "sp_find", tid, a["gfn"], a["role"])

    def t_kvm_mmu_prepare_zap_page(self, tid, t, a):
        self.put("sp_zap", tid, a["gfn"], a["role"])

    def t_kvm_mmu_unsync_page(self, tid, t, a):
        self.put("unsync", tid, a["gfn"])

    def t_kvm_mmu_zap_all_fast(self, tid, t, a):
        self.put("zap_all", tid, int(not a["mmu_valid_gen"]))

    def t_kvm_mmu_split_huge_page(self, tid, t, a):
        self.put("split", tid, a["gfn"], a["spte"], a["level"], int(a["errno"] != 0))

    def p_mmu_free_root_page(self, tid, t, a):
        if a["hpa"] != M64:
            self.put("root_free", tid, a["hpa"])

    def p_kvm_set_memslot(self, tid, t, a):
        t.memslot = dict(a)

    def p_kvm_arch_memslots_updated(self, tid, t, a):
        if t.memslot:
            t.memslot["gen"] = a["gen"]

    def r_kvm_set_memslot(self, tid, t, a):
        m, t.memslot = t.memslot, None
        if not m or a["ret"] & 0xFFFFFFFF:
            return
        if m["new"]:
            self.put("slot", tid, m["id"] & 0xFFFF, 0, m["gfn"], m["pages"], m["flags"], m.get("gen", 0))
        else:
            self.put("slot", tid, m["old_id"] & 0xFFFF, 0, m["old_gfn"], 0, 0, m.get("gen", 0))

    def p_mark_page_dirty_in_slot(self, tid, t, a):
        if a["slot"] and a["flags"] & 1:
            self.put("dirty", tid, a["gfn"], a["id"] & 0xFFFF)

    def p_kvm_flush_remote_tlbs(self, tid, t, a):
        self.put("flush", tid, int(not a["held"]))

    def p_kvm_inject_page_fault(self, tid, t, a):
        self.put("inject of #PF", tid, 14, a["error"], a["addr"], None, None)

    def t_kvm_nested_vmexit_inject(self, tid, t, a):
        if a["exit_code"] == 0x400:
            self.put("inject of NPF", tid, 0x400, a["exit_info1"], a["exit_info2"], 2, "fault")
        elif self.vmx and a["exit_code"] in EPT_EXITS:
            self.put(EPT_EXITS[a["exit_code"]], tid, a["exit_code"], a["exit_info1"], t.inject_addr, 2, "fault")

    def p_nested_ept_inject_page_fault(self, tid, t, a):
        t.inject_addr = a["addr"]

    def p_kvm_vcpu_mark_page_dirty(self, tid, t, a):
        if not self.drain[0] < a["caller"] < self.drain[1]:
            return
        if t.drain != a["exits"]:
            t.drain = a["exits"]
            self.put("pml_drain", tid, 0, 0)
        drains = self.want["pml_drain"][tid]
        nth, full = drains[-1]
        drains[-1] = (nth + 1, full)
        self.put("pml", tid, a["gfn"], nth)

    def t_kvm_pml_full(self, tid, t, a):
        drains = self.want["pml_drain"][tid]
        if drains:
            drains[-1] = (drains[-1][0], 1)

    # What is stored in L1's log, and where in its page, not what is asked to be.
    def p_nested_vmx_write_pml_buffer(self, tid, t, a):
        t.logging = True

    def p_kvm_write_guest_page(self, tid, t, a):
        t.logged = a if t.logging else None

    def r_kvm_write_guest_page(self, tid, t, a):
        if t.logged and not a["ret"] & 0xFFFFFFFF:
            self.put("pml12", tid, t.logged["data"], t.logged["offset"] >> 3)
        t.logged = None

    def r_nested_vmx_write_pml_buffer(self, tid, t, a):
        t.logging = False

    def outer(what):
        def handler(self, tid, t, a):
            self.put("flush_vcpu", tid, what)
            t.swallow = True
        return handler

    p_x_flush_tlb_all, p_x_flush_tlb_current = outer("all"), outer("current")

    def p_x_flush_tlb_asid(self, tid, t, a):
        if not t.swallow:
            self.put("flush_vcpu", tid, "guest")
        t.swallow = False

    def p_x_flush_tlb_guest(self, tid, t, a):
        self.put("flush_vcpu", tid, "guest")

    def p_x_flush_tlb_gva(self, tid, t, a):
        self.put("flush_vcpu", tid, "address")

    def p_kvm_mmu_load(self, tid, t, a):
        t.hpa = None

    def p_x_load_mmu_pgd(self, tid, t, a):
        t.hpa = a["hpa"]

    def r_kvm_mmu_load(self, tid, t, a):
        if not a["ret"] & 0xFFFFFFFF and t.hpa:
            self.put("root_load", tid, t.hpa)


class Heard:
    """The same lists out of what the listener heard, and what only it can tell."""

    def __init__(self, path, kernel):
        self.got = defaultdict(lambda: defaultdict(list))
        self.kernel = kernel
        self.spt = defaultdict(set)  # sp: its tables
        self.strange = Counter()
        self.roles = Counter()  # of pages of entries: as the kernel's zap of that page has it, and others
        for spt, owners in kernel.pages.items():
            for owner in owners:
                self.spt[owner[0]].add(spt)
        with open(path) as f:
            for line in f:
                if line.startswith("event "):
                    self.event(line.split()[1], dict(w.split("=", 1) for w in line.split()[2:]))

    def put(self, kind, tid, *fields):
        self.got[kind][tid].append(fields)

    def place(self, e):
        """Of an entry, out of its page and its index, as Kernel.place() has it: all that it may be."""
        return tuple(t + int(e["index"]) * 8 for t in self.spt.get(int(e["sp"], 16), ()))

    def role(self, v):
        known = {role & ~INVALID for spt in self.spt.get(v["sp"], ()) for sp, _, role in self.kernel.pages[spt] if sp == v["sp"]}
        if known:
            self.roles[v["role"] & ~INVALID in known] += 1

    def event(self, name, e):
        tid = int(e["tid"])
        v = {k: value(x) for k, x in e.items()}
        # A fast fault's may be the TDP MMU's, whose zaps are not traced, and lie where another page did.
        if name in ("spte_set", "rmap_add", "rmap_remove") and e["cause"] != "fast-fault":
            self.role(v)
        if name == "fault":
            self.put(name, tid, v["addr"], v["error"], e["mmu"])
        elif name == "fault_done":
            self.put(name, tid, v["addr"], e["ret"], v["fast"])
            self.put("fault_done frame", tid, v["gfn"])
        elif name == "fast_fault":
            self.put(name, tid, v["addr"], v["gfn"], v["old_spte"], v["new_spte"], e["ret"])
        elif name == "nested_exit":
            self.put(name, tid, v["reason"], v["qual"], v["addr"])
        elif name == "spte_set" and not v["sp"]:
            self.put("spte_set of the TDP MMU", tid, v["gfn"], v["old_spte"], v["new_spte"], v["index"], v["level"])
        elif name == "spte_set" and e["cause"] == "fast-fault":
            self.put("spte_set by a fast fault", tid, v["index"], v["old_spte"], v["new_spte"])
        elif name == "spte_set":
            self.legacy(tid, e, v)
        elif name in ("rmap_add", "rmap_remove"):
            self.put(name, tid, self.place(e), v["gfn"])
        elif name == "inject":
            kind = {14: "inject of #PF", 0x400: "inject of NPF", **EPT_EXITS}.get(v["reason"], "inject")
            self.put(kind, tid, v["reason"], v["qual"], v["addr"], v["guest"], e["cause"])
        elif name == "flush_vcpu":
            self.put(name, tid, e["what"])
        elif name == "root_load":
            if not v["cached"]:
                self.put(name, tid, v["hpa"])
        elif name in FIELDS:
            self.put(name, tid, *(v[k] for k in FIELDS[name]))

    def legacy(self, tid, e, v):
        place, old, new, level = self.place(e), v["old_spte"], v["new_spte"], v["level"]
        levels = {role & 15 for p in place for _, _, role in self.kernel.pages.get(p & ~0xFFF, ())}
        if levels and level not in levels:
            self.strange["level %d of an entry of a page of %s" % (level, levels)] += 1
        if is_table(new, level) or not new & PRESENT and is_table(old, level):
            if v["gfn"] != M64:
                self.strange["frame of a table"] += 1
            self.put("spte_set linked" if new & PRESENT else "spte_set unlinked", tid, place, new if new & PRESENT else old)
        elif old & PRESENT and not new & PRESENT:
            self.put("spte_set cleared", tid, place, old)
        elif not new & PRESENT:
            self.put("spte_set MMIO cleared", tid, place, old)
        else:
            self.put("spte_set", tid, place, old, new)
            if not old & PRESENT:
                self.put("spte_set made", tid, place, v["gfn"], level)


FIELDS = {
    "nested_enter": ("pgd",), "emulate": ("rip", "failed"), "mmio": ("gpa", "write"), "invalidate": ("start", "end"),
    "invalidate_end": ("start", "end"), "mmio_mark": ("gfn", "gen"), "sp_create": ("gfn", "role"), "sp_find": ("gfn", "role"),
    "sp_zap": ("gfn", "role"), "unsync": ("gfn",), "zap_all": ("gen",), "split": ("gfn", "old_spte", "level", "failed"),
    "root_free": ("hpa",), "slot": ("slot", "as_id", "gfn", "pages", "flags", "gen"), "dirty": ("gfn", "slot"), "flush": ("deferred",),
    "pml": ("gfn", "nth"), "pml_drain": ("entries", "full"), "pml12": ("addr", "index"),
}


def text(fields):
    return " ".join("%#x" % f if isinstance(f, int) else "|".join("%#x" % p for p in f) if isinstance(f, tuple) else str(f) for f in fields)


def differences(want, got):
    """The first of each thread: (thread, what the kernel has, what was heard). None in what is wanted: not known."""
    for tid in sorted(set(want) | set(got)):
        a, b = want.get(tid, []), got.get(tid, [])
        for i in range(max(len(a), len(b))):
            x = a[i] if i < len(a) else ("nothing",)
            y = b[i] if i < len(b) else ("nothing",)
            if len(x) != len(y) or not all(p is None or p == q or isinstance(q, tuple) and p in q for p, q in zip(x, y)):
                yield tid, i, text(x), text(y)
                break


def compare(heard_path, trace_path, kernel_class=Kernel, heard_class=Heard):
    kernel = kernel_class(trace_path)
    heard = heard_class(heard_path, kernel)
    for kind in sorted(set(kernel.want) | set(heard.got)):
        nr = sum(len(v) for v in kernel.want[kind].values())
        found = list(differences(kernel.want[kind], heard.got[kind]))
        if found:
            print("differ %s: %s" % (kind, "; ".join("thread %d, number %d: kernel %s, heard %s" % d for d in found[:2])))
        else:
            print("same %s: %d" % (kind, nr))
    print("%s roles of the pages of entries: %s" % (("differ", heard.roles) if heard.roles[False] else ("same", heard.roles[True])))
    print("%s levels and tables: %s" % ("differ" if heard.strange else "same", dict(heard.strange) or len(heard.spt)))


if __name__ == "__main__":
    {"on": turn_on, "off": turn_off, "compare": compare}[sys.argv[1]](*sys.argv[2:])
