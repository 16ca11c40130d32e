/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records in memory behind the target interface: see small.h. Encoded with the built-in npt-6.1 profile. */
#include "small.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "spte/role.h"
#include "spte/spte.h"

#define ROLE_TDP(level) (0x3780u | (level)) /* direct, access 7, nx, wp */
#define ROLE_NESTED(level) (0x21700u | (level)) /* guest_mode, access 7, nx */

static const struct spte_profile *npt(void)
{
	return spte_profile_by_name("npt-6.1");
}

u64 small_leaf(u64 pfn, unsigned int level, int h, int m, int w)
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
		.host_writable = h,
		.mmu_writable = m,
		.huge = level > 1,
		.memtype = 6,
	};
	u64 raw = 0;

	if (spte_encode(npt(), &info, &raw))
		abort();
	return raw;
}

u64 small_table(u64 pfn)
{
	struct spte_info info = {
		.level = 2,
		.cls = SPTE_CLASS_TABLE,
		.pfn = pfn,
		.read_user = true,
		.writable = true,
		.executable = true,
		.accessed_bit = true,
	};
	u64 raw = 0;

	if (spte_encode(npt(), &info, &raw))
		abort();
	return raw;
}

u64 small_mmio(u64 gfn, u32 gen)
{
	struct spte_info info = {
		.level = 1, .cls = SPTE_CLASS_MMIO, .mmio_gfn = gfn, .mmio_gen = gen, .mmio_access = 6
	};
	u64 raw = 0;

	if (spte_encode(npt(), &info, &raw))
		abort();
	return raw;
}

void small_add(struct small *fake, enum ms_rec_type type, const void *rec, const struct ms_sp_tables *tables)
{
	struct small_item *grown = ms_grow(fake->items, &fake->cap, fake->nr + 1, sizeof(*grown));
	size_t bytes = ms_rec_size(type);

	if (!grown || !bytes)
		abort();
	fake->items = grown;
	grown[fake->nr] = (struct small_item){ .type = type, .rec = malloc(bytes) };
	memcpy(grown[fake->nr].rec, rec, bytes);
	if (tables) {
		grown[fake->nr].tables = malloc(sizeof(*tables));
		*grown[fake->nr].tables = *tables;
	}
	fake->nr++;
}

struct small_item *small_find(struct small *fake, enum ms_rec_type type, size_t i)
{
	size_t at;

	for (at = 0; at < fake->nr; at++)
		if (fake->items[at].type == type && !i--)
			return &fake->items[at];
	return NULL;
}

static u64 rec_kvm(const struct small_item *item)
{
	switch (item->type) {
	case MS_REC_FD:
		return ((struct ms_rec_fd *)item->rec)->kvm;
	case MS_REC_VCPU:
		return ((struct ms_rec_vcpu *)item->rec)->kvm;
	case MS_REC_SLOT:
		return ((struct ms_rec_slot *)item->rec)->kvm;
	case MS_REC_MMU:
		return ((struct ms_rec_mmu *)item->rec)->kvm;
	case MS_REC_SP:
		return ((struct ms_rec_sp *)item->rec)->kvm;
	case MS_REC_WALK:
		return ((struct ms_rec_walk *)item->rec)->kvm;
	case MS_REC_RMAP:
		return ((struct ms_rec_rmap *)item->rec)->kvm;
	case MS_REC_RMAP_DESC:
		return ((struct ms_rec_rmap_desc *)item->rec)->kvm;
	case MS_REC_GFN:
		return ((struct ms_rec_gfn *)item->rec)->kvm;
	case MS_REC_RMAPS:
		return ((struct ms_rec_rmaps *)item->rec)->kvm;
	case MS_REC_PIN:
		return ((struct ms_rec_pin *)item->rec)->kvm;
	case MS_REC_GTABLE:
		return ((struct ms_rec_gtable *)item->rec)->kvm;
	case MS_REC_CHANGED:
		return ((struct ms_rec_changed *)item->rec)->kvm;
	case MS_REC_EXACT:
		return ((struct ms_rec_exact *)item->rec)->kvm;
	default:
		return 0;
	}
}

