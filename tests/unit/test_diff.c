/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/query/diff*.c over two made-up hosts: each kind of change is made once and told, with its cause where
 * there is one, and nothing else is told. What is not known for sure is no change. The work is linear.
 */
#include "ask.h"
#include "fake.h"
#include "query/diff.h"

#define WANT (MS_WANT_VCPUS | MS_WANT_SLOTS | MS_WANT_MMUS | MS_WANT_SPS | MS_WANT_SPTES)

struct two {
	struct small fake[DIFF_SIDES];
	struct ms_args args;
	struct diff d;
};

static void ok(struct ms_err *err)
{
	if (err)
		fail_msg("%s", ms_err_text(err));
}

static void compare(struct two *two, const char *line)
{
	u32 side;

	ok(ms_args_parse_line(line, NULL, &two->args));
	for (side = DIFF_A; side < DIFF_SIDES; side++) {
		struct query *q = &two->d.q[side];

		*q = (struct query){ .session = &two->d.session[side], .args = &two->args };
		ok(ms_session_load(q->session, WANT, two->args.vm, &q->model, &q->vm));
		ok(sieve_init(&two->d.sieve[side], q));
	}
	ok(diff_compare(&two->d));
}

static void two_begin(struct two *two)
{
	u32 side;

	memset(two, 0, sizeof(*two));
	for (side = DIFF_A; side < DIFF_SIDES; side++) {
		small_machine(&two->fake[side]);
		two->d.session[side].target = small_open(&two->fake[side]);
	}
}

static void two_end(struct two *two)
{
	diff_deinit(&two->d);
	ms_args_deinit(&two->args);
	small_end(&two->fake[DIFF_A]);
	small_end(&two->fake[DIFF_B]);
}

/* --- the machine's parts; pages by their numbers of small.h --- */

static struct ms_rec_sp *page(struct small *fake, u32 n)
{
	return small_find(fake, MS_REC_SP, n - 1)->rec;
}

static u64 *spte(struct small *fake, u32 n, u32 idx)
{
	return &small_find(fake, MS_REC_SP, n - 1)->tables->sptes[idx];
}

static u64 *translation(struct small *fake, u32 n, u32 idx)
{
	return &small_find(fake, MS_REC_SP, n - 1)->tables->translations[idx];
}

static struct ms_rec_slot *memslot(struct small *fake, u32 i)
{
	return small_find(fake, MS_REC_SLOT, i)->rec;
}

static struct ms_rec_vm *the_vm(struct small *fake)
{
	return small_find(fake, MS_REC_VM, 0)->rec;
}

#define W SPTE_HW_W
#define A_BIT SPTE_BIT(5)
#define D_BIT SPTE_BIT(6)
#define H_BIT SPTE_BIT(9)
#define M_BIT SPTE_BIT(10)
#define NX SPTE_PT_NX

/* A record is taken out by naming it as another VM's. */
static void remove_page(struct small *fake, u32 n)
{
	page(fake, n)->kvm = SMALL_KVM2;
}

/* --- one change each --- */

