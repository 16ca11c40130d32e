/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a host keeps in its place because the engine asked for it (nmmu_ops.pin and the others), and whether
 * it was asked as nmmu.h says.
 */
#ifndef SCENARIO_PINHOST_H
#define SCENARIO_PINHOST_H

#include "base/map.h"
#include "scenario/machine.h"

struct pinhost_entry {
	u64 gfn, pfn;
	u32 next; /* index of another page with this gfn and level, MS_MAP_NONE */
	u32 pins, zapped; /* zapped of them are not mapped now */
	u8 level;
};

struct pinhost {
	struct ms_map at; /* of gfn and level to the first entry */
	struct pinhost_entry *entries;
	size_t nr, cap;
	struct ms_pin_calls calls;
	u64 fail_after; /* pins until one is refused, 0 none */
};

void pinhost_deinit(struct pinhost *host);
bool pinhost_pin(struct pinhost *host, u64 gfn, u64 pfn, u8 level);
/* What is wrong with the call; NULL: nothing. */
const char *pinhost_unpin(struct pinhost *host, u64 gfn, u64 pfn, u8 level);
const char *pinhost_zap(struct pinhost *host, u64 gfn, u64 pfn, u8 level);
const char *pinhost_unzap(struct pinhost *host, u64 gfn, u64 pfn, u8 level);

#endif
