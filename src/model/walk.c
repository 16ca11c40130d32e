/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Questions to a model: finding VMs and pages, what an entry maps, roots, and the walk below one. Reads,
 * never changes.
 */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/*
 * How many pages one visit may enter. A page is met again where two addresses share a guest table, which is
 * rare; a hostile file can make 512^4 paths of five pages.
 */
#define VISIT_PAGES_LEAST 4096u
#define VISIT_PAGES_EACH 16u
#define CANDIDATES_SHOWN 8u

static void candidate_put(struct ms_buf *buf, const struct ms_vm *vm)
{
	if (vm->rec.have & MS_VM_HAVE_OWNER) {
		ms_buf_printf(buf, "%d ", vm->rec.pid);
		ms_buf_put_clean(buf, vm->rec.comm, strnlen(vm->rec.comm, sizeof(vm->rec.comm)));
		ms_buf_putc(buf, ' ');
	}
	ms_buf_printf(buf, "kvm:0x%llx", (unsigned long long)vm->rec.kvm);
}

static struct ms_err *candidates(const struct ms_model *model,
				 bool (*match)(const struct ms_vm *vm, const void *what), const void *what,
				 struct ms_err *err)
{
	struct ms_buf buf = { 0 };
	size_t i, nr = 0;

	for (i = 0; i < model->nr_vms; i++) {
		if (match && !match(&model->vms[i], what))
			continue;
		if (nr < CANDIDATES_SHOWN) {
			ms_buf_puts(&buf, nr ? "; " : "");
			candidate_put(&buf, &model->vms[i]);
		}
		nr++;
	}
	if (nr > CANDIDATES_SHOWN)
		ms_buf_printf(&buf, "; and %zu more", nr - CANDIDATES_SHOWN);
	err = ms_err_hint(err, "%s: %s", nr ? "name one with --vm" : "this target has no VM",
			  nr ? ms_buf_str(&buf) : "nothing to look at");
	ms_buf_deinit(&buf);
	return err;
}

static bool vm_has_name(const struct ms_vm *vm, const void *what)
{
	const char *name = what;

	return vm->rec.have & MS_VM_HAVE_OWNER && strlen(name) < sizeof(vm->rec.comm) + 1 &&
	       !strncmp(vm->rec.comm, name, sizeof(vm->rec.comm));
}

static bool vm_has_pid(const struct ms_vm *vm, const void *what)
{
	u64 pid = *(const u64 *)what;
	size_t i;

	if (vm->rec.have & MS_VM_HAVE_OWNER && vm->rec.pid >= 0 && (u64)vm->rec.pid == pid)
		return true;
	for (i = 0; i < vm->nr_fds; i++)
		if (vm->fds[i].pid >= 0 && (u64)vm->fds[i].pid == pid)
			return true;
	return false;
}

static bool vm_has_kvm(const struct ms_vm *vm, const void *what)
{
	return vm->rec.kvm == *(const u64 *)what;
}

static bool parse_number(const char *words, int base, u64 *ret)
{
	char *end;

	/* strtoull() takes signs and blanks, which are no part of a name here. */
	if (base == 10 ? strspn(words, "0123456789") != strlen(words)
		       : strspn(words, "0123456789abcdefABCDEF") != strlen(words))
		return false;
	if (!*words || strlen(words) > (base == 10 ? 19 : 16))
		return false;
	*ret = strtoull(words, &end, base);
	return !*end;
}

struct ms_err *ms_model_find_vm(const struct ms_model *model, const char *words, struct ms_vm **ret)
{
	bool (*match)(const struct ms_vm *vm, const void *what) = NULL;
	const void *what = words;
	struct ms_vm *found = NULL;
	size_t i, nr = 0;
	u64 number;

	if (words && !strncmp(words, "kvm:", 4)) {
		if (strncmp(words + 4, "0x", 2) || !parse_number(words + 6, 16, &number))
			return ms_err_hint(ms_err_new(MS_ERR_USAGE, "--vm %s: not an address", words),
					   "write kvm:0x and hexadecimal digits, as `mmuscope vms' shows it");
		match = vm_has_kvm;
		what = &number;
	} else if (words && parse_number(words, 10, &number)) {
		match = vm_has_pid;
		what = &number;
	} else if (words) {
		match = vm_has_name;
	}
	for (i = 0; i < model->nr_vms; i++) {
		if (match && !match(&model->vms[i], what))
			continue;
		if (!nr++)
			found = &model->vms[i];
	}
	if (nr == 1) {
		*ret = found;
		return NULL;
	}
	if (nr)
		return candidates(model, match, what,
				  words ? ms_err_new(MS_ERR_USAGE, "--vm %s: %zu VMs match", words, nr)
					: ms_err_new(MS_ERR_USAGE, "there are %zu VMs: which one?", nr));
	if (words)
		return candidates(model, NULL, NULL, ms_err_new(MS_ERR_USAGE, "--vm %s: no such VM", words));
	return ms_err_hint(ms_err_new(MS_ERR_USAGE, "%s: no VM is there", model->target),
			   "start a virtual machine, or look at a snapshot with -T snap:FILE");
}