#define CASE(name) static void name(struct small *a __attribute__((unused)), struct small *b)
CASE(nothing)
{
	(void)b;
}
CASE(w_log)
{
	*spte(b, 4, 0) &= ~W;
}
CASE(w_shadowed)
{
	*spte(b, 4, 0) &= ~(W | M_BIT);
	page(b, 7)->gfn = page(a, 7)->gfn = 0;
}
CASE(w_unshadowed)
{
	page(a, 7)->gfn = page(b, 7)->gfn = 2;
	*spte(b, 4, 2) |= W | M_BIT;
}
CASE(w_set)
{
	*spte(b, 4, 2) |= W | M_BIT;
}
CASE(guest_no_w)
{
	*spte(b, 8, 16) &= ~(W | M_BIT);
	*translation(b, 8, 16) &= ~2ull;
}
CASE(guest_denies)
{
	page(a, 8)->role = page(b, 8)->role &= ~(2u << 8);
	guest_no_w(a, b);
}
CASE(host_ro)
{
	*spte(b, 4, 0) &= ~(W | M_BIT | H_BIT);
}
CASE(h_set)
{
	*spte(b, 4, 3) |= H_BIT;
}
CASE(m_set)
{
	*spte(b, 4, 2) |= M_BIT;
}
CASE(a_cleared)
{
	*spte(b, 4, 0) &= ~A_BIT;
}
CASE(a_set)
{
	*spte(a, 4, 0) &= ~A_BIT;
}
CASE(d_cleared)
{
	*spte(b, 4, 0) &= ~D_BIT;
}
CASE(d_set)
{
	*spte(a, 4, 0) &= ~D_BIT;
}
CASE(d_log)
{
	memslot(a, 0)->flags = memslot(b, 0)->flags = MS_SLOT_LOG_DIRTY;
	*spte(b, 4, 0) &= ~D_BIT;
}
CASE(user_cleared)
{
	*spte(b, 4, 0) &= ~SPTE_PT_U;
}
CASE(user_set)
{
	*spte(a, 4, 0) &= ~SPTE_PT_U;
}
CASE(x_cleared)
{
	*spte(b, 4, 0) |= NX;
}
CASE(x_set)
{
	*spte(a, 4, 0) |= NX;
}
CASE(mapped)
{
	*spte(b, 4, 9) = *spte(a, 4, 0);
}
CASE(zapped)
{
	*spte(b, 4, 0) = 0;
}
CASE(zapped_slot)
{
	*spte(b, 4, 0) = 0;
	memslot(b, 0)->kvm = SMALL_KVM2;
}
CASE(zapped_unstable)
{
	zapped_slot(a, b);
	memslot(b, 1)->have |= MS_SLOT_UNSTABLE;
}
CASE(pfn)
{
	*spte(b, 4, 0) ^= 1ull << 12;
}
CASE(pfn_slot)
{
	*spte(b, 4, 0) ^= 1ull << 12;
	memslot(b, 0)->hva += 0x1000;
}
CASE(gfn)
{
	*spte(b, 8, 16) ^= 1ull << 12;
	*translation(b, 8, 16) += 1ull << 12;
}
CASE(linked)
{
	*spte(b, 3, 7) = *spte(a, 3, 0);
}
CASE(unlinked)
{
	*spte(a, 3, 7) = *spte(b, 3, 0);
}
CASE(split)
{
	*spte(b, 3, 2) = *spte(b, 3, 0);
}
CASE(split_nx)
{
	split(a, b);
	page(a, 4)->have |= MS_SP_HAVE_NX_DISALLOWED;
	page(b, 4)->have |= MS_SP_HAVE_NX_DISALLOWED;
	page(b, 4)->nx_disallowed = 1;
}
CASE(collapsed)
{
	*spte(a, 3, 2) = *spte(a, 3, 0);
}
CASE(table)
{
	*spte(b, 3, 0) ^= 1ull << 20;
}
CASE(mmio_gen)
{
	*spte(b, 4, 4) = small_mmio(4, 8);
}
CASE(mmio_gfn)
{
	*spte(b, 4, 4) = small_mmio(5, 7);
}
CASE(mmio_access)
{
	*spte(b, 4, 4) &= ~2ull;
}
CASE(mmio_set)
{
	*spte(a, 4, 4) = 0;
}
CASE(mmio_dropped)
{
	*spte(b, 4, 4) = 0;
}
CASE(frozen)
{
	*spte(b, 4, 9) = *spte(a, 4, 5);
}
CASE(thawed)
{
	*spte(b, 4, 5) = 0;
}
CASE(undecoded)
{
	*spte(b, 4, 6) = 0x10;
}
CASE(invalid)
{
	page(b, 1)->role |= 1u << 11;
}
CASE(unsync)
{
	page(b, 8)->unsync = 0;
}
CASE(unsync_children)
{
	page(b, 7)->unsync_children = 1;
}
CASE(root_count)
{
	page(b, 5)->root_count = 2;
}
CASE(generation)
{
	page(b, 5)->mmu_valid_gen = 1;
}
CASE(zap_all)
{
	generation(a, b);
	the_vm(b)->mmu_valid_gen = 1;
}
CASE(parents)
{
	page(b, 6)->parents += 8;
}
CASE(writes)
{
	page(a, 6)->have |= MS_SP_HAVE_WRITE_FLOODING;
	page(b, 6)->have |= MS_SP_HAVE_WRITE_FLOODING;
	page(b, 6)->write_flooding = 2;
}
CASE(moved)
{
	page(b, 6)->sp += 0x100000;
}
CASE(new_table)
{
	page(b, 8)->spt_pfn += 0x1000;
	*spte(b, 7, 3) = small_table(page(b, 8)->spt_pfn);
}
CASE(reused)
{
	page(b, 8)->gfn = 0x777;
}
CASE(went)
{
	remove_page(b, 8);
}
CASE(went_zap_all)
{
	remove_page(b, 8);
	the_vm(b)->mmu_valid_gen = 1;
}
CASE(went_obsolete)
{
	remove_page(b, 8);
	page(a, 8)->mmu_valid_gen = 1;
}
CASE(came)
{
	remove_page(a, 8);
}
CASE(cr3)
{
	((struct ms_rec_vcpu *)small_find(b, MS_REC_VCPU, 0)->rec)->cr3 = 0x2000;
}
CASE(root)
{
	((struct ms_rec_mmu *)small_find(b, MS_REC_MMU, 1)->rec)->root.hpa += 0x1000;
}
CASE(root_gone)
{
	((struct ms_rec_mmu *)small_find(b, MS_REC_MMU, 1)->rec)->root.hpa = MS_INVALID_PAGE;
}
CASE(slot_flags)
{
	memslot(b, 1)->flags = 0;
}
CASE(slot_went)
{
	memslot(b, 1)->kvm = SMALL_KVM2;
}
CASE(slot_gen)
{
	memslot(a, 0)->have |= MS_SLOT_HAVE_GENERATION;
	memslot(b, 0)->have |= MS_SLOT_HAVE_GENERATION;
	memslot(b, 0)->generation = 2;
}
CASE(vm_used)
{
	the_vm(b)->n_used_mmu_pages = 10;
}
CASE(vm_other)
{
	((struct ms_rec_vm *)small_find(b, MS_REC_VM, 1)->rec)->pid++;
}
CASE(nx_param)
{
	((struct ms_rec_host *)small_find(b, MS_REC_HOST, 0)->rec)->nx_huge_pages = 1;
}
/* No change: one side does not know. */
CASE(torn)
{
	page(b, 4)->state = MS_SP_TORN;
	*spte(b, 4, 0) = 0;
}
CASE(torn_other)
{
	torn(a, b);
	page(b, 4)->gfn = 0x999;
}
CASE(torn_alone)
{
	remove_page(a, 9);
}
CASE(no_tables)
{
	page(b, 4)->have &= ~MS_SP_HAVE_SPTES;
}
CASE(no_translations)
{
	page(b, 8)->have &= ~MS_SP_HAVE_TRANSLATIONS;
}
CASE(walk_changed)
{
	remove_page(b, 8);
	((struct ms_rec_walk *)small_find(b, MS_REC_WALK, 0)->rec)->flags |= MS_WALK_CHANGED;
}
CASE(member_absent)
{
	page(b, 8)->have &= ~MS_SP_HAVE_UNSYNC;
	page(b, 8)->unsync = 0;
}
CASE(unstable)
{
	memslot(b, 1)->have |= MS_SLOT_UNSTABLE;
	memslot(b, 1)->flags = 0;
}

