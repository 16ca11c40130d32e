/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Series of faults that resolve nothing, from events. See the head of stuck.h for what counts as one. */
#include "query/stuck.h"

#include <stdlib.h>
#include <string.h>

#include "abi/rec.h"
#include "query/exit_words.h"

#define WAYS 16u
#define SETS (MS_STUCK_PLACES / WAYS)
#define PAGE_SHIFT 12
#define AHEAD_SHIFT 15 /* entries are made ahead in groups of eight (SEMANTICS F) */

#define PFERR_P (1ull << 0)
#define PFERR_W (1ull << 1)
#define PFERR_RSVD (1ull << 3)
#define PFERR_I (1ull << 4)
#define PFERR_ACCESS (PFERR_W | PFERR_I)

/* 2:0 what was tried, 5:3 what L1's entries grant (SDM: exit qualification for EPT violations). */
#define QUAL_READ 1ull
#define QUAL_WRITE 2ull
#define QUAL_FETCH 4ull
#define QUAL_ACCESS 7ull
#define QUAL_RIGHTS_SHIFT 3

#define EV(name) (1ull << MS_EV_##name)
/* What may take an entry away, or makes it grant less: SPTEs do not go without one of these. */
#define TAKES_AWAY                                                                                    \
	(EV(sp_zap) | EV(sync) | EV(flush) | EV(flush_vcpu) | EV(wp) | EV(pt_write) | EV(root_load) | \
	 EV(root_free) | EV(slot) | EV(invalidate) | EV(recycle) | EV(zap_all) | EV(split) |          \
	 EV(nx_recover) | EV(log_enable) | EV(log_disable) | EV(log_read) | EV(log_clear) |           \
	 EV(write_track) | EV(age))
/* Without these, "nothing took it away" cannot be said. */
#define MUST_TAKE_AWAY (EV(sp_zap) | EV(flush) | EV(invalidate) | EV(age))
#define EFFECTS (EV(mmio) | EV(pt_write) | EV(dirty))
#define FAULTS                                                                                    \
	(EV(fault) | EV(fault_done) | EV(stale) | EV(inject) | EV(emulate) | EV(invalidate_end) | \
	 EV(nested_enter))

static const struct {
	const char *name, *text;
} causes[MS_NR_STUCK] = {
#define STUCK_CAUSE(id, name, text) { name, text },
#include "query/stuck.def"
#undef STUCK_CAUSE
};

const char *ms_stuck_name(enum ms_stuck_cause cause)
{
	return causes[cause].name;
}

const char *ms_stuck_text(enum ms_stuck_cause cause)
{
	return causes[cause].text;
}

u64 ms_stuck_events(void)
{
	return FAULTS | TAKES_AWAY | EFFECTS;
}

bool ms_stuck_can_tell(u64 fed, enum ms_stuck_cause cause)
{
	u64 needs = EV(fault) | EV(fault_done);

	if (cause == MS_STUCK_L1_GRANTS || cause == MS_STUCK_L1_DENIES)
		needs |= EV(inject);
	if (cause == MS_STUCK_SPURIOUS || cause == MS_STUCK_FIXED)
		needs |= MUST_TAKE_AWAY;
	if (cause == MS_STUCK_EMULATION_FAILS)
		needs |= EV(emulate);
	if (cause == MS_STUCK_EMULATION_REPEATS)
		needs |= EFFECTS;
	return (fed & needs) == needs;
}

struct place {
	struct ms_stuck_place cur; /* with the series under way; nr 0: resolved */
	struct ms_stuck_place best; /* with the longest */
	struct ms_stuck_place sure; /* ... before the first event that is not settled made it longer */
	u64 used; /* number of the event that met it last; 0: a free way */
	u64 best_at; /* of the one that made `best' what it is */
	u64 epoch, syncs, losses; /* of the VM, at the last fault of the series */
	u64 best_losses; /* ... of the longest */
};