struct ms_sp *ms_vm_sp(const struct ms_vm *vm, u64 sp_addr)
{
	u32 index = sp_addr ? ms_map_get(&vm->by_sp, sp_addr) : MS_MAP_NONE;

	return index == MS_MAP_NONE ? NULL : &vm->sps[index];
}

struct ms_sp *ms_vm_sp_by_table(const struct ms_vm *vm, u64 spt_pfn)
{
	u32 index = spt_pfn + 1 ? ms_map_get(&vm->by_spt, spt_pfn + 1) : MS_MAP_NONE;

	return index == MS_MAP_NONE ? NULL : &vm->sps[index];
}

struct ms_sp *ms_sp_child(const struct ms_model *model, const struct ms_vm *vm, const struct ms_sp *sp,
			  u32 idx)
{
	u64 raw;

	if (!sp->tables || idx >= MS_SPTES)
		return NULL;
	raw = sp->tables->sptes[idx];
	if (spte_class(&model->profile, raw, sp->level) != SPTE_CLASS_TABLE)
		return NULL;
	return ms_vm_sp_by_table(vm, spte_pfn(&model->profile, raw));
}

const struct ms_rec_slot *ms_vm_slot(const struct ms_vm *vm, u32 as_id, u64 gfn)
{
	size_t lo = 0, hi = vm->nr_slots, mid;
	const struct ms_rec_slot *slot;

	/* First slot behind (as_id, gfn); visible slots do not overlap, invalid ones may lie between. */
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		slot = &vm->slots[mid];
		if (slot->as_id < as_id || (slot->as_id == as_id && slot->base_gfn <= gfn))
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo-- > 0) {
		slot = &vm->slots[lo];
		if (slot->as_id != as_id)
			return NULL;
		if (slot->flags & MS_SLOT_INVALID)
			continue;
		return gfn - slot->base_gfn < slot->nr_pages ? slot : NULL;
	}
	return NULL;
}

u64 ms_level_pages(u32 level)
{
	if (level < SPTE_LEVEL_MIN || level > SPTE_LEVEL_MAX + 1)
		return 0;
	return 1ull << (SPTE_LEVEL_BITS * (level - 1));
}

enum ms_gfn_source ms_sp_entry_gfn(const struct ms_model *model, const struct ms_sp *sp, u32 idx,
				   u64 *gfn_ret)
{
	const struct role_layout *roles = &model->roles;
	u64 raw;

	if (!sp->tables || idx >= MS_SPTES)
		return MS_GFN_NONE;
	raw = sp->tables->sptes[idx];
	switch (spte_class(&model->profile, raw, sp->level)) {
	case SPTE_CLASS_MMIO:
		*gfn_ret = spte_mmio_gfn(&model->profile, raw);
		return MS_GFN_IN_SPTE;
	case SPTE_CLASS_LEAF:
		break;
	case SPTE_CLASS_UNKNOWN:
	case SPTE_CLASS_NONPRESENT:
	case SPTE_CLASS_FROZEN:
	case SPTE_CLASS_TABLE:
		return MS_GFN_NONE;
	}
	if (role_get(roles, sp->rec.role, ROLE_PASSTHROUGH) || !role_has(roles, ROLE_DIRECT))
		return MS_GFN_NONE;
	if (role_get(roles, sp->rec.role, ROLE_DIRECT)) {
		*gfn_ret = sp->rec.gfn + idx * ms_level_pages(sp->level);
		return MS_GFN_DIRECT;
	}
	if (!(sp->rec.have & MS_SP_HAVE_TRANSLATIONS))
		return MS_GFN_NONE;
	*gfn_ret = sp->tables->translations[idx] >> SPTE_PAGE_SHIFT;
	return MS_GFN_STORED;
}

/* --- roots --- */