#define E(change, cause)                                    \
	{                                                   \
		DIFF_O_ENTRY, DIFF_##change, DIFF_C_##cause \
	}
#define P(change, cause)                                   \
	{                                                  \
		DIFF_O_PAGE, DIFF_##change, DIFF_C_##cause \
	}
#define O(object, change)                                   \
	{                                                   \
		DIFF_O_##object, DIFF_##change, DIFF_C_NONE \
	}
#define L(object, reason)                                         \
	{                                                         \
		.o = DIFF_O_##object, .lack = 1 + DIFF_L_##reason \
	}
#define ENTRIES P(ENTRIES, NONE)

struct told {
	u32 o, change, cause, lack; /* lack: 1 + enum diff_lack, then it is no change */
};

static const struct one {
	const char *name;
	void (*change)(struct small *a, struct small *b);
	struct told told[8];
	size_t nr;
} cases[] = {
#define ONE(name, ...)                                                                                     \
	{                                                                                                  \
#name, name, { __VA_ARGS__ }, sizeof((struct told[]){ __VA_ARGS__ }) / sizeof(struct told) \
	}
	{ "nothing", nothing, { { 0 } }, 0 },
	ONE(w_log, ENTRIES, E(W_CLEARED, DIRTY_LOG)),
	ONE(w_shadowed, ENTRIES, E(W_CLEARED, SHADOWED), E(M_CLEARED, SHADOWED)),
	ONE(w_unshadowed, ENTRIES, E(W_SET, NOT_SHADOWED), E(M_SET, NONE)),
	ONE(w_set, ENTRIES, E(W_SET, NONE), E(M_SET, NONE)),
	ONE(guest_no_w, ENTRIES, E(W_CLEARED, GUEST_NO_W), E(M_CLEARED, GUEST_NO_W), E(GUEST_ACCESS, NONE)),
	ONE(guest_denies, ENTRIES, E(W_CLEARED, GUEST_DENIES), E(M_CLEARED, GUEST_DENIES),
	    E(GUEST_ACCESS, NONE)),
	ONE(host_ro, ENTRIES, E(W_CLEARED, HOST), E(M_CLEARED, HOST), E(H_CLEARED, NONE)),
	ONE(h_set, ENTRIES, E(H_SET, NONE)),
	ONE(m_set, ENTRIES, E(M_SET, NONE)),
	ONE(a_cleared, ENTRIES, E(A_CLEARED, NONE)),
	ONE(a_set, ENTRIES, E(A_SET, NONE)),
	ONE(d_cleared, ENTRIES, E(D_CLEARED, NONE)),
	ONE(d_set, ENTRIES, E(D_SET, NONE)),
	ONE(d_log, ENTRIES, E(D_CLEARED, DIRTY_LOG)),
	ONE(user_cleared, ENTRIES, E(R_CLEARED, NONE)),
	ONE(user_set, ENTRIES, E(R_SET, NONE)),
	ONE(x_cleared, ENTRIES, E(X_CLEARED, NONE)),
	ONE(x_set, ENTRIES, E(X_SET, NONE)),
	ONE(mapped, ENTRIES, E(MAPPED, NONE)),
	ONE(zapped, ENTRIES, E(ZAPPED, NONE)),
	ONE(zapped_slot, ENTRIES, E(ZAPPED, SLOT_DELETED), O(SLOT, WENT)),
	ONE(zapped_unstable, ENTRIES, E(ZAPPED, NONE), L(SLOT, UNSTABLE)),
	ONE(pfn, ENTRIES, E(PFN, HOST_PAGE)),
	ONE(pfn_slot, ENTRIES, E(PFN, SLOT_MOVED), O(SLOT, CHANGED)),
	ONE(gfn, ENTRIES, E(PFN, GUEST_TABLE), E(GFN, NONE)),
	ONE(linked, ENTRIES, E(LINKED, NONE)),
	ONE(unlinked, ENTRIES, E(UNLINKED, NONE)),
	ONE(split, ENTRIES, E(SPLIT, NONE)),
	ONE(split_nx, ENTRIES, P(NX_DISALLOWED, NONE), E(SPLIT, NX_HUGE)),
	ONE(collapsed, ENTRIES, E(COLLAPSED, NONE)),
	ONE(table, ENTRIES, E(TABLE, NONE)),
	ONE(mmio_gen, ENTRIES, E(MMIO_GEN, MEMSLOTS)),
	ONE(mmio_gfn, ENTRIES, E(GFN, NONE)),
	ONE(mmio_access, ENTRIES, E(MMIO_ACCESS, NONE)),
	ONE(mmio_set, ENTRIES, E(MMIO_SET, NONE)),
	ONE(mmio_dropped, ENTRIES, E(MMIO_DROPPED, NONE)),
	ONE(frozen, ENTRIES, E(FROZEN, NONE)),
	ONE(thawed, ENTRIES, E(THAWED, NONE)),
	ONE(undecoded, ENTRIES, E(UNDECODED, NONE)),
	ONE(invalid, P(INVALID, NONE)),
	ONE(unsync, P(UNSYNC, NONE)),
	ONE(unsync_children, P(UNSYNC_CHILDREN, NONE)),
	ONE(root_count, P(ROOT_COUNT, NONE)),
	ONE(generation, P(REBUILT, NONE), P(GENERATION, NONE)),
	ONE(zap_all, P(REBUILT, ZAP_ALL), P(GENERATION, NONE), O(VM, CHANGED)),
	ONE(parents, P(PARENTS, NONE)),
	ONE(writes, P(WRITES, NONE)),
	ONE(moved, P(REBUILT, NONE)),
	ONE(new_table, P(REBUILT, NONE), ENTRIES, E(TABLE, NONE)),
	ONE(reused, P(CAME, NONE), P(WENT, NONE)),
	ONE(went, P(WENT, NONE)),
	ONE(went_zap_all, P(WENT, ZAP_ALL), O(VM, CHANGED)),
	ONE(went_obsolete, P(WENT, OBSOLETE)),
	ONE(came, P(CAME, NONE)),
	ONE(cr3, O(VCPU, CHANGED)),
	ONE(root, O(MMU, CHANGED)),
	ONE(root_gone, O(MMU, WENT)),
	ONE(slot_flags, O(SLOT, CHANGED)),
	ONE(slot_went, O(SLOT, WENT)),
	ONE(slot_gen, O(SLOTS, CHANGED)),
	ONE(vm_used, O(VM, CHANGED)),
	ONE(vm_other, O(VM, WENT), O(VM, CAME)),
	ONE(nx_param, O(HOST, CHANGED)),
	ONE(torn, L(PAGE, STATE)),
	ONE(torn_other, L(PAGE, STATE)),
	ONE(torn_alone, L(PAGE, STATE)),
	ONE(no_tables, L(PAGE, TABLES)),
	ONE(no_translations, L(PAGE, TRANSLATIONS)),
	ONE(walk_changed, L(PAGE, WALK)),
	ONE(member_absent, L(PAGE, MEMBER)),
	ONE(unstable, L(SLOT, UNSTABLE)),
};

