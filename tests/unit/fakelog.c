/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A sink that keeps what it is given: the second half of fake.h. */
#include "tests/unit/fake.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static struct ms_err *log_put(void *ctx, enum ms_rec_type type, const void *rec,
			      const struct ms_sp_tables *tables)
{
	struct fake_log *log = ctx;
	/* Padded: what is handed out by pointer must be aligned. */
	size_t size = (ms_rec_size(type) + 7) & ~(size_t)7, more = size + (tables ? sizeof(*tables) : 0);
	struct fake_log_rec *recs = ms_grow(log->recs, &log->cap, log->nr + 1, sizeof(*recs));
	bool translations =
		type == MS_REC_SP && ((const struct ms_rec_sp *)rec)->have & MS_SP_HAVE_TRANSLATIONS;
	u8 *bytes;

	if (!recs)
		return ms_err_nomem();
	log->recs = recs;
	bytes = ms_grow(log->bytes, &log->cap_bytes, log->nr_bytes + more, 1);
	if (!bytes)
		return ms_err_nomem();
	log->bytes = bytes;
	recs[log->nr++] = (struct fake_log_rec){ type, log->nr_bytes, tables != NULL, translations };
	memset(bytes + log->nr_bytes, 0, more);
	memcpy(bytes + log->nr_bytes, rec, ms_rec_size(type));
	if (tables) {
		memcpy(bytes + log->nr_bytes + size, tables->sptes, sizeof(tables->sptes));
		if (translations)
			memcpy(bytes + log->nr_bytes + size + sizeof(tables->sptes), tables->translations,
			       sizeof(tables->translations));
	}
	log->nr_bytes += more;
	return NULL;
}

struct ms_sink fake_log_sink(struct fake_log *log)
{
	return (struct ms_sink){ .put = log_put, .ctx = log };
}

void fake_log_deinit(struct fake_log *log)
{
	free(log->bytes);
	free(log->recs);
	*log = (struct fake_log){ 0 };
}

const void *fake_log_get(const struct fake_log *log, enum ms_rec_type type, size_t i)
{
	size_t k;

	for (k = 0; k < log->nr; k++)
		if (log->recs[k].type == type && !i--)
			return log->bytes + log->recs[k].at;
	return NULL;
}

size_t fake_log_count(const struct fake_log *log, enum ms_rec_type type)
{
	size_t k, count = 0;

	for (k = 0; k < log->nr; k++)
		count += log->recs[k].type == type;
	return count;
}

const struct ms_sp_tables *fake_log_tables(const struct fake_log *log, size_t rec_index)
{
	const struct fake_log_rec *rec = &log->recs[rec_index];

	if (!rec->tables)
		return NULL;
	return (const void *)(log->bytes + rec->at + ((ms_rec_size(rec->type) + 7) & ~(size_t)7));
}
