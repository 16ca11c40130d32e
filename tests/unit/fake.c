/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The made-up host of fake.h. Says what fake.h promises, as KVM would have it written (SEMANTICS B.3, C.2),
 * and nothing else.
 */
#include "tests/unit/fake.h"

#include <stdlib.h>
#include <string.h>

#define BIT(n) (1ull << (n))
#define NO_PARENT 0xffffffffu
#define PROGRESS_EVERY 256

struct fake {
	struct fake_opts opts;
	char owner[MS_COMM_LEN];
	u64 np; /* the non-present SPTE */
	const struct ms_want *want;
	const struct ms_sink *sink;
	u64 nr_pages; /* delivered in this read */
	struct ms_rec_walk walk;
	struct ms_sp_tables tables;
};

/* What is fixed about one page. */
struct page {
	u32 parent; /* the page that leads here; NO_PARENT: a root, or reached by nothing */
	u32 idx; /* by this entry */
	u32 role;
	u64 gfn;
	u32 state;
};

enum wstate { RW, DL, WP, RO };

/* --- entries --- */

static u64 leaf(const struct fake *f, u64 pfn, u32 level, enum wstate wstate, bool exec, bool nested)
{
	bool ept = f->opts.ept;
	u64 h = ept ? BIT(57) : BIT(9), m = ept ? BIT(58) : BIT(10), dirty = ept ? BIT(9) : BIT(6);
	u64 spte = BIT(11) | pfn << 12;

	if (ept) {
		/* Readable, accessed, write-back (6) with ignore-PAT. */
		spte |= BIT(0) | BIT(8) | 6ull << 3 | BIT(6) | (exec ? BIT(2) : 0);
		/* There is PML: what L2 dirties is found by write protection. */
		spte |= nested ? BIT(53) : 0;
		spte |= f->opts.v61 ? 0 : BIT(63);
	} else {
		spte |= BIT(0) | BIT(2) | BIT(5) | (exec ? 0 : BIT(63));
	}
	if (level > 1)
		spte |= BIT(7);
	if (wstate == RW)
		spte |= h | m | BIT(1) | dirty;
	else if (wstate == DL)
		spte |= h | m | dirty;
	else if (wstate == WP)
		spte |= h;
	return spte;
}

static u64 nonleaf(const struct fake *f, u64 child_pfn)
{
	u64 spte = BIT(11) | child_pfn << 12 | BIT(0) | BIT(1) | BIT(2);

	if (f->opts.ept)
		return spte | BIT(8) | (f->opts.v61 ? 0 : BIT(63));
	return spte | BIT(5);
}

static u64 mmio(const struct fake *f, u64 gfn)
{
	u64 gen = FAKE_MMIO_GEN;
	u64 spte = gfn << 12 | (gen & 0xff) << 3 | gen >> 8 << 52;

	return spte | (f->opts.ept ? 6 : BIT(51) | BIT(0) | BIT(1) | BIT(2));
}

/* --- pages --- */

static u32 nested_role(const struct fake *f)
{
	return f->opts.ept ? FAKE_ROLE_EPT02 : FAKE_ROLE_NPT02;
}

static u32 at_level(u32 role, u32 level)
{
	return (role & ~0xfu) | level;
}

static u32 role_level(u32 role)
{
	return role & 0xf;
}

static bool page_is_tdp(u32 n)
{
	return n <= FAKE_TDP_L1_MMIO || n >= FAKE_NR_PAGES;
}

static struct page extra_page(const struct fake *f, u32 k)
{
	u32 nr_l2 = FAKE_EXTRA_L2S(f->opts.extra_pages);

	if (k < nr_l2)
		return (struct page){ FAKE_TDP_L3, 16 + k, at_level(FAKE_ROLE_TDP, 2),
				      FAKE_EXTRA_GFN + k * (1ull << 18), MS_SP_CONFIRMED };
	k -= nr_l2;
	return (struct page){ FAKE_NR_PAGES + k / 512, k % 512, at_level(FAKE_ROLE_TDP, 1),
			      FAKE_EXTRA_GFN + k * 512ull, MS_SP_CONFIRMED };
}

static struct page page_of(const struct fake *f, u32 n)
{
	bool pt5 = f->opts.passthrough;
	u32 t2 = at_level(FAKE_ROLE_TDP, 2), t1 = at_level(FAKE_ROLE_TDP, 1);
	u32 nr = nested_role(f), n1 = at_level(nr, 1);

