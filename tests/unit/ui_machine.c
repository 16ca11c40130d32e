// SPDX-License-Identifier: GPL-2.0-or-later
/* The machine of ui_machine.h. */
#include "ui_machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "spte/spte.h"

#define ROLE_TDP(level) (0x3780u | (level)) /* direct, access 7, nx, wp: SEMANTICS C.2 */
#define ROLE_SHADOW(level) (0x20700u | (level)) /* shadow EPT */
#define PFN_OF(n) (0x10000ull + (n))

struct put {
	const struct ui_machine *machine;
	const struct ms_sink *sink;
	struct ms_err *err;
};

static void put_rec(struct put *p, enum ms_rec_type type, const void *rec, const struct ms_sp_tables *tables)
{
	if (!p->err)
		p->err = p->sink->put(p->sink->ctx, type, rec, tables);
}

static const struct spte_profile *profile(void)
{
	return spte_profile_by_name("ept-6.1");
}

static u64 encode(const struct spte_info *info)
{
	u64 raw = 0;

	if (spte_encode(profile(), info, &raw))
		return ~0ull; /* would show as unknown, and fail the golden frames */
	return raw;
}

static u64 to_table(unsigned int n, unsigned int level)
{
	struct spte_info info = {
		.level = (u8)level,
		.cls = SPTE_CLASS_TABLE,
		.pfn = PFN_OF(n),
		.read_user = true,
		.writable = true,
		.executable = true,
		.accessed_bit = true,
	};

	return encode(&info);
}

static u64 to_leaf(u64 pfn, unsigned int level, bool w, bool mmu, bool host)
{
	struct spte_info info = {
		.level = (u8)level,
		.cls = SPTE_CLASS_LEAF,
		.pfn = pfn,
		.read_user = true,
		.writable = w,
		.executable = true,
		.accessed_bit = true,
		.dirty_bit = w,
		.huge = level > 1,
		.mmu_writable = mmu,
		.host_writable = host,
		.memtype = 6,
		.ignore_pat = true,
	};

	return encode(&info);
}

static u64 to_mmio(u64 gfn, u32 generation)
{
	struct spte_info info = {
		.level = 1, .cls = SPTE_CLASS_MMIO, .mmio_gfn = gfn, .mmio_gen = generation
	};

	return encode(&info);
}

static void put_page(struct put *p, unsigned int n, u32 role, u64 gfn, u64 order, enum ms_sp_state state,
		     bool unsync, const struct ms_sp_tables *tables)
{
	bool tdp = role & 0x80;
	struct ms_rec_sp sp = {
		.have = MS_SP_HAVE_UNSYNC | MS_SP_HAVE_UNSYNC_CHILDREN | MS_SP_HAVE_ROOT_COUNT |
			MS_SP_HAVE_SPTES | (tdp ? 0 : MS_SP_HAVE_GEN | MS_SP_HAVE_TRANSLATIONS),
		.kvm = UI_KVM_A,
		.sp = UI_SP(n),
		.gfn = gfn,
		.spt_pfn = PFN_OF(n),
		.order = order,
		.role = role,
		.root_count = (role & 0xf) == 4,
		.unsync_children = n == UI_SP_SHADOW_L2 || n == UI_SP_SHADOW_L3,
		.tdp_mmu_page = tdp,
		.unsync = unsync,
		.mmu_valid_gen = 1,
		.state = (u8)state,
		.translation = tdp ? 0 : 0xffff888012000000ull + n * 0x1000ull,
	};

	put_rec(p, MS_REC_SP, &sp, tables);
}