static bool wanted(const struct small_item *item, const struct ms_want *want)
{
	static const u32 bits[] = { [MS_REC_VCPU] = MS_WANT_VCPUS,
				    [MS_REC_SLOT] = MS_WANT_SLOTS,
				    [MS_REC_MMU] = MS_WANT_MMUS,
				    [MS_REC_SP] = MS_WANT_SPS,
				    [MS_REC_WALK] = MS_WANT_SPS,
				    [MS_REC_RMAP] = MS_WANT_RMAPS,
				    [MS_REC_RMAP_DESC] = MS_WANT_RMAPS,
				    [MS_REC_GFN] = MS_WANT_RMAPS,
				    [MS_REC_RMAPS] = MS_WANT_RMAPS,
				    [MS_REC_PIN] = MS_WANT_PINS,
				    [MS_REC_GTABLE] = MS_WANT_GUEST,
				    [MS_REC_CHANGED] = MS_WANT_CHANGED,
				    [MS_REC_EXACT] = MS_WANT_SPS | MS_WANT_RMAPS };

	if (item->type < MS_REC_FD || (item->type == MS_REC_FD && want->what))
		return true;
	return want->what & bits[item->type] && (!want->kvm || want->kvm == rec_kvm(item));
}

static struct ms_err *small_read(struct ms_target *target, const struct ms_want *want,
				 const struct ms_sink *sink)
{
	struct small *fake = target->priv;
	struct ms_err *err = NULL;
	size_t i;

	fake->reads++;
	for (i = 0; i < fake->nr && !err; i++)
		if (wanted(&fake->items[i], want))
			err = sink->put(sink->ctx, fake->items[i].type, fake->items[i].rec,
					want->what & MS_WANT_SPTES ? fake->items[i].tables : NULL);
	return err;
}

static void small_close(struct ms_target *target)
{
	(void)target;
}

static const struct ms_target_ops small_ops = {
	.name = "fake",
	.summary = "records in memory",
	.close = small_close,
	.read = small_read,
};

void small_init(struct small *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->target.ops = &small_ops;
	fake->target.priv = fake;
	strcpy(fake->target.spec, "fake:/secret/path");
}

struct ms_target *small_open(struct small *fake)
{
	struct ms_target *target = malloc(sizeof(*target));

	*target = fake->target;
	target->priv = fake;
	return target;
}

void small_end(struct small *fake)
{
	size_t i;

	for (i = 0; i < fake->nr; i++) {
		free(fake->items[i].rec);
		free(fake->items[i].tables);
	}
	free(fake->items);
}

void small_host(struct ms_rec_host *ret)
{
	const struct role_layout *layout;
	unsigned int id, word;

	memset(ret, 0, sizeof(*ret));
	ret->have = MS_HOST_HAVE_TDP_ENABLED | MS_HOST_HAVE_TDP_MMU | MS_HOST_HAVE_NP_VALUE |
		    MS_HOST_HAVE_ROLE_FIELDS | MS_HOST_HAVE_NX_HUGE;
	ret->time_ns = 1700000000ull * 1000000000ull;
	strcpy(ret->release, SMALL_RELEASE);
	strcpy(ret->target, "fake");
	ret->hv = MS_HV_SVM;
	ret->tdp_enabled = ret->tdp_mmu_enabled = 1;
	ret->nx_huge_pages = -1;
	for (id = 0; id < SPTE_NR_MASKS; id++) {
		ret->masks[id] = spte_mask_get(&npt()->m, id);
		ret->have |= MS_HOST_HAVE_MASK(id);
	}
	for (word = ROLE_BASE; word <= ROLE_EXT; word++) {
		layout = role_layout_builtin(word);
		for (id = 0; id < ROLE_NR_FIELDS; id++) {
			struct ms_rec_role_field *f = &ret->role_fields[ret->nr_role_fields];

			if (!role_has(layout, id))
				continue;
			strcpy(f->name, role_field_name(id));
			f->bit = (u8)(layout->f[id].offset + 32 * (word == ROLE_EXT));
			f->width = layout->f[id].width;
			ret->nr_role_fields++;
		}
	}
}