	switch (n) {
	case FAKE_TDP_ROOT5:
		return (struct page){ NO_PARENT, 0, FAKE_ROLE_TDP5, 0, MS_SP_CONFIRMED };
	case FAKE_TDP_ROOT:
		return (struct page){ pt5 ? FAKE_TDP_ROOT5 : NO_PARENT, 0, FAKE_ROLE_TDP, 0,
				      MS_SP_CONFIRMED };
	case FAKE_TDP_L3:
		return (struct page){ FAKE_TDP_ROOT, 0, at_level(FAKE_ROLE_TDP, 3), 0, MS_SP_CONFIRMED };
	case FAKE_TDP_L2:
		return (struct page){ FAKE_TDP_L3, 0, t2, 0, MS_SP_CONFIRMED };
	case FAKE_TDP_L2_MMIO:
		return (struct page){ FAKE_TDP_L3, 3, t2, 3ull << 18, MS_SP_CONFIRMED };
	case FAKE_TDP_L1:
		return (struct page){ FAKE_TDP_L2, 0, t1, 0, MS_SP_CONFIRMED };
	case FAKE_TDP_L1_RO:
		return (struct page){ FAKE_TDP_L2, 2, t1, FAKE_RO_GFN, MS_SP_CONFIRMED };
	case FAKE_TDP_L1_LOG:
		return (struct page){ FAKE_TDP_L2, 3, t1, FAKE_LOG_GFN, MS_SP_CONFIRMED };
	case FAKE_TDP_L1_MMIO:
		return (struct page){ FAKE_TDP_L2_MMIO, FAKE_APIC_GFN >> 9 & 511, t1, FAKE_APIC_GFN & ~511ull,
				      MS_SP_CONFIRMED };
	case FAKE_N_UNLINKED:
		return (struct page){ NO_PARENT, 0, n1, FAKE_N_UNLINKED_GFN, MS_SP_UNLINKED };
	case FAKE_N_TORN:
		return (struct page){ NO_PARENT, 0, n1, FAKE_N_TORN_GFN, MS_SP_TORN };
	case FAKE_N_UNSYNC:
		return (struct page){ FAKE_N_L2, 1, n1, FAKE_N_UNSYNC_GFN, MS_SP_CONFIRMED };
	case FAKE_N_DIRECT:
		return (struct page){ FAKE_N_L2, 2, n1 | 0x80, 512, MS_SP_CONFIRMED };
	case FAKE_N_L1:
		return (struct page){ FAKE_N_L2, 0, n1, FAKE_N_L1_GFN, MS_SP_CONFIRMED };
	case FAKE_N_L2:
		return (struct page){ FAKE_N_L3, 0, at_level(nr, 2), FAKE_N_L2_GFN, MS_SP_CONFIRMED };
	case FAKE_N_L3:
		return (struct page){ FAKE_N_ROOT, 0, at_level(nr, 3), FAKE_N_L3_GFN, MS_SP_CONFIRMED };
	case FAKE_N_ROOT:
		return (struct page){ pt5 ? FAKE_N_ROOT5 : NO_PARENT, 0, nr, FAKE_N_ROOT_GFN,
				      MS_SP_CONFIRMED };
	case FAKE_N_ROOT5:
		return (struct page){ NO_PARENT, 0, FAKE_ROLE_NPT02_PASSTHROUGH, FAKE_N_ROOT_GFN,
				      MS_SP_CONFIRMED };
	case FAKE_N_PREV:
		return (struct page){ NO_PARENT, 0, pt5 ? FAKE_ROLE_NPT02_PASSTHROUGH : nr, FAKE_N_PREV_GFN,
				      MS_SP_CONFIRMED };
	default:
		return extra_page(f, n - FAKE_NR_PAGES);
	}
}

/*
 * An array of translations: 6.1 allocates one for every indirect page, 6.12 only up to level 3 (SEMANTICS
 * C.3).
 */
static bool page_translated(const struct fake *f, u32 n, u32 role)
{
	return !page_is_tdp(n) && !(role & 0x80) && (f->opts.v61 || role_level(role) <= 3);
}

static void set_nested(struct fake *f, u32 idx, u64 gfn, enum wstate wstate, bool exec)
{
	f->tables.sptes[idx] = leaf(f, FAKE_PFN(0, gfn), 1, wstate, exec, true);
	/* Access as L1 granted it, which a write-protected or read-only page does not lessen. */
	f->tables.translations[idx] = gfn << 12 | (exec ? 7 : 6);
}

static void fill_n_l1(struct fake *f)
{
	u32 i;

	for (i = 0; i < FAKE_L2_LEAVES; i++)
		set_nested(f, i, FAKE_L2_GFN(i), RW, true);
	set_nested(f, FAKE_N_ALIAS_IDX, FAKE_L2_GFN(0), RW, true);
	set_nested(f, FAKE_N_WP_IDX, FAKE_N_L1_GFN, WP, true);
	set_nested(f, FAKE_N_RO_IDX, FAKE_RO_GFN, RO, true);
	set_nested(f, FAKE_N_NOEXEC_IDX, FAKE_L2_GFN(40), RW, false);
	f->tables.sptes[FAKE_N_MMIO_IDX] = mmio(f, FAKE_APIC_GFN);
}