static void put_one(struct put *p, unsigned int n, u64 order)
{
	struct ms_sp_tables t;
	unsigned int i;

	memset(&t, 0, sizeof(t));
	switch (n) {
	case UI_SP_TDP_L4:
		t.sptes[0] = to_table(UI_SP_TDP_L3, 4);
		put_page(p, n, ROLE_TDP(4), 0, order, MS_SP_CONFIRMED, false, &t);
		break;
	case UI_SP_TDP_L3:
		t.sptes[0] = to_table(UI_SP_TDP_L2, 3);
		put_page(p, n, ROLE_TDP(3), 0, order, MS_SP_CONFIRMED, false, &t);
		break;
	case UI_SP_TDP_L2:
		t.sptes[0] = to_table(UI_SP_TDP_L1, 2);
		t.sptes[1] = to_leaf(0x40000, 2, true, true, true);
		for (i = 0; i < p->machine->nr_extra && i + 2 < MS_SPTES; i++)
			t.sptes[2 + i] = to_table(UI_SP_FIRST_EXTRA + i, 2);
		put_page(p, n, ROLE_TDP(2), 0, order, MS_SP_CONFIRMED, false, &t);
		break;
	case UI_SP_TDP_L1:
		for (i = 0; i < 10; i++)
			t.sptes[i] = to_leaf(0x50000 + i, 1, true, true, true);
		for (; i < 13; i++)
			t.sptes[i] = to_leaf(0x50000 + i, 1, false, true, true);
		t.sptes[13] = to_leaf(0x5000d, 1, false, false, false);
		t.sptes[14] = profile()->frozen_value;
		put_page(p, n, ROLE_TDP(1), 0, order, MS_SP_CONFIRMED, false, &t);
		break;
	case UI_SP_SHADOW_L4:
		t.sptes[0] = to_table(UI_SP_SHADOW_L3, 4);
		put_page(p, n, ROLE_SHADOW(4), 0x800, order, MS_SP_CONFIRMED, false, &t);
		break;
	case UI_SP_SHADOW_L3:
		t.sptes[1] = to_table(UI_SP_SHADOW_L2, 3);
		put_page(p, n, ROLE_SHADOW(3), 0x801, order, MS_SP_CONFIRMED, false, &t);
		break;
	case UI_SP_SHADOW_L2:
		t.sptes[3] = to_table(UI_SP_SHADOW_L1, 2);
		t.sptes[4] = to_table(UI_SP_TORN, 2);
		for (i = UI_SP_SHADOW_L4; p->machine->circles && i < UI_SP_UNLINKED; i++)
			t.sptes[20 + i] = to_table(i, 2);
		put_page(p, n, ROLE_SHADOW(2), 0x802, order, MS_SP_CONFIRMED, false, &t);
		break;
	case UI_SP_SHADOW_L1:
		t.sptes[5] = to_leaf(0x60000, 1, true, true, true);
		t.translations[5] = 0x1000ull << 12 | 7;
		t.sptes[6] = to_leaf(0x50003, 1, false, false, true);
		t.translations[6] = 0x3ull << 12 | 5;
		t.sptes[7] = to_mmio(0xfee00, 2);
		t.sptes[8] = 0xdead000000000bad;
		put_page(p, n, ROLE_SHADOW(1), 0x803, order, MS_SP_CONFIRMED, true, &t);
		break;
	case UI_SP_TORN:
		t.sptes[0] = to_leaf(0x60001, 1, true, true, true);
		t.translations[0] = 0x1001ull << 12 | 7;
		put_page(p, n, ROLE_SHADOW(1), 0x804, order, MS_SP_TORN, false, &t);
		break;
	case UI_SP_UNLINKED:
		/* With circles it is reached by none but itself. */
		t.sptes[0] = p->machine->circles ? to_table(n, 2) : 0;
		put_page(p, n, ROLE_SHADOW(p->machine->circles ? 2 : 1), 0x805, order, MS_SP_UNLINKED, false,
			 &t);
		break;
	default:
		for (i = 0; i < MS_SPTES; i++)
			t.sptes[i] = to_leaf(0x100000ull + (n - UI_SP_FIRST_EXTRA) * 512ull + i, 1, i % 3,
					     i % 7, true);
		put_page(p, n, ROLE_TDP(p->machine->circles ? n % 16 : 1),
			 1024 + (n - UI_SP_FIRST_EXTRA) * 512ull, order, MS_SP_CONFIRMED, false, &t);
	}
}

static void put_pages(struct put *p)
{
	unsigned int nr = UI_SP_FIRST_EXTRA + p->machine->nr_extra, i;
	struct ms_rec_walk walk = {
		.kvm = UI_KVM_A, .flags = MS_WALK_LEGACY, .nr_pages = nr, .nr_torn = 1, .nr_unlinked = 1
	};

	for (i = 0; i < nr; i++)
		put_one(p, p->machine->newest_first ? nr - 1 - i : i, i);
	put_rec(p, MS_REC_WALK, &walk, NULL);
}