static bool expects(const struct one *one, struct told told)
{
	size_t i;

	for (i = 0; i < one->nr; i++)
		if (!memcmp(&one->told[i], &told, sizeof(told)))
			return true;
	return false;
}

/* What is told of a case is what the table says, once each; *ret gets the words that occurred. */
static void check_case(const struct one *one, u64 *changes, u32 *causes)
{
	struct two two;
	u32 o, ch, ca, l;

	two_begin(&two);
	one->change(&two.fake[DIFF_A], &two.fake[DIFF_B]);
	compare(&two, "diff a b --vm 4242");
	for (o = 0; o < DIFF_NR_OBJECTS; o++)
		for (ch = 0; ch < DIFF_NR_CHANGES; ch++)
			for (ca = 0; ca < DIFF_NR_CAUSES; ca++) {
				u64 want = expects(one, (struct told){ o, ch, ca, 0 });

				if (two.d.counts[o][ch][ca] != want)
					fail_msg("%s: %s %s %s: %llu times, not %llu", one->name,
						 diff_objects[o], diff_changes[ch].name, diff_causes[ca].name,
						 (unsigned long long)two.d.counts[o][ch][ca],
						 (unsigned long long)want);
				if (want) {
					*changes |= 1ull << ch;
					*causes |= 1u << ca;
				}
			}
	for (o = 0; o < DIFF_NR_OBJECTS; o++)
		for (l = 0; l < DIFF_NR_LACKS; l++)
			if ((two.d.lacks[o][l][DIFF_A] + two.d.lacks[o][l][DIFF_B] > 0) !=
			    expects(one, (struct told){ .o = o, .lack = 1 + l }))
				fail_msg("%s: %s %s is %s", one->name, diff_objects[o], diff_lacks[l].name,
					 two.d.lacks[o][l][DIFF_A] + two.d.lacks[o][l][DIFF_B] ? "there"
											       : "missing");
	assert_int_equal(diff_is_empty(&two.d), !one->nr || one->told[0].lack);
	two_end(&two);
}