static void fill_tdp_l1(struct fake *f, u32 v)
{
	u64 *sptes = f->tables.sptes;
	u32 i;

	for (i = 0; i < (v ? FAKE_B_LEAVES : FAKE_RAM_LEAVES); i++)
		sptes[i] = leaf(f, FAKE_PFN(v, i), 1, RW, true, false);
	if (v)
		return;
	for (i = FAKE_N_ROOT_GFN; i <= FAKE_N_L1_GFN; i++)
		sptes[i] = leaf(f, FAKE_PFN(v, i), 1, WP, true, false);
	sptes[FAKE_N_UNSYNC_GFN] = leaf(f, FAKE_PFN(v, FAKE_N_UNSYNC_GFN), 1, RW, true, false);
	sptes[FAKE_FROZEN_IDX] = f->np | 0x5a0;
}

/* The entries that map or forbid something; those that lead to other pages are fill_children()'s. */
static void fill_leaves(struct fake *f, u32 v, u32 n, u64 gfn, u32 level)
{
	u64 *sptes = f->tables.sptes;
	u32 i;

	switch (n) {
	case FAKE_TDP_L1:
		fill_tdp_l1(f, v);
		break;
	case FAKE_TDP_L2:
		if (!v)
			sptes[1] = leaf(f, FAKE_PFN(v, FAKE_HUGE_GFN), 2, RW, true, false);
		break;
	case FAKE_TDP_L1_RO:
		for (i = 0; i < FAKE_RO_LEAVES; i++)
			sptes[i] = leaf(f, FAKE_PFN(v, FAKE_RO_GFN + i), 1, RO, true, false);
		break;
	case FAKE_TDP_L1_LOG:
		for (i = 0; i <= FAKE_DL_LEAVES; i++)
			sptes[i] = leaf(f, FAKE_PFN(v, FAKE_LOG_GFN + i), 1, i < FAKE_DL_LEAVES ? DL : RW,
					true, false);
		break;
	case FAKE_TDP_L1_MMIO:
		sptes[FAKE_APIC_GFN & 511] = mmio(f, FAKE_APIC_GFN);
		break;
	case FAKE_N_L1:
		fill_n_l1(f);
		break;
	case FAKE_N_UNSYNC:
		for (i = 0; i < FAKE_UNSYNC_LEAVES; i++)
			set_nested(f, i, FAKE_UNSYNC_LEAF_GFN(i), RW, true);
		break;
	case FAKE_N_TORN:
		set_nested(f, 7, FAKE_L2_GFN(7), RW, true);
		break;
	case FAKE_N_DIRECT:
		for (i = 0; i < FAKE_SPLIT_LEAVES; i++)
			sptes[i] = leaf(f, FAKE_PFN(v, gfn + i), 1, RW, true, true);
		break;
	default:
		if (n >= FAKE_NR_PAGES && level == 1)
			for (i = 0; i < MS_SPTES; i++)
				sptes[i] = leaf(f, FAKE_PFN(v, gfn + i), 1, RW, true, false);
		break;
	}
}

static u32 nr_pages(const struct fake *f)
{
	return FAKE_NR_PAGES + f->opts.extra_pages + FAKE_EXTRA_L2S(f->opts.extra_pages);
}

static bool page_exists(const struct fake *f, u32 v, u32 n)
{
	if (n == FAKE_TDP_ROOT5 || n == FAKE_N_ROOT5)
		return f->opts.passthrough && (!v || n == FAKE_TDP_ROOT5);
	if (v)
		return n == FAKE_TDP_ROOT || n == FAKE_TDP_L3 || n == FAKE_TDP_L2 || n == FAKE_TDP_L1;
	return n < nr_pages(f);
}

static void fill_child(struct fake *f, u32 v, u32 n, u32 child)
{
	struct page page = page_of(f, child);

	if (page_exists(f, v, child) && page.parent == n)
		f->tables.sptes[page.idx] = nonleaf(f, FAKE_SPT_PFN(v, child));
}

