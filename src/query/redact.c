/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pseudonyms for --redact: what could tell about the host is replaced by kind#N, N counted from 0 in the
 * order in which values are first seen. A hash would be shorter to write and could be undone by trying
 * every frame number or pid.
 */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

enum family {
	FAM_KVM,
	FAM_VCPU,
	FAM_MMU,
	FAM_SP,
	FAM_PTR,
	FAM_HVA,
	FAM_PFN,
	FAM_PID,
	FAM_NAME,
	NR_FAMILIES,
};

static const char *const family_names[NR_FAMILIES] = {
	[FAM_KVM] = "kvm", [FAM_VCPU] = "vcpu", [FAM_MMU] = "mmu", [FAM_SP] = "sp",	[FAM_PTR] = "ptr",
	[FAM_HVA] = "hva", [FAM_PFN] = "pfn",	[FAM_PID] = "pid", [FAM_NAME] = "name",
};

struct ms_redactor {
	struct ms_map seen[NR_FAMILIES]; /* value (never 0) -> number */
	char (*names)[MS_COMM_LEN]; /* by number */
	size_t nr_names, names_cap;
	const struct ms_model *model;
};

struct ms_redactor *redactor_create(void)
{
	return calloc(1, sizeof(struct ms_redactor));
}

void redactor_model(struct ms_redactor *redactor, const struct ms_model *model)
{
	redactor->model = model;
}

void redactor_destroy(struct ms_redactor *redactor)
{
	size_t i;

	if (!redactor)
		return;
	for (i = 0; i < NR_FAMILIES; i++)
		ms_map_deinit(&redactor->seen[i]);
	free(redactor->names);
	free(redactor);
}

static void cell_hide(struct ms_cell *cell)
{
	cell->kind = MS_V_TEXT;
	ms_buf_reset(&cell->text);
	ms_buf_puts(&cell->text, "hidden");
}

static void cell_pseudonym(struct ms_cell *cell, enum family family, u32 number)
{
	cell->kind = MS_V_TEXT;
	ms_buf_reset(&cell->text);
	ms_buf_printf(&cell->text, "%s#%u", family_names[family], number);
}

/* key is not 0. */
static void redact_value(struct ms_redactor *redactor, struct ms_cell *cell, enum family family, u64 key)
{
	struct ms_map *seen = &redactor->seen[family];
	u32 number = ms_map_get(seen, key);

	if (number == MS_MAP_NONE) {
		number = (u32)seen->nr;
		if (!ms_map_put(seen, key, number)) {
			cell_hide(cell);
			return;
		}
	}
	cell_pseudonym(cell, family, number);
}

/* Names are few (one a VM or file); longer ones than the kernel's do not occur. */
static void redact_name(struct ms_redactor *redactor, struct ms_cell *cell)
{
	char name[MS_COMM_LEN] = { 0 };
	void *grown;
	size_t i;

	memcpy(name, ms_buf_str(&cell->text), cell->text.len < sizeof(name) ? cell->text.len : sizeof(name));
	for (i = 0; i < redactor->nr_names; i++)
		if (!memcmp(redactor->names[i], name, sizeof(name)))
			break;
	if (i == redactor->nr_names) {
		grown = ms_grow(redactor->names, &redactor->names_cap, i + 1, sizeof(*redactor->names));
		if (!grown) {
			cell_hide(cell);
			return;
		}
		redactor->names = grown;
		memcpy(redactor->names[redactor->nr_names++], name, sizeof(name));
	}
	cell_pseudonym(cell, FAM_NAME, (u32)i);
}

/* Digits of bits 51:12 become x, unless the value is one that holds no host frame. */
static void redact_spte(struct ms_redactor *redactor, struct ms_cell *cell)
{
	const struct spte_profile *p = redactor->model ? &redactor->model->profile : NULL;

	if (p && (spte_is_nonpresent(p, cell->u) || spte_is_frozen(p, cell->u) ||
		  spte_class(p, cell->u, SPTE_LEVEL_MIN) == SPTE_CLASS_MMIO))
		return;
	cell->kind = MS_V_TEXT;
	ms_buf_reset(&cell->text);
	ms_buf_printf(&cell->text, "0x%03xxxxxxxxxxx%03x", (unsigned int)(cell->u >> 52),
		      (unsigned int)(cell->u & 0xfff));
}

void redact_cell(struct ms_redactor *redactor, struct ms_cell *cell)
{
	static const s8 family_of[] = {
		[MS_SECRET_KVM] = FAM_KVM, [MS_SECRET_VCPU] = FAM_VCPU, [MS_SECRET_MMU] = FAM_MMU,
		[MS_SECRET_SP] = FAM_SP,   [MS_SECRET_PTR] = FAM_PTR,	[MS_SECRET_HVA] = FAM_HVA,
		[MS_SECRET_PFN] = FAM_PFN, [MS_SECRET_HPA] = FAM_PFN,	[MS_SECRET_PID] = FAM_PID,
	};
	u64 key = cell->u;

	if (cell->kind == MS_V_ABSENT || cell->secret == MS_PUBLIC)
		return;
	switch (cell->secret) {
	case MS_PUBLIC:
		return;
	case MS_SECRET_NAME:
		redact_name(redactor, cell);
		return;
	case MS_SECRET_SPTE:
		redact_spte(redactor, cell);
		return;
	case MS_SECRET_HIDE:
		cell_hide(cell);
		return;
	case MS_SECRET_KVM:
	case MS_SECRET_VCPU:
	case MS_SECRET_MMU:
	case MS_SECRET_SP:
	case MS_SECRET_PTR:
	case MS_SECRET_HVA:
		/* No object is at 0, so 0 gives nothing away. */
		if (!key)
			return;
		break;
	case MS_SECRET_PFN:
		key++;
		break;
	case MS_SECRET_HPA:
		if (key == MS_INVALID_PAGE)
			return;
		key = (key >> SPTE_PAGE_SHIFT) + 1;
		break;
	case MS_SECRET_PID:
		key = (u64)(u32)key + 1;
		break;
	}
	if (!key)
		cell_hide(cell);
	else
		redact_value(redactor, cell, (enum family)family_of[cell->secret], key);
}