static void put_mmus(struct put *p, unsigned int vcpu)
{
	u64 address = 0xffff888013000000ull + vcpu * 0x1000;
	struct ms_rec_mmu mmu = {
		.have = MS_MMU_HAVE_CPU_ROLE | MS_MMU_HAVE_ROOT_ROLE | MS_MMU_HAVE_PREV,
		.kvm = UI_KVM_A,
		.vcpu = address,
		.mmu = address + 0x100,
		.which = MS_MMU_ROOT,
		.root_role = ROLE_TDP(4),
		.cpu_role = 0x8100003784ull,
		.root = { .pgd = 0, .hpa = PFN_OF(UI_SP_TDP_L4) << 12 },
	};
	unsigned int i;

	for (i = 0; i < MS_NR_PREV_ROOTS; i++)
		mmu.prev[i].hpa = MS_INVALID_PAGE;
	put_rec(p, MS_REC_MMU, &mmu, NULL);
	mmu.mmu = address + 0x200;
	mmu.which = MS_MMU_GUEST;
	mmu.root_role = vcpu ? 0 : ROLE_SHADOW(4);
	mmu.cpu_role = vcpu ? 0 : 0x100020704ull;
	mmu.root.hpa = vcpu ? MS_INVALID_PAGE : PFN_OF(UI_SP_SHADOW_L4) << 12;
	mmu.root.pgd = vcpu ? 0 : 0x80005e;
	put_rec(p, MS_REC_MMU, &mmu, NULL);
	mmu.mmu = address + 0x300;
	mmu.which = MS_MMU_NESTED;
	mmu.root_role = 0;
	mmu.cpu_role = vcpu ? 0 : 0x8100023704ull;
	mmu.root.hpa = MS_INVALID_PAGE;
	mmu.root.pgd = 0;
	put_rec(p, MS_REC_MMU, &mmu, NULL);
}

static void put_pins(struct put *p)
{
	static const struct ms_rec_pin pins[] = {
		{ .kvm = UI_KVM_A, .gfn = 2, .pfn = 0x50002, .level = 1, .mapped = 1 },
		{ .kvm = UI_KVM_A, .gfn = 3, .pfn = 0x50003, .level = 1, .mapped = 1 },
		{ .kvm = UI_KVM_A, .gfn = 512, .pfn = 0x40000, .level = 2, .mapped = 1 },
		{ .kvm = UI_KVM_A, .gfn = 0x1000, .pfn = 0x60000, .level = 1, .mapped = 0 },
	};

	for (size_t i = 0; i < sizeof(pins) / sizeof(pins[0]); i++)
		put_rec(p, MS_REC_PIN, &pins[i], NULL);
}

static void put_vm_details(struct put *p, const struct ms_want *want)
{
	struct ms_rec_slot slot = {
		.kvm = UI_KVM_A, .base_gfn = 0, .nr_pages = 0x8000, .flags = MS_SLOT_LOG_DIRTY
	};
	unsigned int i;

	for (i = 0; i < 2 && want->what & MS_WANT_VCPUS; i++) {
		u64 address = 0xffff888013000000ull + i * 0x1000;
		struct ms_rec_vcpu vcpu = {
			.have = MS_VCPU_HAVE_CPU | MS_VCPU_HAVE_CR0 | MS_VCPU_HAVE_CR3 | MS_VCPU_HAVE_CR4 |
				MS_VCPU_HAVE_EFER | MS_VCPU_HAVE_MMU | MS_VCPU_HAVE_GUEST_MODE |
				MS_VCPU_HAVE_HFLAGS,
			.kvm = UI_KVM_A,
			.vcpu = address,
			.vcpu_id = (s32)i,
			.vcpu_idx = (s32)i,
			.cpu = (s32)(3 - i),
			.cr0 = 0x80010033,
			.cr3 = 0x7f04000,
			.cr4 = 0x3020,
			.efer = 0xd01,
			.mmu = i ? address + 0x100 : address + 0x200,
			.walk_mmu = i ? address + 0x100 : address + 0x300,
			.hflags = i ? 0 : 0x20,
			.guest_mode = !i,
		};

		put_rec(p, MS_REC_VCPU, &vcpu, NULL);
	}
	if (want->what & MS_WANT_SLOTS)
		put_rec(p, MS_REC_SLOT, &slot, NULL);
	for (i = 0; i < 2 && want->what & MS_WANT_MMUS; i++)
		put_mmus(p, i);
	if (want->what & (MS_WANT_SPS | MS_WANT_SPTES))
		put_pages(p);
	if (p->machine->pins && want->what & MS_WANT_PINS)
		put_pins(p);
}