static void fill_children(struct fake *f, u32 v, u32 n)
{
	u32 nr_l2 = FAKE_EXTRA_L2S(f->opts.extra_pages), i;

	for (i = 0; i < FAKE_NR_PAGES; i++)
		fill_child(f, v, n, i);
	if (v)
		return;
	if (n == FAKE_TDP_L3)
		for (i = 0; i < nr_l2; i++)
			fill_child(f, v, n, FAKE_NR_PAGES + i);
	if (n >= FAKE_NR_PAGES && n < FAKE_NR_PAGES + nr_l2)
		for (i = (n - FAKE_NR_PAGES) * 512;
		     i < (n - FAKE_NR_PAGES + 1) * 512 && i < f->opts.extra_pages; i++)
			fill_child(f, v, n, FAKE_NR_PAGES + nr_l2 + i);
}

static u32 root_page(const struct fake *f, bool nested)
{
	if (nested)
		return f->opts.passthrough ? FAKE_N_ROOT5 : FAKE_N_ROOT;
	return f->opts.passthrough ? FAKE_TDP_ROOT5 : FAKE_TDP_ROOT;
}

static struct ms_rec_sp page_record(const struct fake *f, u32 v, u32 n)
{
	struct page page = page_of(f, n);
	struct ms_rec_sp sp = {
		.have = MS_SP_HAVE_ROOT_COUNT | MS_SP_HAVE_PARENTS | MS_SP_HAVE_NX_DISALLOWED |
			MS_SP_HAVE_NX_POSSIBLE,
		.kvm = FAKE_KVM(v),
		.sp = FAKE_SP(v, n),
		.gfn = page.gfn,
		.spt_pfn = FAKE_SPT_PFN(v, n),
		.role = page.role,
		.tdp_mmu_page = page_is_tdp(n),
		.state = (u8)page.state,
		.order = f->walk.nr_pages,
	};

	if (page.parent != NO_PARENT)
		sp.parents = FAKE_ENTRY_VA(v, page.parent, page.idx);
	/* Two vCPUs of VM 0 share the TDP root, and KVM itself holds one more. */
	if (n == root_page(f, false))
		sp.root_count = v ? 2 : 3;
	if (n == root_page(f, true) || n == FAKE_N_PREV)
		sp.root_count = 1;
	if (!page_is_tdp(n)) {
		sp.have |= MS_SP_HAVE_UNSYNC | MS_SP_HAVE_UNSYNC_CHILDREN | MS_SP_HAVE_GEN |
			   MS_SP_HAVE_WRITE_FLOODING;
		sp.unsync = n == FAKE_N_UNSYNC;
		sp.unsync_children = n >= FAKE_N_L2 && n <= FAKE_N_ROOT5;
		sp.mmu_valid_gen = 1;
	}
	if (page_translated(f, n, page.role))
		sp.translation = FAKE_TRANSLATION(v, n);
	return sp;
}

static struct ms_err *put_page(struct fake *f, u32 v, u32 n)
{
	struct ms_rec_sp sp;
	const struct ms_sp_tables *tables = NULL;
	u32 i;

	if (!page_exists(f, v, n))
		return NULL;
	sp = page_record(f, v, n);
	if (f->want->what & MS_WANT_SPTES) {
		for (i = 0; i < MS_SPTES; i++)
			f->tables.sptes[i] = f->np;
		memset(f->tables.translations, 0, sizeof(f->tables.translations));
		fill_leaves(f, v, n, sp.gfn, role_level(sp.role));
		fill_children(f, v, n);
		sp.have |= MS_SP_HAVE_SPTES | (sp.translation ? MS_SP_HAVE_TRANSLATIONS : 0);
		tables = &f->tables;
	}
	f->walk.nr_pages++;
	f->walk.nr_torn += sp.state == MS_SP_TORN;
	f->walk.nr_unlinked += sp.state == MS_SP_UNLINKED;
	f->nr_pages++;
	return f->sink->put(f->sink->ctx, MS_REC_SP, &sp, tables);
}

/* Pages [from, end), until the reader gives up. */
static struct ms_err *put_pages(struct fake *f, u32 v, u32 from, u32 end)
{
	struct ms_err *err = NULL;
	u32 n;

	for (n = from; !err && n < end && !(f->walk.flags & MS_WALK_BROKEN); n++) {
		err = put_page(f, v, n);
		if (!err && f->want->progress && f->nr_pages && f->nr_pages % PROGRESS_EVERY == 0 &&
		    !f->want->progress(f->want->progress_ctx, f->nr_pages))
			f->walk.flags |= MS_WALK_BROKEN;
	}
	return err;
}

static struct ms_err *put_walks(struct fake *f, u32 v)
{
	u32 first_extra_l1 = FAKE_NR_PAGES + FAKE_EXTRA_L2S(f->opts.extra_pages);
	struct ms_err *err;
	bool given_up;

