#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# As values.py, of which it is more: the fields of events that not every guest brings about.
#
#   rarer.py on DIR [stale]      with "stale" only what that event is held against: there are many faults
#   rarer.py off DIR FILE
#   rarer.py compare HEARD FILE
#
# Counts of SPTEs are what the kernel's tracing has between a function's entry and its exit, by what became of each. Logs and memslots
# are what the VMM asked for: the arguments of its ioctls, in its own memory.

import sys

import values

PRESENT = values.PRESENT
TRACEPOINTS = {
    "kvm/kvm_age_hva": "start:x64 end:x64",
    "kvm/kvm_test_age_hva": "hva:x64",
}
# Names of one function on later and earlier kernels: the first that this kernel has.
SYNC = ("__kvm_sync_page", "paging64_sync_page")
SYNC_32 = ("__kvm_sync_page", "paging32_sync_page")
TABLE_WRITE = ("kvm_mmu_track_write", "kvm_mmu_pte_write")
NX_WORKER = ("kvm_nx_huge_page_recovery_worker", "kvm_nx_lpage_recovery_worker")
STALE = {
    "is_page_fault_stale": "addr=+{kvm_page_fault.addr}($arg2):x64 gfn=+{kvm_page_fault.gfn}($arg2):x64"
                           " seen=+{kvm_page_fault.mmu_seq}($arg2):x64"
                           " now=+{kvm.mmu_invalidate_seq}(+{kvm_vcpu.kvm}($arg1)):x64"
                           " busy=+{kvm.mmu_invalidate_in_progress}(+{kvm_vcpu.kvm}($arg1)):x64",
}
ENTRIES = {
    **STALE,
    SYNC: "gfn=+{kvm_mmu_page.gfn}($arg2):x64",
    SYNC_32: "gfn=+{kvm_mmu_page.gfn}($arg2):x64",
    TABLE_WRITE: "gpa=$arg2:x64 bytes=$arg4:u8",
    "kvm_mmu_slot_gfn_write_protect": "gfn=$arg3:x64",
    "kvm_mmu_zap_oldest_mmu_pages": "",
    "kvm_tdp_mmu_zap_sp": "gfn=+{kvm_mmu_page.gfn}($arg2):x64 role=+{kvm_mmu_page.role}($arg2):x32",
    "kvm_vm_ioctl": "file=$arg1:x64 cmd=$arg2:x32 a=+u0($arg3):u32 b=+u4($arg3):u32 c=+u8($arg3):x64 d=+u16($arg3):x64",
}
RETURNS = (SYNC, SYNC_32, TABLE_WRITE, "kvm_mmu_slot_gfn_write_protect", "kvm_mmu_zap_oldest_mmu_pages", "kvm_vm_ioctl",
           "is_page_fault_stale")
SET_MEMORY, GET_LOG, CLEAR_LOG, ENABLE_CAP = 0x4020AE46, 0x4010AE42, 0xC018AEC0, 0x4068AEA3  # linux/kvm.h
LOG_PROTECT2 = 168  # KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2
LOGS = 1  # KVM_MEM_LOG_DIRTY_PAGES
# Kinds of values.py that stand for an SPTE that changes, once each: where in the tuple it is after, None for one that is cleared.
CHANGES = {
    "spte_set of the TDP MMU": 2, "spte_set": 2, "spte_set by a fast fault": 2, "spte_set linked": 1, "spte_set unlinked": None,
    "spte_set cleared": None, "spte_set MMIO cleared": None,
}


def turn_on(base, only=None):
    with open("/sys/kernel/btf/kvm", "rb") as f:
        have = f.read()

    def name(fn):
        return next((f for f in fn if b"\0%s\0" % f.encode() in have), fn[0]) if isinstance(fn, tuple) else fn

    values.STRUCTS += ("kvm_page_fault",)
    if only == "stale":
        values.turn_on(base, {}, STALE, ("is_page_fault_stale",), {})
    # An emulated write that finds an entry empty is told, too.
    low, high = values.code_range("kvm", TABLE_WRITE)
    writes = "(%s) || (caller > %#x && caller < %#x)" % (values.FILTERS["p_mmu_page_zap_pte"], low, high)
    entries = {**values.ENTRIES, **{name(fn): args for fn, args in ENTRIES.items()}}
    entries["mmu_page_zap_pte"] += " caller=$stack0:x64"
    values.turn_on(base, {**values.TRACEPOINTS, **TRACEPOINTS}, entries, values.RETURNS + tuple(dict.fromkeys(name(fn) for fn in RETURNS)),
                   {"p_mmu_page_zap_pte": writes})