/* One fault on its way. */
struct flight {
	struct ms_stuck_place key;
	bool on;
	bool has_stale, emulated, emulation_failed, effect;
	bool injected; /* which is its outcome, whatever it ends with */
	struct ms_ev_stale stale;
	u64 rip;
	u64 zaps, invalidates; /* of the VM when it began */
};

struct vcpu {
	struct ms_stuck_vcpu shown;
	struct flight fault; /* between fault and fault_done */
	struct flight emulation; /* handed to the emulator: whether to an effect is not known yet */
	bool emulating; /* the last fault counts as emulated, and may still turn out to be another outcome */
	u64 pgd; /* of the L2 it runs */
	bool seen;
};

struct ms_stuck {
	struct ms_stuck_totals totals;
	u64 fed;
	u64 epoch; /* how often something may have taken an entry away */
	u64 syncs; /* that changed an SPTE */
	u64 zaps, invalidates; /* all pages at once; memory by the host */
	u64 open_invalidates;
	u64 losses; /* how often events were lost */
	u64 settled; /* number of the last event up to which it is known where */
	struct vcpu *vcpus[MS_STUCK_VCPUS];
	struct place places[SETS][WAYS];
};

struct ms_stuck *ms_stuck_create(u64 fed)
{
	struct ms_stuck *stuck = calloc(1, sizeof(*stuck));

	if (stuck)
		stuck->fed = fed;
	return stuck;
}

void ms_stuck_destroy(struct ms_stuck *stuck)
{
	u32 i;

	for (i = 0; stuck && i < MS_STUCK_VCPUS; i++)
		free(stuck->vcpus[i]);
	free(stuck);
}

/* --- places --- */

/* Neighbours share a set, whatever vCPU they are of: resolving looks at one set only. */
static struct place *set_of(struct ms_stuck *stuck, const struct ms_stuck_place *key)
{
	u64 hash = (key->addr >> AHEAD_SHIFT) * 0x9e3779b97f4a7c15ull + key->pgd * 0xc2b2ae3d27d4eb4full +
		   key->guest;

	return stuck->places[(hash ^ hash >> 29) >> 20 & (SETS - 1)];
}

static bool same_place(const struct ms_stuck_place *a, const struct ms_stuck_place *b)
{
	return a->addr == b->addr && a->error == b->error && a->reason == b->reason && a->pgd == b->pgd &&
	       a->vcpu == b->vcpu && a->guest == b->guest && a->injected == b->injected &&
	       (a->injected || a->mmu == b->mmu);
}

/* Of two places, the one that is missed least. */
static struct place *lesser(struct place *a, struct place *b)
{
	if (a->best.nr != b->best.nr)
		return a->best.nr < b->best.nr ? a : b;
	return a->used < b->used ? a : b;
}

static struct place *place_get(struct ms_stuck *stuck, const struct ms_stuck_place *key)
{
	struct place *set = set_of(stuck, key), *victim = set;
	u32 i;

	for (i = 0; i < WAYS; i++) {
		if (set[i].used && same_place(&set[i].cur, key)) {
			set[i].used = stuck->totals.events;
			return &set[i];
		}
		if (!set[i].used)
			victim = &set[i];
		else if (victim->used)
			victim = lesser(victim, &set[i]);
	}
	if (!victim->used) {
		stuck->totals.places++;
	} else if (victim->best.nr > 1) {
		stuck->totals.dropped++;
		if (victim->best.nr > stuck->totals.dropped_longest)
			stuck->totals.dropped_longest = victim->best.nr;
	}
	*victim = (struct place){ .cur = *key, .used = stuck->totals.events };
	victim->best = victim->cur;
	return victim;
}

/* What comes next is not in a row with what was. */
static void series_break(struct place *place)
{
	struct ms_stuck_place *cur = &place->cur;

	/* A single one is nothing to remember. */
	if (cur->nr < 2 && place->best.nr < 2)
		place->best.nr = 0;
	cur->nr = 0;
	memset(cur->by_cause, 0, sizeof(cur->by_cause));
	cur->has_stale = false;
	cur->seq_seen = cur->seq_now = cur->in_progress = 0;
	cur->rip = 0;
}