	f->walk = (struct ms_rec_walk){
		.kvm = FAKE_KVM(v), .flags = MS_WALK_LEGACY, .start_ns = 1000, .end_ns = 2000
	};
	if (!v)
		f->walk.flags |= MS_WALK_CHANGED;
	err = put_pages(f, v, FAKE_N_UNLINKED, FAKE_NR_PAGES);
	if (!err)
		err = f->sink->put(f->sink->ctx, MS_REC_WALK, &f->walk, NULL);
	given_up = f->walk.flags & MS_WALK_BROKEN;
	if (err || given_up)
		return err;
	f->walk = (struct ms_rec_walk){
		.kvm = FAKE_KVM(v), .flags = MS_WALK_TDP, .start_ns = 2000, .end_ns = 3000
	};
	/* Breadth first: the extra level-2 pages come before the first tables. */
	err = put_pages(f, v, FAKE_TDP_ROOT5, FAKE_TDP_L1);
	if (!err)
		err = put_pages(f, v, FAKE_NR_PAGES, first_extra_l1);
	if (!err)
		err = put_pages(f, v, FAKE_TDP_L1, FAKE_N_UNLINKED);
	if (!err)
		err = put_pages(f, v, first_extra_l1, nr_pages(f));
	return err ? err : f->sink->put(f->sink->ctx, MS_REC_WALK, &f->walk, NULL);
}

/* --- host, VMs, vCPUs --- */

static void host_masks(const struct fake *f, struct ms_rec_host *host)
{
	bool ept = f->opts.ept;
	u64 *m = host->masks;

	m[MS_SM_host_writable] = ept ? BIT(57) : BIT(9);
	m[MS_SM_mmu_writable] = ept ? BIT(58) : BIT(10);
	m[MS_SM_nx] = ept ? 0 : BIT(63);
	m[MS_SM_x] = ept ? BIT(2) : 0;
	m[MS_SM_user] = ept ? BIT(0) : BIT(2);
	m[MS_SM_accessed] = ept ? BIT(8) : BIT(5);
	m[MS_SM_dirty] = ept ? BIT(9) : BIT(6);
	m[MS_SM_mmio_value] = ept ? 6 : BIT(51) | BIT(0);
	m[MS_SM_mmio_mask] = ept ? 7 | (f->opts.v61 ? 0 : BIT(63)) : BIT(51) | BIT(0);
	m[MS_SM_mmio_access] = ept ? 0 : BIT(1) | BIT(2);
	/* The CPU can execute without reading. */
	m[MS_SM_present] = !ept ? BIT(0) : f->opts.v61 ? 0 : BIT(63);
	m[MS_SM_memtype] = ept ? 7ull << 3 | BIT(6) : 0;
	m[MS_SM_acc_track] = ept ? 7 : 0;
	m[MS_SM_nonpresent_or_rsvd_lower_gfn] = BIT(FAKE_PHYS_BITS) - BIT(12);
}

static struct ms_err *put_host(const struct fake *f)
{
	static const struct ms_rec_role_field fields[] = {
		{ "level", 0, 4, { 0 } },	    { "has_4_byte_gpte", 4, 1, { 0 } },
		{ "quadrant", 5, 2, { 0 } },	    { "direct", 7, 1, { 0 } },
		{ "access", 8, 3, { 0 } },	    { "invalid", 11, 1, { 0 } },
		{ "efer_nx", 12, 1, { 0 } },	    { "cr0_wp", 13, 1, { 0 } },
		{ "smep_andnot_wp", 14, 1, { 0 } }, { "smap_andnot_wp", 15, 1, { 0 } },
		{ "ad_disabled", 16, 1, { 0 } },    { "guest_mode", 17, 1, { 0 } },
		{ "passthrough", 18, 1, { 0 } },    { "smm", 24, 8, { 0 } },
		{ "valid", 32, 1, { 0 } },	    { "execonly", 33, 1, { 0 } },
		{ "cr4_pse", 34, 1, { 0 } },	    { "cr4_pke", 35, 1, { 0 } },
		{ "cr4_smap", 36, 1, { 0 } },	    { "cr4_smep", 37, 1, { 0 } },
		{ "cr4_la57", 38, 1, { 0 } },	    { "efer_lma", 39, 1, { 0 } },
	};
	struct ms_rec_host host = {
		.have = (MS_HOST_HAVE_MASK(MS_SM_NR) - 1) | MS_HOST_HAVE_TDP_ENABLED | MS_HOST_HAVE_TDP_MMU |
			MS_HOST_HAVE_MMIO_CACHING | MS_HOST_HAVE_NX_HUGE | MS_HOST_HAVE_PHYS_BITS |
			MS_HOST_HAVE_NP_VALUE | MS_HOST_HAVE_ROLE_FIELDS | MS_HOST_HAVE_PML |
			(f->opts.ept ? MS_HOST_PML : 0),
		.time_ns = FAKE_TIME_NS,
		.target = "fake",
		.hv = f->opts.ept ? MS_HV_VMX : MS_HV_SVM,
		.phys_bits = FAKE_PHYS_BITS,
		.np_value = f->np,
		.tdp_enabled = 1,
		.tdp_mmu_enabled = 1,
		.mmio_caching = 1,
		.nx_huge_pages = -1,
		.nr_role_fields = sizeof(fields) / sizeof(fields[0]),
	};