class Slot:
    def __init__(self):
        self.gfn = self.flags = 0


class Rarer(values.Kernel):
    def __init__(self, path):
        self.changes = {}  # thread: (cleared, other) SPTEs of it so far
        self.hits = {}  # thread: entries and pages that were to be zapped so far
        self.zapped = {}  # thread: pages
        self.began = {}  # (thread, function): what was so at its entry
        # By VM, which is a thread and a file: a later guest's file may lie where an earlier one's did, and one thread asks for all.
        self.slots = {}  # (VM, slot)
        self.keeps = {}  # VM: its logs are cleared by KVM_CLEAR_DIRTY_LOG
        super().__init__(path)

    def put(self, kind, tid, *fields):
        super().put(kind, tid, *fields)
        if kind in CHANGES:
            cleared, other = self.changes.get(tid, (0, 0))
            at = CHANGES[kind]
            gone = at is None or not fields[at] & PRESENT
            self.changes[tid] = (cleared + gone, other + (not gone))

    def so_far(self, tid):
        return self.changes.get(tid, (0, 0)) + (self.hits.get(tid, 0), self.zapped.get(tid, 0))

    def begin(self, fn, tid, a):
        self.began[tid, fn] = a, self.so_far(tid)

    def end(self, fn, tid):
        """What was there at its entry, and since then: SPTEs cleared, SPTEs changed otherwise, hits, pages zapped."""
        a, was = self.began.pop((tid, fn), (None, None))
        return a, was and [now - then for now, then in zip(self.so_far(tid), was)]

    def hit(self, tid):
        self.hits[tid] = self.hits.get(tid, 0) + 1

    def p_mmu_page_zap_pte(self, tid, t, a):
        self.hit(tid)
        super().p_mmu_page_zap_pte(tid, t, a)

    def t_kvm_mmu_prepare_zap_page(self, tid, t, a):
        self.hit(tid)
        self.zapped[tid] = self.zapped.get(tid, 0) + 1
        super().t_kvm_mmu_prepare_zap_page(tid, t, a)

    # --- a shadow page and a frame ---

    def p___kvm_sync_page(self, tid, t, a):
        self.begin("sync", tid, a)

    def r___kvm_sync_page(self, tid, t, a):
        a, since = self.end("sync", tid)
        if a:
            self.put("sync", tid, a["gfn"], since[0] + since[1])

    p_paging64_sync_page = p_paging32_sync_page = p___kvm_sync_page
    r_paging64_sync_page = r_paging32_sync_page = r___kvm_sync_page

    def p_kvm_mmu_track_write(self, tid, t, a):
        self.begin("write", tid, a)

    def r_kvm_mmu_track_write(self, tid, t, a):
        self.zap_over(tid, t)
        a, since = self.end("write", tid)
        if a and since[2]:
            self.put("pt_write", tid, a["gpa"], a["bytes"], since[0], since[3])

    p_kvm_mmu_pte_write, r_kvm_mmu_pte_write = p_kvm_mmu_track_write, r_kvm_mmu_track_write

    def p_kvm_mmu_slot_gfn_write_protect(self, tid, t, a):
        self.begin("wp", tid, a)

    def r_kvm_mmu_slot_gfn_write_protect(self, tid, t, a):
        ret = a["ret"]
        a, since = self.end("wp", tid)
        if a and ret & 0xFF:
            # None is cleared for it.
            self.put("wp", tid, a["gfn"], since[1])

    # --- pages that are zapped ---

    def p_kvm_mmu_zap_oldest_mmu_pages(self, tid, t, a):
        self.begin("oldest", tid, a)

    def r_kvm_mmu_zap_oldest_mmu_pages(self, tid, t, a):
        ret = a["ret"]
        a, since = self.end("oldest", tid)
        if a is not None and ret:
            # A child of NPT12's that goes with its page is one more, with all that goes below it (kvm_mmu_prepare_zap_page() gives a bool).
            if ret > since[3]:
                print("differ pages zapped at the limit: it says %d, and %d were" % (ret, since[3]))
            self.put("recycle", tid, ret)

    def p_kvm_tdp_mmu_zap_sp(self, tid, t, a):
        self.put("nx_recover", tid, a["gfn"], a["role"])

    def p___kvm_mmu_prepare_zap_page(self, tid, t, a):
        super().p___kvm_mmu_prepare_zap_page(tid, t, a)
        self.began[tid, len(t.zaps)] = a

    def r___kvm_mmu_prepare_zap_page(self, tid, t, a):
        zap = self.began.pop((tid, len(t.zaps)), None)
        # By where it returns to: the worker's thread also ends the VM, if it is the last of its process.
        if zap and a["at"].startswith(NX_WORKER):
            self.put("nx_recover", tid, zap["gfn"], zap["role"])
        super().r___kvm_mmu_prepare_zap_page(tid, t, a)

    # --- the host and the VMM ---

    def t_kvm_age_hva(self, tid, t, a):
        self.put("age", tid, a["start"], a["end"], 1)

    def t_kvm_test_age_hva(self, tid, t, a):
        self.put("age", tid, a["hva"], a["hva"] + 1, 0)

    def p_kvm_vm_ioctl(self, tid, t, a):
        self.begin("ioctl", tid, a)

    def r_kvm_vm_ioctl(self, tid, t, a):
        failed = a["ret"] & 0xFFFFFFFF
        a, _ = self.end("ioctl", tid)
        if not a or failed:
            return
        cmd, vm, where = a["cmd"], (tid, a["file"]), (a["a"] & 0xFFFF, a["a"] >> 16)
        slot = self.slots.setdefault((vm, a["a"]), Slot())
        if cmd == ENABLE_CAP and a["a"] == LOG_PROTECT2:
            self.keeps[vm] = a["c"] & 1
        elif cmd == SET_MEMORY:
            if a["d"] and (a["b"] ^ slot.flags) & LOGS:
                self.put("log_enable" if a["b"] & LOGS else "log_disable", tid, *where)
            slot.gfn, slot.flags = a["c"] >> 12, a["b"] if a["d"] else 0
        elif cmd == GET_LOG:
            self.put("log_read", tid, *where, self.keeps.get(vm, 0))
        elif cmd == CLEAR_LOG:
            self.put("log_clear", tid, *where, slot.gfn + a["c"], a["b"])

    # --- faults ---

    def p_is_page_fault_stale(self, tid, t, a):
        self.begin("stale", tid, a)

    def r_is_page_fault_stale(self, tid, t, a):
        ret = a["ret"]
        a, _ = self.end("stale", tid)
        if a and ret & 0xFF:
            # Without a change of the host's it is for the root.
            obsolete = None if a["seen"] != a["now"] or a["busy"] else 1
            self.put("stale", tid, a["addr"], a["gfn"], a["seen"], a["now"], a["busy"], obsolete)


FIELDS = {
    "sync": ("gfn", "changed"), "pt_write": ("gpa", "bytes", "zapped", "pages"), "wp": ("gfn", "sptes"), "recycle": ("pages",),
    "nx_recover": ("gfn", "role"), "age": ("start", "end", "clears"), "log_enable": ("slot", "as_id"), "log_disable": ("slot", "as_id"),
    "log_read": ("slot", "as_id", "kept"), "log_clear": ("slot", "as_id", "gfn", "pages"),
    "stale": ("addr", "gfn", "seq_seen", "seq_now", "in_progress", "root_obsolete"),
}


if __name__ == "__main__":
    values.FIELDS.update(FIELDS)
    if sys.argv[1] == "compare":
        values.compare(*sys.argv[2:4], Rarer, values.Heard)
    else:
        {"on": turn_on, "off": values.turn_off}[sys.argv[1]](*sys.argv[2:])