/* It was resolved, or is another matter. */
static void series_reset(struct place *place)
{
	series_break(place);
	place->best.open = false;
}

static void best_take(struct ms_stuck *stuck, struct place *place)
{
	if (place->best_at <= stuck->settled)
		place->sure = place->best;
	place->best = place->cur;
	place->best.open = true;
	place->best_losses = stuck->losses;
	place->best_at = stuck->totals.events;
}

/* Fixed or spurious: a series of faults that each by itself was resolved. */
static bool is_resolved_one(const struct ms_stuck_place *place)
{
	return place->by_cause[MS_STUCK_FIXED] || place->by_cause[MS_STUCK_SPURIOUS];
}

static void series_add(struct ms_stuck *stuck, const struct flight *flight, enum ms_stuck_cause cause, u8 ret,
		       u64 time_ns)
{
	struct place *place = place_get(stuck, &flight->key);
	bool resolved_one = cause == MS_STUCK_FIXED || cause == MS_STUCK_SPURIOUS;
	struct ms_stuck_place *cur = &place->cur;

	cur->taken++;
	if (place->losses != stuck->losses)
		series_break(place);
	if (cur->nr && is_resolved_one(cur) != resolved_one)
		series_reset(place);
	if (resolved_one) {
		cur->resolved++;
		if (place->epoch != stuck->epoch)
			series_reset(place);
	}
	if (cur->injected && place->syncs != stuck->syncs)
		series_reset(place);
	if (flight->rip && cur->rip && flight->rip != cur->rip)
		series_reset(place);
	place->epoch = stuck->epoch;
	place->syncs = stuck->syncs;
	place->losses = stuck->losses;
	if (!ms_stuck_can_tell(stuck->fed, cause))
		return;
	if (!cur->nr)
		cur->first_ns = time_ns;
	cur->nr++;
	cur->last_ns = time_ns;
	cur->by_cause[cause]++;
	cur->last_ret = ret;
	if (flight->rip)
		cur->rip = flight->rip;
	if (flight->key.gfn != ~0ull)
		cur->gfn = flight->key.gfn;
	if (flight->has_stale) {
		cur->has_stale = true;
		cur->seq_seen = flight->stale.seq_seen;
		cur->seq_now = flight->stale.seq_now;
		cur->in_progress = flight->stale.in_progress;
	}
	if (cur->nr >= place->best.nr)
		best_take(stuck, place);
}

/* PFERR bits as those of a qualification. */
static u64 qual_access(u64 access)
{
	return access & PFERR_W ? QUAL_WRITE : access & PFERR_I ? QUAL_FETCH : QUAL_READ;
}

/*
 * L1 was told, and KVM has carried an instruction out at the same address: is that the one that L1 was told for? Not if
 * it is another access; nor if L1's entries have granted it all the time, since then it was never what got nowhere.
 */
static bool answers(const struct ms_stuck_place *told, u64 access)
{
	u64 tried = told->error & QUAL_ACCESS, rights = told->error >> QUAL_RIGHTS_SHIFT & QUAL_ACCESS;

	if (told->reason == REASON_NPF)
		return !(told->error & PFERR_ACCESS & ~access) && (access || !(told->error & PFERR_P));
	return tried & ~rights ? tried & ~rights & qual_access(access) : !(qual_access(access) & rights);
}

/* The access has been made possible, or carried out: by any vCPU, since they share pages. */
static void resolve(struct ms_stuck *stuck, const struct ms_stuck_place *key, u64 access, bool carried_out)
{
	struct place *set = set_of(stuck, key);
	u32 i;

	for (i = 0; i < WAYS; i++) {
		struct ms_stuck_place *cur = &set[i].cur;
		u32 shift = cur->injected && !carried_out ? AHEAD_SHIFT : PAGE_SHIFT;

		if (!set[i].used || cur->guest != key->guest || cur->pgd != key->pgd ||
		    cur->addr >> shift != key->addr >> shift)
			continue;
		if (is_resolved_one(cur) || (!cur->nr && !set[i].best.open))
			continue;
		if (!cur->injected && cur->error & PFERR_ACCESS & ~access)
			continue;
		if (cur->injected && carried_out && !answers(cur, access))
			continue;
		cur->resolved++;
		series_reset(&set[i]);
	}
}