	strcpy(host.release, f->opts.v61 ? "6.1.0-fake-amd64" : "6.12.0-fake-amd64");
	memcpy(host.role_fields, fields, sizeof(fields));
	host_masks(f, &host);
	return f->sink->put(f->sink->ctx, MS_REC_HOST, &host, NULL);
}

static struct ms_err *put_vm(const struct fake *f, u32 v)
{
	struct ms_rec_vm vm = {
		.have = MS_VM_HAVE_OWNER | MS_VM_HAVE_USERSPACE_PID | MS_VM_HAVE_USED | MS_VM_HAVE_MAX |
			MS_VM_HAVE_INDIRECT | MS_VM_HAVE_VALID_GEN | MS_VM_HAVE_ONLINE_VCPUS |
			MS_VM_HAVE_CREATED_VCPUS | MS_VM_HAVE_INVALIDATE | MS_VM_HAVE_PAGES_4K |
			MS_VM_HAVE_PAGES_2M | MS_VM_HAVE_PAGES_1G | MS_VM_HAVE_LEGACY | MS_VM_HAVE_TDP_MMU |
			MS_VM_HAVE_SHADOW_ROOT | MS_VM_HAVE_MM | MS_VM_HAVE_NX_DISABLED | MS_VM_HAVE_LOG_MODE,
		.kvm = FAKE_KVM(v),
		.mm = FAKE_MM(v),
		.pid = FAKE_PID(v),
		.userspace_pid = FAKE_PID(v),
		.n_used_mmu_pages = v ? 0 : FAKE_NR_LEGACY(&f->opts),
		.n_max_mmu_pages = 4096,
		.invalidate_seq = 17,
		.pages_4k = v ? FAKE_B_LEAVES : FAKE_PAGES_4K(&f->opts),
		.pages_2m = v ? 0 : 1,
		.indirect_shadow_pages = v ? 0 : FAKE_NR_LEGACY(&f->opts) - 1,
		.online_vcpus = v ? 1 : FAKE_NR_VCPUS,
		.created_vcpus = v ? 1 : FAKE_NR_VCPUS,
		.mmu_valid_gen = 1,
		.shadow_root_allocated = !v,
	};

	memcpy(vm.comm, v ? FAKE_VM1_NAME : f->owner, v ? sizeof(FAKE_VM1_NAME) : sizeof(vm.comm));
	/* What each kernel has: a per-VM switch in 6.1; a counter of TDP pages and an MMIO value in 6.12. */
	if (f->opts.v61) {
		vm.have |= MS_VM_HAVE_TDP_MMU_ON;
		vm.tdp_mmu_on = 1;
	} else {
		vm.have |= MS_VM_HAVE_TDP_PAGES | MS_VM_HAVE_MMIO_VALUE;
		vm.tdp_mmu_pages = v ? FAKE_B_NR_TDP + f->opts.passthrough : FAKE_NR_TDP(&f->opts);
		vm.mmio_value = f->opts.ept ? 6 : BIT(51) | BIT(0);
	}
	return f->sink->put(f->sink->ctx, MS_REC_VM, &vm, NULL);
}

static struct ms_err *put_fds(const struct fake *f, u32 v)
{
	struct ms_err *err = NULL;
	s32 i;

	/* The VM's file is 10, its vCPUs' are 11 and up. */
	for (i = -1; !err && i < (v ? 1 : FAKE_NR_VCPUS); i++) {
		struct ms_rec_fd fd = { .kvm = FAKE_KVM(v),
					.pid = FAKE_PID(v),
					.fd = 11 + i,
					.kind = i < 0 ? MS_FD_VM : MS_FD_VCPU };

		fd.vcpu = i < 0 ? 0 : FAKE_VCPU(v, (u32)i);
		memcpy(fd.comm, v ? FAKE_VM1_NAME : f->owner, v ? sizeof(FAKE_VM1_NAME) : sizeof(fd.comm));
		err = f->sink->put(f->sink->ctx, MS_REC_FD, &fd, NULL);
	}
	return err;
}