static void put_host(struct put *p)
{
	struct ms_rec_host host = {
		.have = MS_HOST_HAVE_TDP_ENABLED | MS_HOST_HAVE_TDP_MMU | MS_HOST_HAVE_PHYS_BITS,
		.time_ns = 1700000000ull * 1000000000ull,
		.hv = MS_HV_VMX,
		.phys_bits = 46,
		.tdp_enabled = 1,
		.tdp_mmu_enabled = 1,
	};
	const struct spte_masks *m = &profile()->m;
	unsigned int i;

	snprintf(host.release, sizeof(host.release), "6.1.0");
	snprintf(host.target, sizeof(host.target), "machine");
	/* The record and src/spte have the same masks in the same order. */
	for (i = 0; i < MS_SM_NR; i++) {
		host.masks[i] = spte_mask_get(m, i);
		host.have |= MS_HOST_HAVE_MASK(i);
	}
	put_rec(p, MS_REC_HOST, &host, NULL);
}

static struct ms_err *machine_read(struct ms_target *target, const struct ms_want *want,
				   const struct ms_sink *sink)
{
	struct ui_machine *machine = target->priv;
	struct put p = { .machine = machine, .sink = sink };
	struct ms_rec_vm a = {
		.have = MS_VM_HAVE_OWNER | MS_VM_HAVE_USED | MS_VM_HAVE_MAX | MS_VM_HAVE_INDIRECT |
			MS_VM_HAVE_VALID_GEN | MS_VM_HAVE_TDP_PAGES | MS_VM_HAVE_PAGES_4K |
			MS_VM_HAVE_PAGES_2M | MS_VM_HAVE_PAGES_1G | MS_VM_HAVE_INVALIDATE |
			MS_VM_HAVE_LEGACY | MS_VM_HAVE_TDP_MMU,
		.kvm = UI_KVM_A,
		.pid = 4242,
		.comm = "qemu-system-x86",
		.n_used_mmu_pages = 6,
		.n_max_mmu_pages = 1200,
		.tdp_mmu_pages = 4,
		.pages_4k = 17,
		.pages_2m = 1,
		.invalidate_seq = 12,
		.indirect_shadow_pages = 6,
		.mmu_valid_gen = 1,
	};
	struct ms_rec_vm b = {
		.have = MS_VM_HAVE_OWNER, .kvm = UI_KVM_B, .pid = 77, .comm = "\033[31me\xc3\xa9\xe6\xbc\xa2"
	};

	machine->nr_reads++;
	if (machine->fail)
		return ms_err_hint(ms_err_new(MS_ERR_TARGET, "read the machine: it is off"), "switch it on");
	if (machine->pins && want->what & MS_WANT_PINS)
		a.have |= MS_VM_HAVE_PINS;
	put_host(&p);
	if (machine->nr_vms >= 1)
		put_rec(&p, MS_REC_VM, &a, NULL);
	if (machine->nr_vms >= 2)
		put_rec(&p, MS_REC_VM, &b, NULL);
	if (machine->nr_vms >= 1 && (!want->kvm || want->kvm == UI_KVM_A))
		put_vm_details(&p, want);
	return p.err;
}

/* --- listening --- */

#define UI_COUNTS 256

struct ui_listener {
	struct ms_listener l;
	struct ui_machine *machine;
	struct ms_listen_stats stats;
	struct ms_event_count counts[UI_COUNTS];
	size_t nr_counts;
	struct ms_probe probes[3];
};

static struct ms_err *off(void)
{
	return ms_err_hint(ms_err_new(MS_ERR_TARGET, "listen to the machine: it is deaf"), "shout");
}

static void listener_count(struct ui_listener *l, const struct ms_event *event)
{
	struct ms_event_count key;
	size_t i;

	ms_listen_key(l->l.listen.count_by, event, &key);
	for (i = 0; i < l->nr_counts; i++)
		if (l->counts[i].kvm == key.kvm && l->counts[i].id == key.id)
			break;
	if (i == UI_COUNTS)
		return;
	if (i == l->nr_counts)
		l->counts[l->nr_counts++] = key;
	l->counts[i].nr++;
}