void small_sp(struct ms_rec_sp *ret, unsigned int n, unsigned int role, unsigned long long gfn)
{
	*ret = (struct ms_rec_sp){
		.have = MS_SP_HAVE_SPTES | MS_SP_HAVE_PARENTS | MS_SP_HAVE_ROOT_COUNT | MS_SP_HAVE_UNSYNC |
			MS_SP_HAVE_GEN,
		.kvm = SMALL_KVM,
		.sp = SMALL_SP(n),
		.gfn = gfn,
		.spt_pfn = SMALL_SPT_PFN(n),
		.parents = SMALL_SP(n) + 8,
		.order = n,
		.role = role,
	};
}

static void add_vms(struct small *fake)
{
	struct ms_rec_vm vm = {
		.have = MS_VM_HAVE_OWNER | MS_VM_HAVE_USED | MS_VM_HAVE_ONLINE_VCPUS | MS_VM_HAVE_VALID_GEN |
			MS_VM_HAVE_LEGACY | MS_VM_HAVE_TDP_MMU | MS_VM_HAVE_MM,
		.kvm = SMALL_KVM,
		.mm = 0xffff8881cccc0000ull,
		.pid = SMALL_PID,
		.comm = SMALL_NAME,
		.n_used_mmu_pages = 9,
		.online_vcpus = 1,
	};
	struct ms_rec_fd fd = {
		.kvm = SMALL_KVM, .pid = SMALL_PID, .fd = 11, .kind = MS_FD_VM, .comm = SMALL_NAME
	};

	small_add(fake, MS_REC_VM, &vm, NULL);
	vm.kvm = SMALL_KVM2;
	vm.pid = SMALL_PID2;
	memcpy(vm.comm, SMALL_NAME2, sizeof(SMALL_NAME2));
	vm.n_used_mmu_pages = 0;
	vm.online_vcpus = 0;
	small_add(fake, MS_REC_VM, &vm, NULL);
	small_add(fake, MS_REC_FD, &fd, NULL);
	fd.vcpu = SMALL_VCPU;
	fd.fd = 12;
	fd.kind = MS_FD_VCPU;
	small_add(fake, MS_REC_FD, &fd, NULL);
}

static void add_vcpu(struct small *fake)
{
	struct ms_rec_vcpu vcpu = {
		.have = MS_VCPU_HAVE_CPU | MS_VCPU_HAVE_MODE | MS_VCPU_HAVE_CR3 | MS_VCPU_HAVE_MMU |
			MS_VCPU_HAVE_GUEST_MODE,
		.kvm = SMALL_KVM,
		.vcpu = SMALL_VCPU,
		.cpu = 1,
		.mode = 1,
		.cr3 = 0x1000,
		.mmu = SMALL_MMU + 0x100,
		.walk_mmu = SMALL_MMU + 0x200,
		.guest_mode = 1,
	};
	struct ms_rec_mmu mmu = {
		.have = MS_MMU_HAVE_CPU_ROLE | MS_MMU_HAVE_ROOT_ROLE | MS_MMU_HAVE_PREV,
		.kvm = SMALL_KVM,
		.vcpu = SMALL_VCPU,
		.prev = { { 0, MS_INVALID_PAGE }, { 0, MS_INVALID_PAGE }, { 0, MS_INVALID_PAGE } },
	};
	u32 which;

	small_add(fake, MS_REC_VCPU, &vcpu, NULL);
	for (which = 0; which <= MS_MMU_NESTED; which++) {
		mmu.which = which;
		mmu.mmu = SMALL_MMU + which * 0x100;
		mmu.root_role = which == MS_MMU_ROOT ? ROLE_TDP(4) : ROLE_NESTED(4);
		mmu.cpu_role = 0x8100000000ull | mmu.root_role;
		mmu.root.hpa = which == MS_MMU_ROOT    ? SMALL_SPT_PFN(1) << 12
			       : which == MS_MMU_GUEST ? SMALL_SPT_PFN(5) << 12
						       : MS_INVALID_PAGE;
		mmu.root.pgd = which * 0x5000;
		small_add(fake, MS_REC_MMU, &mmu, NULL);
	}
}