static void test_each_change(void **state)
{
	/* EPT alone has these, or no host makes them. */
	const u64 others = DIFF_BIT(TRACKED) | DIFF_BIT(UNTRACKED) | DIFF_BIT(AD_KIND) | DIFF_BIT(MEMTYPE) |
			   DIFF_BIT(EMPTY_VALUE) | DIFF_BIT(OTHER_BITS);
	u64 changes = 0;
	u32 causes = 0, i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_case(&cases[i], &changes, &causes);
	for (i = 0; i < DIFF_NR_CHANGES; i++)
		if (!((changes | others) >> i & 1))
			fail_msg("no case makes change %s", diff_changes[i].name);
	for (i = 0; i < DIFF_NR_CAUSES; i++)
		if (!(causes >> i & 1))
			fail_msg("no case has cause '%s'", diff_causes[i].name);
}

/* Two moments of a host with so many tables more, all rebuilt at other addresses or not. */
static u64 work_of(u32 extra)
{
	const struct fake_opts opts = { .extra_pages = extra };
	struct two two = { 0 };
	u64 work;

	ok(fake_open(&opts, &two.d.session[DIFF_A].target));
	ok(fake_open(&opts, &two.d.session[DIFF_B].target));
	compare(&two, "diff a b --vm 4242");
	assert_true(diff_is_empty(&two.d) && diff_is_whole(&two.d));
	work = two.d.work;
	diff_deinit(&two.d);
	ms_args_deinit(&two.args);
	return work;
}

