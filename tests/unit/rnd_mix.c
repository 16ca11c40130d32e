/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mixes: see rnd.h. Each is for the mistakes that name it in rnd_switches.def; a right engine passes them all. */
#include "tests/unit/rnd.h"

#include <string.h>

static void vmx_pml(struct nmmu_config *c)
{
	c->hv = MS_HV_VMX;
	c->tdp = c->ad = c->pml = true;
}

static void vmx_nested(struct nmmu_config *c)
{
	c->hv = MS_HV_VMX;
	c->tdp = true;
}

static void vmx_without_ad(struct nmmu_config *c)
{
	vmx_nested(c);
	c->ad = c->pml = false;
}

static void six_twelve(struct nmmu_config *c)
{
	c->kernel = NMMU_6_12;
}

const struct rnd_mix rnd_mixes[] = {
	{ .name = "usual" },
	{ .name = "races-log", .parallel = 60, .job = 1, .logging = true },
	{ .name = "races-slots", .parallel = 60, .job = 4 },
	{ .name = "pml", .config = vmx_pml, .burst = 2, .logging = true },
	{ .name = "pml12-rom", .config = vmx_pml, .pml12_rom = true },
	{ .name = "without-ad", .config = vmx_without_ad, .age = 15, .logging = true },
	{ .name = "low-bits", .config = vmx_nested, .low_bits = 50 },
	{ .name = "empty-upper", .config = vmx_nested, .empty_upper = 20 },
	{ .name = "one-frame", .config = six_twelve, .one_frame = 85 },
	{ .name = "clears", .log = 16, .slots = 6, .log_mode = NMMU_LOG_MANUAL | NMMU_LOG_INIT_SET },
	{ .name = "devices", .config = vmx_nested, .devices = 60, .slots = 8 },
	{ 0 },
};

const struct rnd_mix *rnd_mix = &rnd_mixes[0];

const struct rnd_mix *rnd_mix_find(const char *name)
{
	for (const struct rnd_mix *mix = rnd_mixes; mix->name; mix++)
		if (!strcmp(mix->name, name))
			return mix;
	return NULL;
}

bool rnd_op_mix(struct rnd *r, struct rnd_vcpu *vc)
{
	const struct rnd_mix *mix = rnd_mix;
	const struct {
		u8 share;
		void (*op)(struct rnd *r);
	} ops[] = {
		{ mix->parallel, rnd_op_parallel }, { mix->age, rnd_op_age },
		{ mix->slots, rnd_op_slot },	    { mix->log / 2, rnd_op_log_get },
		{ mix->log / 2, rnd_op_log_clear },
	};
	u32 dice;

	/* The usual draws nothing: its machines are those of their seeds. */
	if (mix == &rnd_mixes[0])
		return false;
	dice = rnd_below(r, 100);
	if (dice < mix->burst) {
		rnd_op_burst(r, vc);
		return true;
	}
	dice -= mix->burst;
	for (u32 i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		if (dice < ops[i].share) {
			ops[i].op(r);
			return true;
		}
		dice -= ops[i].share;
	}
	return false;
}