struct root_list {
	struct ms_root *roots;
	size_t nr, cap;
	struct ms_map named; /* root pages that some MMU names, by address */
};

static bool root_add(struct root_list *list, const struct ms_root *root)
{
	struct ms_root *grown = ms_grow(list->roots, &list->cap, list->nr + 1, sizeof(*grown));

	if (!grown)
		return false;
	list->roots = grown;
	list->roots[list->nr++] = *root;
	return !root->sp || !root->mmu || ms_map_put(&list->named, root->sp->rec.sp, 1);
}

/* A page that is a root by its own record: counted as one, or a TDP MMU table without parent. */
static bool sp_is_root(const struct ms_sp *sp)
{
	if (sp->rec.tdp_mmu_page)
		return sp->rec.have & MS_SP_HAVE_PARENTS && !sp->rec.parents;
	return sp->rec.have & MS_SP_HAVE_ROOT_COUNT && sp->rec.root_count;
}

/* Can it be one at all? What cannot be told counts as yes. */
static bool sp_may_be_root(const struct ms_sp *sp)
{
	return sp_is_root(sp) ||
	       !(sp->rec.have & (sp->rec.tdp_mmu_page ? MS_SP_HAVE_PARENTS : MS_SP_HAVE_ROOT_COUNT));
}

static bool root_add_rec(struct root_list *list, const struct ms_vm *vm, const struct ms_rec_mmu *mmu,
			 const struct ms_rec_root *rec, s32 prev)
{
	struct ms_root root = { .mmu = mmu, .hpa = rec->hpa, .pgd = rec->pgd, .prev = prev };

	if (rec->hpa == MS_INVALID_PAGE)
		return true;
	root.sp = ms_vm_sp_by_table(vm, rec->hpa >> SPTE_PAGE_SHIFT);
	/*
	 * The MMU was read before the pages: its root may have gone since, and the memory be another page's
	 * table.
	 */
	if (root.sp && !sp_may_be_root(root.sp))
		root.sp = NULL;
	return root_add(list, &root);
}

struct ms_err *ms_vm_roots(const struct ms_model *model, const struct ms_vm *vm, struct ms_root **ret,
			   size_t *nr_ret)
{
	struct root_list list = { 0 };
	const struct ms_rec_mmu *mmu;
	struct ms_root root;
	bool ok = true;
	size_t i;
	s32 p;

	(void)model;
	for (i = 0; i < vm->nr_mmus && ok; i++) {
		mmu = &vm->mmus[i];
		/*
		 * It owns no shadow pages (SEMANTICS A1): its root is what it walks, and that is the
		 * guest's.
		 */
		if (mmu->which == MS_MMU_NESTED)
			continue;
		ok = root_add_rec(&list, vm, mmu, &mmu->root, -1);
		for (p = 0; p < MS_NR_PREV_ROOTS && ok && mmu->have & MS_MMU_HAVE_PREV; p++)
			ok = root_add_rec(&list, vm, mmu, &mmu->prev[p], p);
	}
	for (i = 0; i < vm->nr_sps && ok; i++) {
		if (!sp_is_root(&vm->sps[i]) || ms_map_get(&list.named, vm->sps[i].rec.sp) != MS_MAP_NONE)
			continue;
		root = (struct ms_root){ .sp = &vm->sps[i],
					 .hpa = vm->sps[i].rec.spt_pfn << SPTE_PAGE_SHIFT,
					 .prev = -1 };
		ok = root_add(&list, &root);
	}
	ms_map_deinit(&list.named);
	if (!ok) {
		free(list.roots);
		return ms_err_nomem();
	}
	*ret = list.roots;
	*nr_ret = list.nr;
	return NULL;
}

/* --- visiting --- */

struct visitor {
	const struct ms_model *model;
	const struct ms_vm *vm;
	u32 class_mask;
	u64 pages_left; /* to enter */
	bool canonical;
	bool (*visit)(void *ctx, const struct ms_visit *v);
	void *ctx;
};

static u64 canonical(u64 address, u32 root_level)
{
	u32 top = SPTE_PAGE_SHIFT + SPTE_LEVEL_BITS * root_level - 1;

	if (root_level < 4 || root_level > SPTE_LEVEL_MAX || !(address >> top & 1))
		return address;
	return address | ~0ull << top;
}

static bool wanted(const struct visitor *w, const struct ms_sp *sp)
{
	u32 cls;

	for (cls = 0; cls < SPTE_NR_CLASSES; cls++)
		if (w->class_mask & 1u << cls && sp->counts.by_class[cls])
			return true;
	return sp->counts.by_class[SPTE_CLASS_TABLE] != 0;
}