/* --- events of one vCPU --- */

static struct vcpu *vcpu_get(struct ms_stuck *stuck, const struct ms_event *event)
{
	struct vcpu **at;

	if (event->vcpu >= MS_STUCK_VCPUS)
		return NULL;
	at = &stuck->vcpus[event->vcpu];
	if (!*at)
		*at = calloc(1, sizeof(**at));
	return *at;
}

static bool same_fault(const struct flight *a, const struct flight *b)
{
	return same_place(&a->key, &b->key);
}

static void emulation_done(struct ms_stuck *stuck, struct vcpu *v, u64 access)
{
	resolve(stuck, &v->emulation.key, access, true);
	v->emulation.on = false;
}

/* The vCPU has gone on to its next fault: what of its emulation is not known yet shows by that. */
static void emulation_settle(struct ms_stuck *stuck, struct vcpu *v, const struct flight *next, u64 time_ns)
{
	struct flight *was = &v->emulation;
	enum ms_stuck_cause cause = MS_STUCK_EMULATION_REPEATS;

	if (!was->on)
		return;
	if (was->effect || !same_fault(was, next)) {
		emulation_done(stuck, v, was->key.error & PFERR_ACCESS);
		return;
	}
	/* It was not emulated but let go: the page had been unprotected. */
	if (!was->emulated && stuck->fed & EV(emulate))
		cause = MS_STUCK_RETRY;
	series_add(stuck, was, cause, was->key.last_ret, time_ns);
	was->on = false;
}

static void fault_begins(struct ms_stuck *stuck, struct vcpu *v, const struct ms_event *event)
{
	const struct ms_ev_fault *f = &event->u.fault;
	u8 guest = event->guest;
	struct flight flight;

	if (guest == MS_EV_GUEST_UNKNOWN && f->mmu == MS_MMU_GUEST)
		guest = MS_EV_L2;
	flight = (struct flight){
		.on = true,
		.zaps = stuck->zaps,
		.invalidates = stuck->invalidates,
		.key = {
			.addr = f->addr,
			.error = f->error,
			.pgd = guest == MS_EV_L2 ? v->pgd : 0,
			.vcpu = event->vcpu,
			.guest = guest,
			.mmu = f->mmu,
			.gfn = ~0ull,
			.last_ret = MS_RET_NR,
		},
	};
	emulation_settle(stuck, v, &flight, event->time_ns);
	if (v->fault.on && !v->fault.injected)
		v->shown.unfinished++;
	v->emulating = false;
	v->shown.faults++;
	v->fault = flight;
	v->seen = true;
}

static enum ms_stuck_cause retry_cause(const struct ms_stuck *stuck, const struct flight *flight)
{
	const struct ms_ev_stale *stale = &flight->stale;

	if (flight->has_stale && stale->root_obsolete)
		return MS_STUCK_ROOT;
	if (flight->has_stale && stale->in_progress && stale->in_progress != MS_EV_NO_NR)
		return MS_STUCK_IN_PROGRESS;
	if (flight->has_stale && stale->seq_seen != MS_EV_NO_SEQ && stale->seq_now != MS_EV_NO_SEQ &&
	    stale->seq_seen != stale->seq_now)
		return MS_STUCK_SEQ;
	if (stuck->zaps != flight->zaps)
		return MS_STUCK_ROOT;
	if (stuck->open_invalidates)
		return MS_STUCK_IN_PROGRESS;
	return stuck->invalidates != flight->invalidates ? MS_STUCK_SEQ : MS_STUCK_RETRY;
}

/* Each fault has one. */
static void count_outcome(const struct flight *flight, u64 *outcome)
{
	*outcome += !flight->injected;
}