static void test_work(void **state)
{
	u64 few = work_of(1000), many = work_of(10000);

	(void)state;
	assert_true(few >= 1000 && many >= 10000);
	assert_true(many < 11 * few && many < 10 * 10000);
}

/* The same pages, all at other addresses: found by key, each pair once. */
static void test_work_by_key(void **state)
{
	const struct fake_opts opts = { .extra_pages = 10000 };
	struct two two = { 0 };
	struct ms_vm *vm;
	u64 work[DIFF_SIDES];
	u32 round;
	size_t i;

	(void)state;
	for (round = 0; round < 2; round++) {
		ok(fake_open(&opts, &two.d.session[DIFF_A].target));
		ok(fake_open(&opts, &two.d.session[DIFF_B].target));
		ok(ms_args_parse_line("diff a b --vm 4242", NULL, &two.args));
		for (i = 0; i < DIFF_SIDES; i++) {
			struct query *q = &two.d.q[i];

			*q = (struct query){ .session = &two.d.session[i], .args = &two.args };
			ok(ms_session_load(q->session, WANT, two.args.vm, &q->model, &q->vm));
			ok(sieve_init(&two.d.sieve[i], q));
		}
		vm = (struct ms_vm *)two.d.q[DIFF_B].vm;
		ms_map_deinit(&vm->by_sp);
		vm->by_sp = (struct ms_map){ 0 };
		for (i = 0; i < vm->nr_sps; i++) {
			vm->sps[i].rec.sp += 0x100000000000ull;
			assert_true(ms_map_put(&vm->by_sp, vm->sps[i].rec.sp, (u32)i));
			/* Where few have a key of their own, the others are gone and come. */
			if (round && vm->sps[i].level == 1 && vm->sps[i].rec.tdp_mmu_page)
				vm->sps[i].rec.gfn = 0x400000;
		}
		ok(diff_compare(&two.d));
		if (!round)
			assert_true(two.d.counts[DIFF_O_PAGE][DIFF_REBUILT][DIFF_C_NONE] > 10000);
		else
			assert_true(two.d.counts[DIFF_O_PAGE][DIFF_CAME][DIFF_C_NONE] > 9000);
		work[round] = two.d.work;
		diff_deinit(&two.d);
		ms_args_deinit(&two.args);
		memset(&two, 0, sizeof(two));
	}
	assert_true(work[0] < 10000ull * (MS_SPTES + 20));
	assert_true(work[1] < 10000ull * (MS_SPTES + 20));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_change),
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_work_by_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