/* Recursion is as deep as levels are left: a child is entered only when it is exactly one level below. */
static bool visit_page(struct visitor *w, const struct ms_sp *sp, u32 root_level, u64 base, u32 state)
{
	const struct spte_profile *p = &w->model->profile;
	const struct ms_sp *child;
	enum spte_class cls;
	struct ms_visit v = { .state = state > sp->rec.state ? state : sp->rec.state };
	u32 i;

	if (!sp->tables || !wanted(w, sp))
		return true;
	if (!w->pages_left--)
		return false;
	for (i = 0; i < MS_SPTES; i++) {
		v.spte = sp->tables->sptes[i];
		cls = v.spte == p->nonpresent_value ? SPTE_CLASS_NONPRESENT
						    : spte_class(p, v.spte, sp->level);
		v.address = base + i * (ms_level_pages(sp->level) << SPTE_PAGE_SHIFT);
		if (w->class_mask & 1u << cls) {
			v.sp = sp;
			v.idx = i;
			v.depth = root_level - sp->level;
			if (w->canonical)
				v.address = canonical(v.address, root_level);
			if (!w->visit(w->ctx, &v))
				return false;
			v.address = base + i * (ms_level_pages(sp->level) << SPTE_PAGE_SHIFT);
		}
		if (cls != SPTE_CLASS_TABLE)
			continue;
		child = ms_vm_sp_by_table(w->vm, spte_pfn(p, v.spte));
		if (child && child->level + 1 == sp->level && child->level &&
		    !visit_page(w, child, root_level, v.address, v.state))
			return false;
	}
	return true;
}

bool ms_sp_visit(const struct ms_model *model, const struct ms_vm *vm, const struct ms_sp *root,
		 u32 class_mask, bool (*visit)(void *ctx, const struct ms_visit *v), void *ctx)
{
	struct visitor w = { .model = model, .vm = vm, .class_mask = class_mask, .visit = visit, .ctx = ctx };
	const struct role_layout *roles = &model->roles;
	u32 role = root->rec.role;
	u64 base = 0;

	if (root->level < SPTE_LEVEL_MIN || root->level > SPTE_LEVEL_MAX)
		return true;
	w.pages_left = VISIT_PAGES_LEAST + (u64)VISIT_PAGES_EACH * vm->nr_sps;
	w.canonical = !strcmp(ms_root_address_kind(model, root), "GVA");
	/*
	 * A PAE root's parts are pages of their own: a direct one knows its first frame, a 4-byte one its
	 * quadrant (SEMANTICS C5).
	 */
	if (role_get(roles, role, ROLE_DIRECT))
		base = root->rec.gfn << SPTE_PAGE_SHIFT;
	else if (role_get(roles, role, ROLE_HAS_4_BYTE_GPTE) && root->level == 2)
		base = (u64)role_get(roles, role, ROLE_QUADRANT) << 30;
	return visit_page(&w, root, root->level, base, MS_SP_CONFIRMED);
}

/* --- names --- */

const char *ms_sp_state_name(u32 state)
{
	static const char *const names[] = {
		[MS_SP_CONFIRMED] = "confirmed",
		[MS_SP_TORN] = "torn",
		[MS_SP_UNLINKED] = "unlinked",
		[MS_SP_UNREADABLE] = "unreadable",
	};

	return state <= MS_SP_UNREADABLE ? names[state] : "?";
}

const char *ms_mmu_name(u32 which)
{
	static const char *const names[] = {
		[MS_MMU_ROOT] = "root", [MS_MMU_GUEST] = "guest", [MS_MMU_NESTED] = "nested"
	};

	return which <= MS_MMU_NESTED ? names[which] : "?";
}

const char *ms_root_address_kind(const struct ms_model *model, const struct ms_sp *sp)
{
	const struct role_layout *roles = &model->roles;

	if (role_get(roles, sp->rec.role, ROLE_DIRECT))
		return "GPA";
	/*
	 * Without two-dimensional paging KVM offers L1 no nested paging, so L2's pages are shadowed by its
	 * virtual addresses.
	 */
	if (model->host.have & MS_HOST_HAVE_TDP_ENABLED && !model->host.tdp_enabled)
		return "GVA";
	return role_get(roles, sp->rec.role, ROLE_GUEST_MODE) ? "nGPA" : "GVA";
}