/* The emulator has it: already, where an MMIO SPTE was hit and no handler asked (live), else from now on. */
static void emulation_begins(struct ms_stuck *stuck, struct vcpu *v, const struct flight *flight, u64 time_ns)
{
	if (flight->emulation_failed) {
		count_outcome(flight, &v->shown.failed);
		series_add(stuck, flight, MS_STUCK_EMULATION_FAILS, flight->key.last_ret, time_ns);
		return;
	}
	count_outcome(flight, &v->shown.emulated);
	v->emulating = !flight->injected;
	v->emulation = *flight;
	v->emulation.on = true;
}

static void fault_ends(struct ms_stuck *stuck, struct vcpu *v, const struct ms_event *event)
{
	const struct ms_ev_fault_done *done = &event->u.fault_done;
	struct flight *flight = &v->fault;

	/* It began before anybody listened. */
	if (!flight->on)
		return;
	flight->on = false;
	if (flight->key.gfn == ~0ull)
		flight->key.gfn = done->gfn;
	flight->key.last_ret = done->ret;
	switch (done->ret) {
	case MS_RET_FIXED:
	case MS_RET_SPURIOUS:
		resolve(stuck, &flight->key, flight->key.error & PFERR_ACCESS, false);
		count_outcome(flight, done->ret == MS_RET_FIXED ? &v->shown.fixed : &v->shown.spurious);
		series_add(stuck, flight, done->ret == MS_RET_FIXED ? MS_STUCK_FIXED : MS_STUCK_SPURIOUS,
			   done->ret, event->time_ns);
		break;
	case MS_RET_EMULATE:
	case MS_RET_WRITE_PROTECTED:
		emulation_begins(stuck, v, flight, event->time_ns);
		break;
	case MS_RET_ERROR:
		count_outcome(flight, &v->shown.failed);
		series_add(stuck, flight, MS_STUCK_ERROR, done->ret, event->time_ns);
		break;
	case MS_RET_NONE:
		/* A device's, or the guest's; what else ends like this does not say how. */
		if (flight->key.error & PFERR_RSVD && !flight->injected)
			emulation_begins(stuck, v, flight, event->time_ns);
		else
			count_outcome(flight, &v->shown.unfinished);
		break;
	default:
		/* So KVM ends a fault, too, that it has given to the guest. */
		if (flight->injected)
			break;
		v->shown.retried++;
		series_add(stuck, flight, retry_cause(stuck, flight), done->ret, event->time_ns);
	}
}

/* What L1 is told of is what its own entries grant. */
static bool granted(const struct ms_ev_inject *inject)
{
	u64 tried = inject->qual & QUAL_ACCESS;

	if (inject->reason == REASON_VIOLATION)
		return tried && !(tried & ~(inject->qual >> QUAL_RIGHTS_SHIFT));
	/* A read of what is present: no NPT entry can deny that but by its U bit, which nobody clears on purpose. */
	return inject->qual & PFERR_P && !(inject->qual & PFERR_ACCESS);
}

static bool makes_series(const struct ms_ev_inject *inject)
{
	return inject->reason == REASON_VIOLATION ||
	       (inject->reason == REASON_NPF && !(inject->qual & PFERR_RSVD));
}

/* One fault may be told of twice, and what was emulated is given to the guest in the end. */
static void count_injected(struct vcpu *v)
{
	if (v->fault.on) {
		v->shown.injected += !v->fault.injected;
		v->fault.injected = true;
	} else if (v->emulating) {
		v->shown.emulated--;
		v->shown.injected++;
	} else {
		v->shown.unasked++;
	}
	v->emulating = false;
}

