/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A map from u64 to u32 (an address to an index). Keys are never 0. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Zero-initialised is empty and valid. */
struct ms_map {
	struct ms_map_entry *slots;
	size_t nr, cap; /* cap is 0 or a power of two */
};

#define MS_MAP_NONE UINT32_MAX

void ms_map_deinit(struct ms_map *map);
/* Set key (not 0) to value, replacing. False when memory is out: the map is as before. */
bool ms_map_put(struct ms_map *map, uint64_t key, uint32_t value) MS_MUST_CHECK;
/* MS_MAP_NONE when the key is not there. */
uint32_t ms_map_get(const struct ms_map *map, uint64_t key);

#endif
