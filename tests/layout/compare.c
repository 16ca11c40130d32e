/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layout table of a kernel from its BTF and from DWARF, member by member: what tests/scripts/dwarf.sh asks.
 *
 *	compare VMLINUX KVM KVM-INTEL DEBUG-FILE...	"N members equal, ..."; status 1 if some differ
 *	compare --list DEBUG-FILE...			the table
 *
 * The first three have BTF, as ELF files or as the kernel shows it.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "layout/layout.h"

static int fail(struct ms_err *err)
{
	fprintf(stderr, "compare: %s%s%s\n", ms_err_text(err), ms_err_hint_text(err) ? " -- " : "",
		ms_err_hint_text(err) ? ms_err_hint_text(err) : "");
	ms_err_free(err);
	return 3;
}

static void field_text(const struct ms_field *f, char text[128])
{
	if (!f->present)
		strcpy(text, "absent");
	else
		snprintf(text, 128, "%u.%u:%u size %u kind %u elems %u of %u", f->off, f->bit_off,
			 f->bit_size, f->size, f->kind, f->nr_elems, f->elem_size);
}

static void list(const struct ms_layout *l)
{
	static const char *const types[] = {
#define MS_TYPE(id, t) t,
#include "layout/fields.def"
	};
	char text[128];
	unsigned int i;

	for (i = 0; i < MS_F_NR; i++) {
		field_text(&l->f[i], text);
		printf("%s %s\n", ms_field_name(i), text);
	}
	for (i = 0; i < MS_T_NR; i++)
		printf("sizeof %s %u\n", types[i], l->type_size[i]);
	for (i = 0; i < l->nr_role; i++)
		printf("role %s %u %u\n", l->role[i].name, l->role[i].bit, l->role[i].width);
}

/* What both agree on is counted apart from what neither has. */
static int compare(const struct ms_layout *a, const struct ms_layout *b)
{
	unsigned int i, present = 0, absent = 0, bits = 0, differ = 0;
	char at[128], bt[128];

	for (i = 0; i < MS_F_NR; i++) {
		const struct ms_field *fa = &a->f[i], *fb = &b->f[i];

		/* Every member of the struct is in the text. */
		field_text(fa, at);
		field_text(fb, bt);
		if (strcmp(at, bt)) {
			printf("%s: BTF %s, DWARF %s\n", ms_field_name(i), at, bt);
			differ++;
		} else if (fa->present) {
			present++;
			bits += fa->bit_size != 0;
		} else {
			absent++;
		}
	}
	for (i = 0; i < MS_T_NR; i++) {
		if (a->type_size[i] == b->type_size[i])
			continue;
		printf("size of type %u: BTF %u, DWARF %u\n", i, a->type_size[i], b->type_size[i]);
		differ++;
	}
	for (i = 0; i < MS_LAYOUT_ROLE_MAX; i++) {
		const struct ms_role_bit *ra = &a->role[i], *rb = &b->role[i];

		if (!strcmp(ra->name, rb->name) && ra->bit == rb->bit && ra->width == rb->width)
			continue;
		printf("role bit %u: BTF '%s' %u:%u, DWARF '%s' %u:%u\n", i, ra->name, ra->bit, ra->width,
		       rb->name, rb->bit, rb->width);
		differ++;
	}
	printf("%u members equal (%u of them bit fields), %u in neither, %d types, %u role bits; %u differ\n",
	       present, bits, absent, MS_T_NR, a->nr_role, differ);
	return differ != 0 || a->nr_role != b->nr_role;
}

int main(int argc, char **argv)
{
	static struct ms_layout btf, dwarf;
	struct timespec from, to;
	struct ms_err *err;

	if (argc >= 3 && !strcmp(argv[1], "--list")) {
		err = ms_layout_from_dwarf((const char *const *)argv + 2, (size_t)argc - 2, &dwarf);
		if (err)
			return fail(err);
		list(&dwarf);
		return 0;
	}
	if (argc < 5) {
		fprintf(stderr,
			"usage: compare VMLINUX KVM KVM-INTEL DEBUG-FILE...\n       compare --list DEBUG-FILE...\n");
		return 2;
	}
	err = ms_layout_from_btf(argv[1], argv[2], argv[3], &btf);
	if (err)
		return fail(err);
	clock_gettime(CLOCK_MONOTONIC, &from);
	err = ms_layout_from_dwarf((const char *const *)argv + 4, (size_t)argc - 4, &dwarf);
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (err)
		return fail(err);
	fprintf(stderr, "DWARF read in %.2f s\n",
		(double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
	return compare(&btf, &dwarf);
}