static void injected(struct ms_stuck *stuck, struct vcpu *v, const struct ms_event *event)
{
	const struct ms_ev_inject *inject = &event->u.inject;
	const struct flight *of = v->fault.on ? &v->fault : v->emulation.on ? &v->emulation : NULL;
	struct flight flight = {
		.key = {
			.addr = inject->addr,
			.error = inject->qual,
			.reason = inject->reason,
			.pgd = of ? of->key.pgd : v->pgd,
			.vcpu = event->vcpu,
			.guest = of ? of->key.guest : event->guest,
			.mmu = of ? of->key.mmu : MS_STUCK_NO_MMU,
			.injected = true,
			.gfn = ~0ull,
			.last_ret = MS_RET_NR,
		},
		.rip = v->emulation.on ? v->emulation.rip : 0,
	};

	count_injected(v);
	v->seen = true;
	v->emulation.on = false;
	/* L1 runs, and may take away what it likes. */
	stuck->epoch++;
	if (makes_series(inject))
		series_add(stuck, &flight, granted(inject) ? MS_STUCK_L1_GRANTS : MS_STUCK_L1_DENIES,
			   of ? of->key.last_ret : MS_RET_NR, event->time_ns);
}

static void emulated(struct ms_stuck *stuck, struct vcpu *v, const struct ms_event *event)
{
	struct flight *flight = v->fault.on ? &v->fault : &v->emulation;

	if (!flight->on)
		return;
	flight->emulated = true;
	flight->rip = event->u.emulate.rip;
	flight->emulation_failed |= event->u.emulate.failed;
	/* What is not over is judged when it is. */
	if (!event->u.emulate.failed || v->fault.on)
		return;
	if (v->emulating) {
		v->shown.emulated--;
		v->shown.failed++;
	}
	v->emulating = false;
	flight->on = false;
	series_add(stuck, flight, MS_STUCK_EMULATION_FAILS, flight->key.last_ret, event->time_ns);
}

static void of_vcpu(struct ms_stuck *stuck, struct vcpu *v, const struct ms_event *event)
{
	switch (event->id) {
	case MS_EV_fault:
		fault_begins(stuck, v, event);
		break;
	case MS_EV_fault_done:
		fault_ends(stuck, v, event);
		break;
	case MS_EV_stale:
		v->fault.has_stale = v->fault.on;
		v->fault.stale = event->u.stale;
		if (v->fault.on)
			v->fault.key.gfn = event->u.stale.gfn;
		break;
	case MS_EV_inject:
		injected(stuck, v, event);
		break;
	case MS_EV_emulate:
		emulated(stuck, v, event);
		break;
	case MS_EV_mmio:
		/* Some sources see it while the fault is dealt with: the access may still be refused. */
		if (v->fault.on)
			v->fault.effect = true;
		else if (v->emulation.on)
			emulation_done(stuck, v, event->u.mmio.write ? PFERR_W : 0);
		break;
	case MS_EV_dirty:
		/* Nor the CPU's own log, nor what KVM writes for the guest of itself, shows that it got on. */
		if (v->emulation.on && event->cause != MS_CAUSE_PML && event->cause != MS_CAUSE_HOST_WRITE)
			emulation_done(stuck, v, PFERR_W);
		break;
	case MS_EV_pt_write:
		if (v->emulation.on)
			emulation_done(stuck, v, PFERR_W);
		break;
	case MS_EV_nested_enter:
		v->emulating = false;
		v->pgd = event->u.nested_enter.pgd;
		break;
	default:
		break;
	}
}

static void of_vm(struct ms_stuck *stuck, const struct ms_event *event)
{
	if (event->id == MS_EV_sync && event->u.sync.changed)
		stuck->syncs++;
	if (event->id == MS_EV_zap_all)
		stuck->zaps++;
	if (event->id == MS_EV_invalidate) {
		stuck->invalidates++;
		/* An end that is never heard would keep it open for ever. */
		stuck->open_invalidates += !!(stuck->fed & EV(invalidate_end));
	}
	if (event->id == MS_EV_invalidate_end && stuck->open_invalidates)
		stuck->open_invalidates--;
	/* Memory that was being taken away while the fault came is gone when that ends. */
	if (TAKES_AWAY & 1ull << event->id || event->id == MS_EV_invalidate_end)
		stuck->epoch++;
}

/* The end of a fault may be among what was lost, and what ends next is another; L2 may be another, too. */
static void vcpu_forget(struct vcpu *v)
{
	v->shown.unfinished += v->fault.on && !v->fault.injected;
	v->fault.on = v->emulation.on = v->emulating = false;
	v->pgd = 0;
}