static void add_slots(struct small *fake)
{
	struct ms_rec_slot slot = {
		.have = MS_SLOT_HAVE_DIRTY_BITMAP, .kvm = SMALL_KVM, .nr_pages = 0x800, .hva = SMALL_HVA
	};

	small_add(fake, MS_REC_SLOT, &slot, NULL);
	slot.base_gfn = 0x1000;
	slot.nr_pages = 0x10;
	slot.hva = SMALL_HVA + 0x10000000;
	slot.flags = MS_SLOT_READONLY;
	slot.id = 1;
	small_add(fake, MS_REC_SLOT, &slot, NULL);
}

static void add_tdp(struct small *fake)
{
	struct ms_sp_tables tables;
	struct ms_rec_sp sp;
	unsigned int n;

	for (n = 1; n <= 4; n++) {
		memset(&tables, 0, sizeof(tables));
		small_sp(&sp, n, ROLE_TDP(5 - n), 0);
		sp.tdp_mmu_page = 1;
		if (n == 1)
			sp.parents = 0;
		if (n < 4)
			tables.sptes[0] = small_table(SMALL_SPT_PFN(n + 1));
		if (n == 3)
			tables.sptes[2] = small_leaf(0x40000, 2, 1, 1, 1);
		if (n == 4) {
			tables.sptes[0] = small_leaf(SMALL_PFN(0), 1, 1, 1, 1);
			tables.sptes[1] = small_leaf(SMALL_PFN(1), 1, 1, 1, 0);
			tables.sptes[2] = small_leaf(SMALL_PFN(2), 1, 1, 0, 0);
			tables.sptes[3] = small_leaf(SMALL_PFN(3), 1, 0, 0, 0);
			tables.sptes[4] = small_mmio(4, 7);
			tables.sptes[5] = npt()->frozen_value;
			tables.sptes[6] = 0x8ull; /* no such thing */
			tables.sptes[511] = small_leaf(SMALL_PFN(511), 1, 1, 1, 1);
		}
		small_add(fake, MS_REC_SP, &sp, &tables);
	}
}

static void add_nested(struct small *fake)
{
	struct ms_sp_tables tables;
	struct ms_rec_sp sp;
	unsigned int n;

	for (n = 5; n <= 8; n++) {
		memset(&tables, 0, sizeof(tables));
		small_sp(&sp, n, ROLE_NESTED(9 - n), 0x200 + n);
		sp.have |= MS_SP_HAVE_TRANSLATIONS | MS_SP_HAVE_UNSYNC_CHILDREN;
		sp.root_count = n == 5;
		if (n < 8)
			tables.sptes[n == 7 ? 3 : 0] = small_table(SMALL_SPT_PFN(n + 1));
		if (n == 8) {
			tables.sptes[16] = small_leaf(SMALL_PFN(0x20), 1, 1, 1, 1);
			tables.translations[16] = 0x20ull << 12 | 7;
			tables.sptes[17] = small_leaf(SMALL_PFN(0x20), 1, 1, 1, 1);
			tables.translations[17] = 0x20ull << 12 | 7;
			sp.unsync = 1;
		}
		small_add(fake, MS_REC_SP, &sp, &tables);
	}
	memset(&tables, 0, sizeof(tables));
	small_sp(&sp, 9, ROLE_NESTED(1), 0x300);
	sp.state = MS_SP_TORN;
	small_add(fake, MS_REC_SP, &sp, &tables);
}

void small_machine(struct small *fake)
{
	struct ms_rec_walk walk = { .kvm = SMALL_KVM, .flags = MS_WALK_LEGACY, .nr_pages = 5, .nr_torn = 1 };
	struct ms_rec_host host;

	small_init(fake);
	small_host(&host);
	small_add(fake, MS_REC_HOST, &host, NULL);
	add_vms(fake);
	add_vcpu(fake);
	add_slots(fake);
	add_tdp(fake);
	add_nested(fake);
	small_add(fake, MS_REC_WALK, &walk, NULL);
	walk.flags = MS_WALK_TDP;
	walk.nr_torn = 0;
	walk.nr_pages = 4;
	small_add(fake, MS_REC_WALK, &walk, NULL);
}