static struct ms_err *put_vcpu(const struct fake *f, u32 v, u32 i)
{
	bool in_l2 = !v && i == 0, ran = v || i != 2;
	struct ms_rec_vcpu vcpu = {
		.have = MS_VCPU_HAVE_CPU | MS_VCPU_HAVE_MODE | MS_VCPU_HAVE_HFLAGS | MS_VCPU_HAVE_CR0 |
			MS_VCPU_HAVE_CR3 | MS_VCPU_HAVE_CR4 | MS_VCPU_HAVE_EFER | MS_VCPU_HAVE_MMU,
		.kvm = FAKE_KVM(v),
		.vcpu = FAKE_VCPU(v, i),
		.vcpu_id = (s32)i,
		.vcpu_idx = (s32)i,
		.cpu = ran ? (s32)i + 2 : -1,
		.mode = in_l2,
		.cr0 = ran ? 0x80050033 : 0x60000010,
		.cr3 = ran ? 0x1000 : 0,
		.cr4 = ran ? 0x20 : 0,
		.efer = ran ? 0xd01 | (f->opts.ept ? 0 : 0x1000) : 0,
		.mmu = FAKE_MMU(v, i, in_l2 ? MS_MMU_GUEST : MS_MMU_ROOT),
		.walk_mmu = FAKE_MMU(v, i, in_l2 ? MS_MMU_NESTED : MS_MMU_ROOT),
	};

	/* HF_GUEST_MASK is bit 5 in 6.1 and bit 0 in 6.12; neither has a member that says it. */
	if (in_l2)
		vcpu.hflags = f->opts.v61 ? 1u << 5 : 1u << 0;
	return f->sink->put(f->sink->ctx, MS_REC_VCPU, &vcpu, NULL);
}

static struct ms_err *put_mmu(const struct fake *f, u32 v, u32 i, u32 which)
{
	bool in_l2 = !v && i == 0, ran = v || i != 2;
	u64 low = f->opts.ept ? FAKE_EPTP & 0xfff : 0;
	struct ms_rec_mmu mmu = {
		.have = MS_MMU_HAVE_CPU_ROLE | MS_MMU_HAVE_ROOT_ROLE | MS_MMU_HAVE_PREV |
			MS_MMU_HAVE_PAE_ROOT | MS_MMU_HAVE_PML4_ROOT | MS_MMU_HAVE_PML5_ROOT |
			MS_MMU_HAVE_PDPTRS,
		.kvm = FAKE_KVM(v),
		.vcpu = FAKE_VCPU(v, i),
		.mmu = FAKE_MMU(v, i, which),
		.which = which,
		.root = { .pgd = 0, .hpa = MS_INVALID_PAGE },
	};
	u32 k;

	for (k = 0; k < MS_NR_PREV_ROOTS; k++)
		mmu.prev[k] = (struct ms_rec_root){ .pgd = MS_INVALID_PAGE, .hpa = MS_INVALID_PAGE };
	/* Long mode, four levels, NX, WP; extended: valid, PSE, LMA. */
	mmu.cpu_role = ran ? 0x85ull << 32 | 0x3704 : 0;
	if (which == MS_MMU_ROOT && ran) {
		mmu.root = (struct ms_rec_root){ .pgd = 0x1000,
						 .hpa = FAKE_SPT_PFN(v, root_page(f, false)) << 12 };
		mmu.root_role = f->opts.passthrough ? FAKE_ROLE_TDP5 : FAKE_ROLE_TDP;
	} else if (which == MS_MMU_GUEST && in_l2) {
		mmu.root = (struct ms_rec_root){ .pgd = f->opts.ept ? FAKE_EPTP : FAKE_NCR3,
						 .hpa = FAKE_SPT_PFN(v, root_page(f, true)) << 12 };
		mmu.prev[0] = (struct ms_rec_root){ .pgd = FAKE_N_PREV_GFN << 12 | low,
						    .hpa = FAKE_SPT_PFN(v, FAKE_N_PREV) << 12 };
		mmu.root_role = f->opts.passthrough ? FAKE_ROLE_NPT02_PASSTHROUGH : nested_role(f);
		/* EPT12 is no paging mode: only valid and execonly. L1's own four levels for NPT12. */
		mmu.cpu_role = f->opts.ept ? 0x3ull << 32 | FAKE_ROLE_EPT02 : 0x85ull << 32 | FAKE_ROLE_NPT02;
	} else if (which != MS_MMU_ROOT) {
		mmu.cpu_role = which == MS_MMU_NESTED && in_l2 ? 0x85ull << 32 | 0x23704 : 0;
	}
	return f->sink->put(f->sink->ctx, MS_REC_MMU, &mmu, NULL);
}