void ms_stuck_lost(struct ms_stuck *stuck)
{
	u32 i;

	stuck->open_invalidates = 0;
	stuck->losses++;
	for (i = 0; i < MS_STUCK_VCPUS; i++)
		if (stuck->vcpus[i])
			vcpu_forget(stuck->vcpus[i]);
}

/* What was found since the last time may run across a loss. */
static void take_back(struct ms_stuck *stuck)
{
	struct place *place = &stuck->places[0][0];
	bool open;
	u32 i;

	for (i = 0; i < MS_STUCK_PLACES; i++) {
		if (place[i].best_at <= stuck->settled)
			continue;
		open = place[i].best.open && place[i].sure.open;
		place[i].best = place[i].sure;
		place[i].best.open = open;
		place[i].best_at = 0;
	}
}

void ms_stuck_settle(struct ms_stuck *stuck, bool lost)
{
	if (lost) {
		take_back(stuck);
		ms_stuck_lost(stuck);
	}
	stuck->settled = stuck->totals.events;
}

void ms_stuck_event(struct ms_stuck *stuck, const struct ms_event *event)
{
	struct vcpu *v;

	if (!event->id || event->id >= MS_EV_NR || !(ms_stuck_events() & 1ull << event->id))
		return;
	if (!stuck->totals.events++)
		stuck->totals.first_ns = event->time_ns;
	stuck->totals.last_ns = event->time_ns;
	of_vm(stuck, event);
	v = vcpu_get(stuck, event);
	if (v)
		of_vcpu(stuck, v, event);
	else if (event->id == MS_EV_fault)
		stuck->totals.no_vcpu++;
}

/* --- what came of it --- */

enum ms_stuck_cause ms_stuck_cause(const struct ms_stuck_place *place)
{
	u32 cause, most = 0;

	for (cause = 1; cause < MS_NR_STUCK; cause++)
		if (place->by_cause[cause] > place->by_cause[most])
			most = cause;
	return (enum ms_stuck_cause)most;
}

bool ms_stuck_vcpu(const struct ms_stuck *stuck, u32 id, struct ms_stuck_vcpu *ret)
{
	const struct vcpu *v = id < MS_STUCK_VCPUS ? stuck->vcpus[id] : NULL;

	if (!v || !v->seen)
		return false;
	*ret = v->shown;
	ret->unfinished += v->fault.on && !v->fault.injected;
	return true;
}

void ms_stuck_totals(const struct ms_stuck *stuck, struct ms_stuck_totals *ret)
{
	*ret = stuck->totals;
}

static int longer(const void *pa, const void *pb)
{
	const struct ms_stuck_place *a = pa, *b = pb;

	if (a->nr != b->nr)
		return a->nr > b->nr ? -1 : 1;
	if (a->vcpu != b->vcpu)
		return a->vcpu < b->vcpu ? -1 : 1;
	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return a->first_ns < b->first_ns ? -1 : a->first_ns > b->first_ns;
}

size_t ms_stuck_found(const struct ms_stuck *stuck, u64 min, struct ms_stuck_place **ret)
{
	const struct place *place = &stuck->places[0][0];
	struct ms_stuck_place *found;
	size_t nr = 0, i;

	for (i = 0; i < MS_STUCK_PLACES; i++)
		nr += place[i].used && place[i].best.nr >= min;
	found = calloc(nr ? nr : 1, sizeof(*found));
	if (!found)
		return SIZE_MAX;
	for (i = 0, nr = 0; i < MS_STUCK_PLACES; i++) {
		if (!place[i].used || place[i].best.nr < min)
			continue;
		found[nr] = place[i].best;
		found[nr].taken = place[i].cur.taken;
		found[nr].resolved = place[i].cur.resolved;
		found[nr].torn = place[i].best.open && place[i].best_losses != stuck->losses;
		nr++;
	}
	qsort(found, nr, sizeof(*found), longer);
	*ret = found;
	return nr;
}
