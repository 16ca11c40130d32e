// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The machine as a whole: what its configuration may be, how KVM on such a host would lay out its SPTEs, its
 * beginning and end, and what reaches all vCPUs at once: events, TLB flushes, requests. It decides nothing
 * about one SPTE or one fault.
 *
 * Sources: SEMANTICS B.3, E4; spte.c:kvm_mmu_set_ept_masks(), kvm_mmu_reset_all_pte_masks() of 6.1 and 6.12.
 */
#include "nmmu/private.h"

#define PHYS_BITS_MIN 36
#define PHYS_BITS_MAX 52
#define GUEST_PHYS_BITS_MIN 32
/* Fewer pages than recycling keeps free and one fault needs could never be worked with (F). */
#define MAX_PAGES_MIN 40

static bool config_ok(const struct nmmu_config *cfg)
{
	bool vmx = cfg->hv == MS_HV_VMX;

	if (!vmx && cfg->hv != MS_HV_SVM)
		return false;
	if (cfg->kernel != NMMU_6_1 && cfg->kernel != NMMU_6_12)
		return false;
	if (cfg->phys_bits < PHYS_BITS_MIN || cfg->phys_bits > PHYS_BITS_MAX)
		return false;
	if (cfg->guest_phys_bits < GUEST_PHYS_BITS_MIN || cfg->guest_phys_bits > cfg->phys_bits)
		return false;
	/* A buffer of GPAs whose D bits were set: it takes EPT with A/D bits (E4). */
	if (cfg->pml && !(vmx && cfg->tdp && cfg->ad))
		return false;
	if (cfg->exec_only && !vmx)
		return false;
	if (cfg->no_zap_all && cfg->kernel != NMMU_6_12)
		return false;
	if (cfg->max_pages && cfg->max_pages < MAX_PAGES_MIN)
		return false;
	if (cfg->first_generation % NMMU_NR_AS || cfg->first_generation & NMMU_GEN_UPDATE)
		return false;
	if (cfg->bugs & ~((1u << NMMU_NR_BUGS) - 1))
		return false;
#ifdef NMMU_WITH_MUTANTS
	return cfg->mutant < NMMU_NR_MUTANTS;
#else
	return cfg->mutant == NMMU_MUTANT_NONE;
#endif
}

static bool ops_ok(const struct nmmu_config *cfg, const struct nmmu_ops *ops)
{
	if (cfg->pins && !(ops->pin && ops->unpin))
		return false;
	/* With one of them alone the lock would be held for good. */
	if (!ops->lock != !ops->unlock)
		return false;
	return ops->page_alloc && ops->page_free && ops->alloc && ops->free && ops->hva_to_pfn && ops->read &&
	       ops->write && ops->cmpxchg && ops->flush;
}

/* EPT as kvm_mmu_set_ept_masks() has it, on a host with these features. */
static void profile_ept(struct spte_profile *p, const struct nmmu_config *cfg)
{
	if (!cfg->ad) {
		p->m.accessed = 0;
		p->m.dirty = 0;
	}
	if (!cfg->exec_only)
		p->m.present |= SPTE_EPT_R;
}

/* PT formats take a reserved address bit as their MMIO value; with 52 bits there is none. */
static void profile_pt(struct spte_profile *p, const struct nmmu_config *cfg)
{
	if (cfg->phys_bits == PHYS_BITS_MAX) {
		p->m.mmio_value = 0;
		p->m.mmio_mask = 0;
	}
}

static int profile_make(const struct nmmu_config *cfg, struct spte_profile *profile_ret)
{
	bool ept = cfg->hv == MS_HV_VMX && cfg->tdp;
	const char *name = ept ? (cfg->kernel == NMMU_6_12 ? "ept-6.12" : "ept-6.1")
			       : (cfg->kernel == NMMU_6_12 ? "npt-6.12" : "npt-6.1");
	struct spte_profile p = *spte_profile_by_name(name);
	int err;

	p.phys_bits = cfg->phys_bits;
	p.m.nonpresent_or_rsvd_lower_gfn = SPTE_BITS(cfg->phys_bits - 1, SPTE_PAGE_SHIFT);
	if (ept)
		profile_ept(&p, cfg);
	else
		profile_pt(&p, cfg);
	if (!cfg->mmio_caching)
		p.m.mmio_value = 0;

	err = spte_profile_check(&p, NULL);
	if (!err)
		*profile_ret = p;
	return err;
}

int nmmu_create(const struct nmmu_config *config, const struct nmmu_ops *ops, void *host, struct nmmu **ret)
{
	struct spte_profile profile;
	struct nmmu *m;
	int err;

	if (!config_ok(config) || !ops_ok(config, ops))
		return -EINVAL;
	err = profile_make(config, &profile);
	if (err)
		return err;
	m = ops->alloc(host, sizeof(*m));
	if (!m)
		return -ENOMEM;

	m->cfg = *config;
	m->ops = ops;
	m->host = host;
	m->profile = profile;
	m->nr_max = config->max_pages;
	m->next_id = 1;
	nmmu_link_init(&m->active_pages);
	nmmu_link_init(&m->nx_pages);
	nmmu_link_init(&m->deferred);
	nmmu_slots_init(m, config->first_generation);
	err = nmmu_index_init(m);
	if (err) {
		ops->free(host, m);
		return err;
	}
	*ret = m;
	return 0;
}

void nmmu_destroy(struct nmmu *m)
{
	struct nmmu_vcpu *v;

	if (!m)
		return;
	while ((v = m->vcpus)) {
		m->vcpus = v->next;
		nmmu_vcpu_destroy(v);
	}
	nmmu_lock(m);
	nmmu_zap_all_locked(m, MS_CAUSE_TEARDOWN);
	nmmu_pins_drop_all(m);
	nmmu_unlock(m);
	nmmu_slots_free(m);
	nmmu_index_deinit(m);
	m->ops->free(m->host, m);
}

void nmmu_event_put(struct nmmu *m, const struct nmmu_vcpu *v, struct ms_event *event)
{
	event->seq = nmmu_add64(&m->event_seq, 1);
	event->stack = MS_EV_NO_STACK;
	event->vcpu = v ? (u16)v->id : MS_EV_NO_VCPU;
	if (event->cause == MS_CAUSE_NONE)
		event->cause = v ? v->cause : m->cause;
	event->guest = !v ? MS_EV_GUEST_UNKNOWN : v->guest_mode ? MS_EV_L2 : MS_EV_L1;
	m->ops->event(m->host, event);
}

void nmmu_flush_all(struct nmmu *m, enum ms_cause cause, bool deferred)
{
	nmmu_add64(&m->stats.flushes, 1);
	nmmu_event_for(m, deferred ? NULL : m->at_work, cause, flush, .deferred = deferred);
	nmmu_yield(m, NMMU_POINT_FLUSH);
	m->ops->flush(m->host, NULL);
}

void nmmu_flush_one(struct nmmu_vcpu *v, enum ms_cause cause)
{
	struct nmmu *m = v->m;

	nmmu_add64(&m->stats.flushes, 1);
	nmmu_event_for(m, v, cause, flush_vcpu, .what = MS_FLUSH_ALL);
	nmmu_yield(m, NMMU_POINT_FLUSH);
	m->ops->flush(m->host, v);
}

void nmmu_request_all(struct nmmu *m, u32 request)
{
	struct nmmu_vcpu *v;

	for (v = m->vcpus; v; v = v->next)
		v->requests |= request;
}
