/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pages that the simulated host keeps: see pinhost.h. */
#include "scenario/pinhost.h"

#include <stdlib.h>

#include "base/buf.h"

void pinhost_deinit(struct pinhost *host)
{
	ms_map_deinit(&host->at);
	free(host->entries);
}

static u64 pages_of(u8 level)
{
	return 1ull << 9 * (level - 1);
}

static u64 key_of(u64 gfn, u8 level)
{
	return gfn << 2 | level;
}

static struct pinhost_entry *find(struct pinhost *host, u64 gfn, u64 pfn, u8 level)
{
	u32 i = ms_map_get(&host->at, key_of(gfn, level));

	while (i != MS_MAP_NONE && host->entries[i].pfn != pfn)
		i = host->entries[i].next;
	return i == MS_MAP_NONE ? NULL : &host->entries[i];
}

static struct pinhost_entry *add(struct pinhost *host, u64 gfn, u64 pfn, u8 level)
{
	struct pinhost_entry *entries = ms_grow(host->entries, &host->cap, host->nr + 1, sizeof(*entries));
	u32 next = ms_map_get(&host->at, key_of(gfn, level));

	if (!entries)
		return NULL;
	host->entries = entries;
	if (!ms_map_put(&host->at, key_of(gfn, level), (u32)host->nr))
		return NULL;
	entries[host->nr] = (struct pinhost_entry){ .gfn = gfn, .pfn = pfn, .level = level, .next = next };
	return &entries[host->nr++];
}

bool pinhost_pin(struct pinhost *host, u64 gfn, u64 pfn, u8 level)
{
	struct pinhost_entry *entry;

	if (host->fail_after && !--host->fail_after)
		return false;
	entry = find(host, gfn, pfn, level);
	if (!entry)
		entry = add(host, gfn, pfn, level);
	if (!entry)
		return false;
	entry->pins++;
	host->calls.pin++;
	host->calls.last_level = level;
	host->calls.held_pages += pages_of(level);
	return true;
}

const char *pinhost_unpin(struct pinhost *host, u64 gfn, u64 pfn, u8 level)
{
	struct pinhost_entry *entry = find(host, gfn, pfn, level);

	host->calls.unpin++;
	host->calls.last_level = level;
	if (!entry || !entry->pins)
		return "unpin of a page that is not pinned so";
	if (!entry->zapped)
		return "unpin of a page that is mapped";
	entry->pins--;
	entry->zapped--;
	host->calls.held_pages -= pages_of(level);
	return NULL;
}

const char *pinhost_zap(struct pinhost *host, u64 gfn, u64 pfn, u8 level)
{
	struct pinhost_entry *entry = find(host, gfn, pfn, level);

	host->calls.zap++;
	host->calls.last_level = level;
	if (!entry || entry->zapped == entry->pins)
		return "zap of a page that is not pinned and mapped so";
	entry->zapped++;
	return NULL;
}

const char *pinhost_unzap(struct pinhost *host, u64 gfn, u64 pfn, u8 level)
{
	struct pinhost_entry *entry = find(host, gfn, pfn, level);

	host->calls.unzap++;
	host->calls.last_level = level;
	if (!entry || !entry->zapped)
		return "unzap of a page that is not pinned and zapped so";
	entry->zapped--;
	return NULL;
}