static struct ms_err *put_slot(const struct fake *f, u32 v, s16 id, u16 as_id, u64 gfn, u64 pages, u32 flags)
{
	struct ms_rec_slot slot = {
		.have = MS_SLOT_HAVE_DIRTY_BITMAP | MS_SLOT_HAVE_GENERATION,
		.kvm = FAKE_KVM(v),
		.base_gfn = gfn,
		.nr_pages = pages,
		.hva = FAKE_HVA(gfn),
		.dirty_bitmap = flags & MS_SLOT_LOG_DIRTY ? 0xffffc90000010000ull : 0,
		.generation = FAKE_MMIO_GEN,
		.flags = flags,
		.id = id,
		.as_id = as_id,
	};

	return f->sink->put(f->sink->ctx, MS_REC_SLOT, &slot, NULL);
}

static struct ms_err *put_slots(const struct fake *f, u32 v)
{
	struct ms_err *err = put_slot(f, v, FAKE_SLOT_RAM, 0, 0, 1024, 0);

	if (!err)
		err = put_slot(f, v, FAKE_SLOT_RAM, 1, 0, 1024, 0);
	if (err || v)
		return err;
	err = put_slot(f, v, FAKE_SLOT_RO, 0, FAKE_RO_GFN, 512, MS_SLOT_READONLY);
	if (!err)
		err = put_slot(f, v, FAKE_SLOT_LOG, 0, FAKE_LOG_GFN, 512, MS_SLOT_LOG_DIRTY);
	if (!err)
		err = put_slot(f, v, FAKE_SLOT_DELETED, 0, FAKE_DELETED_GFN, 256, MS_SLOT_INVALID);
	if (!err && f->opts.extra_pages)
		err = put_slot(f, v, FAKE_SLOT_EXTRA, 0, FAKE_EXTRA_GFN, 512ull * f->opts.extra_pages, 0);
	return err;
}

static struct ms_err *put_details(struct fake *f, u32 v)
{
	u32 what = f->want->what, nr = v ? 1 : FAKE_NR_VCPUS, i, which;
	struct ms_err *err = put_fds(f, v);

	for (i = 0; !err && (what & MS_WANT_VCPUS) && i < nr; i++)
		err = put_vcpu(f, v, i);
	if (!err && (what & MS_WANT_SLOTS))
		err = put_slots(f, v);
	for (i = 0; !err && (what & MS_WANT_MMUS) && i < nr; i++)
		for (which = MS_MMU_ROOT; !err && which <= MS_MMU_NESTED; which++)
			err = put_mmu(f, v, i, which);
	if (!err && (what & (MS_WANT_SPS | MS_WANT_SPTES)))
		err = put_walks(f, v);
	return err;
}

/* --- the target --- */

static struct ms_err *fake_read(struct ms_target *target, const struct ms_want *want,
				const struct ms_sink *sink)
{
	struct fake *f = target->priv;
	struct ms_err *err;
	u32 v;

	f->want = want;
	f->sink = sink;
	f->nr_pages = 0;
	memset(&f->walk, 0, sizeof(f->walk));
	err = put_host(f);
	for (v = 0; !err && v < FAKE_NR_VMS; v++)
		err = put_vm(f, v);
	for (v = 0; !err && want->what && v < FAKE_NR_VMS && !(f->walk.flags & MS_WALK_BROKEN); v++)
		if (!want->kvm || want->kvm == FAKE_KVM(v))
			err = put_details(f, v);
	return err;
}

static void fake_close(struct ms_target *target)
{
	free(target->priv);
}

static const struct ms_target_ops fake_ops = {
	.name = "fake",
	.summary = "a made-up host",
	.close = fake_close,
	.read = fake_read,
};

struct ms_err *fake_open(const struct fake_opts *opts, struct ms_target **ret)
{
	struct ms_target *target;
	struct fake *f;
	const char *owner = opts->owner ? opts->owner : "fake-vmm";

	if (opts->passthrough && opts->ept)
		return ms_err_new(MS_ERR_USAGE, "fake: passthrough roots are NPT's");
	if (opts->extra_pages > FAKE_EXTRA_MAX)
		return ms_err_new(MS_ERR_USAGE, "fake: at most %u extra pages", FAKE_EXTRA_MAX);
	target = calloc(1, sizeof(*target));
	f = calloc(1, sizeof(*f));
	if (!target || !f) {
		free(target);
		free(f);
		return ms_err_nomem();
	}
	f->opts = *opts;
	f->opts.owner = NULL;
	memcpy(f->owner, owner, strnlen(owner, sizeof(f->owner) - 1));
	f->np = opts->v61 ? 0 : BIT(63);
	target->ops = &fake_ops;
	strcpy(target->spec, "fake");
	target->priv = f;
	*ret = target;
	return NULL;
}
