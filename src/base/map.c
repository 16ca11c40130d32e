/* SPDX-License-Identifier: GPL-2.0-or-later */
/* u64 to u32, open addressing with linear probing, at most half full. */
#include "base/map.h"

#include <stdlib.h>

struct ms_map_entry {
	uint64_t key; /* 0: free */
	uint32_t value;
};

void ms_map_deinit(struct ms_map *map)
{
	free(map->slots);
	*map = (struct ms_map){ 0 };
}

/* Addresses share their low bits and often their high ones: multiply (golden ratio) and take the top. */
static size_t map_start(const struct ms_map *map, uint64_t key)
{
	return (size_t)((key * 0x9e3779b97f4a7c15ull) >> 32) & (map->cap - 1);
}

static struct ms_map_entry *map_find(const struct ms_map *map, uint64_t key)
{
	size_t i = map_start(map, key);

	while (map->slots[i].key && map->slots[i].key != key)
		i = (i + 1) & (map->cap - 1);
	return &map->slots[i];
}

static bool map_grow(struct ms_map *map)
{
	struct ms_map bigger = { .nr = map->nr, .cap = map->cap ? map->cap * 2 : 64 };
	size_t i;

	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (i = 0; i < map->cap; i++)
		if (map->slots[i].key)
			*map_find(&bigger, map->slots[i].key) = map->slots[i];
	free(map->slots);
	*map = bigger;
	return true;
}

bool ms_map_put(struct ms_map *map, uint64_t key, uint32_t value)
{
	struct ms_map_entry *entry;

	if (map->nr * 2 >= map->cap && !map_grow(map))
		return false;
	entry = map_find(map, key);
	if (!entry->key)
		map->nr++;
	entry->key = key;
	entry->value = value;
	return true;
}

uint32_t ms_map_get(const struct ms_map *map, uint64_t key)
{
	const struct ms_map_entry *entry;

	if (!map->cap || !key)
		return MS_MAP_NONE;
	entry = map_find(map, key);
	return entry->key ? entry->value : MS_MAP_NONE;
}
