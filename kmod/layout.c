// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where the members of KVM's private structures lie, as user space found them in BTF or DWARF. What is wrong here would
 * be read from the wrong place of a real structure: hence what can be checked without a page is checked here, and
 * exact.c checks each page against its own table.
 */
#include <linux/slab.h>

#include "kmod/mmuscope.h"

static const struct {
	u8 bytes; /* 0: 4 or 8 */
	u8 desc; /* of struct pte_list_desc, else of struct kvm_mmu_page */
} fields[MMUSCOPE_F_NR] = {
#define FIELD(id, size) [MMUSCOPE_F_##id] = { size, #id[0] == 'd' },
	MMUSCOPE_FIELDS(FIELD)
#undef FIELD
};

/* What must be there; of each of these one, where there are two names. */
static const enum mmuscope_field needed[][2] = {
	{ MMUSCOPE_F_sp_link, MMUSCOPE_F_sp_link },
	{ MMUSCOPE_F_sp_hash_link, MMUSCOPE_F_sp_hash_link },
	{ MMUSCOPE_F_sp_tdp_mmu_page, MMUSCOPE_F_sp_tdp_mmu_page },
	{ MMUSCOPE_F_sp_role, MMUSCOPE_F_sp_role },
	{ MMUSCOPE_F_sp_gfn, MMUSCOPE_F_sp_gfn },
	{ MMUSCOPE_F_sp_spt, MMUSCOPE_F_sp_spt },
	{ MMUSCOPE_F_sp_parent_ptes, MMUSCOPE_F_sp_parent_ptes },
	{ MMUSCOPE_F_sp_ptep, MMUSCOPE_F_sp_ptep },
	{ MMUSCOPE_F_sp_lpage_disallowed, MMUSCOPE_F_sp_nx_huge_page_disallowed },
	{ MMUSCOPE_F_desc_more, MMUSCOPE_F_desc_more },
	{ MMUSCOPE_F_desc_spte_count, MMUSCOPE_F_desc_spte_count },
	{ MMUSCOPE_F_desc_sptes, MMUSCOPE_F_desc_sptes },
};

/* A page has a list of parents, or one: a union since the TDP MMU. */
static bool may_share(enum mmuscope_field a, enum mmuscope_field b)
{
	return a == MMUSCOPE_F_sp_parent_ptes && b == MMUSCOPE_F_sp_ptep;
}

/* The first member that cannot lie where it is said to, MMUSCOPE_F_NR for a size, -1 for none. */
static int bad_member(const struct mmuscope_layout *l)
{
	unsigned int a, b;

	if (!l->sp_bytes || l->sp_bytes > MMUSCOPE_TYPE_MAX || !l->desc_bytes ||
	    l->desc_bytes > MMUSCOPE_TYPE_MAX)
		return MMUSCOPE_F_NR;
	for (a = 0; a < ARRAY_SIZE(needed); a++)
		if (!mmuscope_has(l, needed[a][0]) && !mmuscope_has(l, needed[a][1]))
			return needed[a][0];
	for (a = 0; a < MMUSCOPE_F_NR; a++) {
		const unsigned int bytes = l->bytes[a], whole = fields[a].desc ? l->desc_bytes : l->sp_bytes;

		if (!mmuscope_has(l, a))
			continue;
		if (fields[a].bytes ? bytes != fields[a].bytes : bytes != 4 && bytes != 8)
			return a;
		if (l->off[a] + bytes > whole || l->off[a] % min(bytes & -bytes, 8u))
			return a;
		for (b = a + 1; b < MMUSCOPE_F_NR; b++)
			if (mmuscope_has(l, b) && fields[a].desc == fields[b].desc && !may_share(a, b) &&
			    l->off[a] < l->off[b] + l->bytes[b] && l->off[b] < l->off[a] + bytes)
				return b;
	}
	return -1;
}

static int run_layout(struct mmuscope_file *file, void *arg)
{
	struct mmuscope_layout *l = arg;
	unsigned int i;
	int bad;

	if (file->layout)
		return -EALREADY;
	if (l->bad || l->pad)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(l->pad2); i++)
		if (l->pad2[i])
			return -EINVAL;
	bad = bad_member(l);
	if (bad >= 0) {
		l->bad = bad;
		return -EINVAL;
	}
	file->layout = kmemdup(l, sizeof(*l), GFP_KERNEL_ACCOUNT);
	return file->layout ? 0 : -ENOMEM;
}

static void layout_release(struct mmuscope_file *file)
{
	kfree(file->layout);
	file->layout = NULL;
}

static const struct mmuscope_request layout_requests[] = {
	{ MMUSCOPE_LAYOUT, run_layout },
};

const struct mmuscope_part mmuscope_layout_part = {
	.requests = layout_requests,
	.nr_requests = ARRAY_SIZE(layout_requests),
	.release = layout_release,
};