static struct ms_err *listener_next(struct ms_listener *listener, int timeout_ms,
				    bool (*put)(void *ctx, const struct ms_event *event), void *ctx)
{
	struct ui_listener *l = (struct ui_listener *)listener;
	struct ui_machine *m = l->machine;
	bool more = true;

	if (m->fail_listen)
		return off();
	m->now_ns += (u64)timeout_ms * 1000000;
	while (more && m->next_event < m->nr_events) {
		const struct ms_event *event = &m->events[m->next_event++];

		if (!ms_listen_passes(&listener->listen, event))
			continue;
		l->stats.by_event[event->id]++;
		if (listener->listen.count_by)
			listener_count(l, event);
		else
			more = put(ctx, event);
	}
	return NULL;
}

static int listener_fd(const struct ms_listener *l)
{
	return -1;
}

static struct ms_err *listener_stats(struct ms_listener *listener, struct ms_listen_stats *ret)
{
	struct ui_listener *l = (struct ui_listener *)listener;

	*ret = l->stats;
	ret->lost_buffer = l->machine->lost;
	return NULL;
}

static struct ms_err *listener_counts(struct ms_listener *listener, struct ms_event_count **ret,
				      size_t *nr_ret)
{
	const struct ui_listener *l = (struct ui_listener *)listener;

	*ret = malloc(sizeof(l->counts));
	if (!*ret)
		return ms_err_nomem();
	memcpy(*ret, l->counts, sizeof(l->counts));
	*nr_ret = l->nr_counts;
	return NULL;
}

static size_t listener_probes(const struct ms_listener *listener, const struct ms_probe **ret)
{
	const struct ui_listener *l = (const struct ui_listener *)listener;

	*ret = l->probes;
	return l->machine->deaf ? 3 : 0;
}

static u64 listener_now(const struct ms_listener *l)
{
	return ((const struct ui_listener *)l)->machine->now_ns;
}

static void listener_end(struct ms_listener *listener)
{
	((struct ui_listener *)listener)->machine->listener = NULL;
	free(listener);
}

static const struct ms_listen_ops listener_ops = {
	.fd = listener_fd,
	.next = listener_next,
	.stats = listener_stats,
	.counts = listener_counts,
	.probes = listener_probes,
	.now = listener_now,
	.unlisten = listener_end,
};

static struct ms_err *machine_listen(struct ms_target *target, const struct ms_listen *listen,
				     struct ms_listener **ret)
{
	struct ui_machine *machine = target->priv;
	struct ui_listener *l;

	if (machine->fail_listen)
		return off();
	/* One at a time, as of every target. */
	if (machine->listener)
		return ms_err_new(MS_ERR_BUG, "somebody listens already");
	l = calloc(1, sizeof(*l));
	if (!l)
		return ms_err_nomem();
	l->l.ops = &listener_ops;
	l->l.listen = *listen;
	l->machine = machine;
	l->probes[0] = (struct ms_probe){ .name = "a", .status = MS_PROBE_ON, .events = ~machine->deaf };
	l->probes[1] = (struct ms_probe){ .name = "b", .status = MS_PROBE_OFF, .events = machine->deaf };
	/* It would have something to say about them. */
	l->probes[2] =
		(struct ms_probe){ .name = "c", .status = MS_PROBE_ON, .events = ~0ull, .explains = true };
	machine->listener = &l->l;
	machine->nr_listens++;
	*ret = &l->l;
	return NULL;
}

static const struct ms_target_ops machine_ops = {
	.name = "machine",
	.summary = "the machine of the interface's tests",
	.read = machine_read,
	.listen = machine_listen,
};

void ui_machine_init(struct ui_machine *machine, unsigned int nr_vms)
{
	memset(machine, 0, sizeof(*machine));
	machine->nr_vms = nr_vms;
	machine->target.ops = &machine_ops;
	machine->target.caps = MS_CAP_LIVE | MS_CAP_LISTEN;
	machine->target.priv = machine;
	snprintf(machine->target.spec, sizeof(machine->target.spec), "machine");
}
