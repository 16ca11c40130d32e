/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON: one object, written as it is made. Counts are numbers; addresses, raw words and other 64-bit values
 * are strings "0x..."; what is absent is null, so that every row has every key. Strings are cleaned before
 * they are quoted: always valid UTF-8 and the same characters that text shows.
 */
#include "render/private.h"

#include <string.h>

struct json {
	const struct ms_result *result;
	struct sink *sink;
	bool pretty;
	u32 depth;
	struct ms_buf text; /* scratch: one formatted cell */
};

static void newline(struct json *j)
{
	if (!j->pretty)
		return;
	ms_buf_putc(&j->sink->buf, '\n');
	ms_buf_pad(&j->sink->buf, ' ', 2u * j->depth);
}

static void open_bracket(struct json *j, char c)
{
	ms_buf_putc(&j->sink->buf, c);
	j->depth++;
}

static void close_bracket(struct json *j, char c, bool empty)
{
	j->depth--;
	if (!empty)
		newline(j);
	ms_buf_putc(&j->sink->buf, c);
}

/* Before each element but the first a comma; then a new line. */
static void next(struct json *j, bool first)
{
	if (!first)
		ms_buf_putc(&j->sink->buf, ',');
	newline(j);
}

/* s is clean text: no control characters, valid UTF-8. */
static void put_quoted(struct json *j, const char *s, size_t len)
{
	struct ms_buf *out = &j->sink->buf;
	size_t plain;

	ms_buf_putc(out, '"');
	while (len) {
		for (plain = 0; plain < len && s[plain] != '"' && s[plain] != '\\'; plain++)
			;
		ms_buf_put(out, s, plain);
		s += plain;
		len -= plain;
		if (!len)
			break;
		ms_buf_putc(out, '\\');
		ms_buf_putc(out, *s++);
		len--;
	}
	ms_buf_putc(out, '"');
}

static void put_string(struct json *j, const char *s)
{
	ms_buf_reset(&j->text);
	ms_buf_put_clean(&j->text, s, strlen(s));
	put_quoted(j, ms_buf_str(&j->text), j->text.len);
}

static void put_key(struct json *j, const char *key)
{
	put_quoted(j, key, strlen(key));
	ms_buf_puts(&j->sink->buf, j->pretty ? ": " : ":");
}

static void put_words(struct json *j, const struct ms_cell *cell)
{
	const char *at = ms_buf_str(&cell->text);
	bool first = true;
	size_t len;

	ms_buf_putc(&j->sink->buf, '[');
	for (; *at; at += len) {
		at += strspn(at, " ");
		len = strcspn(at, " ");
		if (!len)
			break;
		if (!first)
			ms_buf_puts(&j->sink->buf, j->pretty ? ", " : ",");
		first = false;
		ms_buf_reset(&j->text);
		ms_buf_put_clean(&j->text, at, len);
		put_quoted(j, ms_buf_str(&j->text), j->text.len);
	}
	ms_buf_putc(&j->sink->buf, ']');
}

static void put_value(struct json *j, const struct ms_column *col, const struct ms_cell *cell)
{
	switch (cell->kind) {
	case MS_V_ABSENT:
		ms_buf_puts(&j->sink->buf, "null");
		return;
	case MS_V_COUNT:
	case MS_V_INT:
		ms_cell_format(cell, col, &j->sink->buf);
		return;
	case MS_V_BOOL:
		ms_buf_puts(&j->sink->buf, cell->u ? "true" : "false");
		return;
	case MS_V_WORDS:
		put_words(j, cell);
		return;
	case MS_V_TEXT:
		ms_buf_reset(&j->text);
		ms_buf_put_clean(&j->text, ms_buf_str(&cell->text), cell->text.len);
		put_quoted(j, ms_buf_str(&j->text), j->text.len);
		return;
	case MS_V_HEX:
		ms_buf_reset(&j->text);
		ms_cell_format(cell, col, &j->text);
		put_quoted(j, ms_buf_str(&j->text), j->text.len);
		return;
	}
}

/* False: there is none. */
static bool put_members(struct json *j, const struct ms_section *section, size_t from,
			const struct ms_cell *cells)
{
	bool first = true;
	size_t i;

	for (i = from; i < section->nr_cols; i++) {
		if (section->cols[i].flags & MS_COL_TEXT_ONLY ||
		    (section->cols[i].flags & MS_COL_OMIT && cells[i].kind == MS_V_ABSENT))
			continue;
		next(j, first);
		first = false;
		put_key(j, section->cols[i].name);
		put_value(j, &section->cols[i], &cells[i]);
	}
	return !first;
}

static void put_object(struct json *j, const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	bool any;

	ms_result_row(j->result, section, row, cells);
	open_bracket(j, '{');
	any = put_members(j, section, 0, cells);
	close_bracket(j, '}', !any);
}

static bool put_section(struct json *j, const struct ms_section *section)
{
	struct ms_cell *cells = ms_cells_create(section->nr_cols);
	bool ok = true;
	size_t r;

	if (!cells)
		return false;
	next(j, false);
	put_key(j, section->key);
	if (section->table) {
		open_bracket(j, '[');
		for (r = 0; r < section->nr_rows && ok; r++) {
			next(j, !r);
			put_object(j, section, r, cells);
			ok = sink_flush(j->sink, false);
		}
		close_bracket(j, ']', !section->nr_rows);
	} else {
		put_object(j, section, 0, cells);
	}
	ms_cells_destroy(cells, section->nr_cols);
	return ok;
}

bool render_json(const struct ms_result *result, const struct ms_render_opts *opts, struct sink *sink)
{
	struct json j = { .result = result, .sink = sink, .pretty = opts->pretty };
	bool ok = true;
	size_t i;

	open_bracket(&j, '{');
	next(&j, true);
	put_key(&j, "schema");
	put_string(&j, MS_JSON_SCHEMA);
	next(&j, false);
	put_key(&j, "command");
	put_string(&j, result->command);
	next(&j, false);
	put_key(&j, "target");
	if (result->prov.present)
		put_string(&j, result->prov.target);
	else
		ms_buf_puts(&sink->buf, "null");
	if (result->prov.present) {
		ok = put_section(&j, &result->prov_section);
	} else {
		next(&j, false);
		put_key(&j, "provenance");
		ms_buf_puts(&sink->buf, "null");
	}
	for (i = 0; i < result->nr_sections && ok; i++)
		ok = put_section(&j, &result->sections[i]);
	next(&j, false);
	put_key(&j, "notes");
	open_bracket(&j, '[');
	for (i = 0; i < result->nr_notes; i++) {
		next(&j, !i);
		put_string(&j, result->notes[i]);
	}
	close_bracket(&j, ']', !result->nr_notes);
	close_bracket(&j, '}', false);
	ms_buf_putc(&sink->buf, '\n');
	sink->buf.oom |= j.text.oom;
	ms_buf_deinit(&j.text);
	return ok && sink_flush(sink, false);
}

bool render_rows_json(const struct ms_result *result, struct sink *sink)
{
	struct json j = { .result = result, .sink = sink };
	const struct ms_section *section = &result->sections[0];
	struct ms_cell *cells = ms_cells_create(section->nr_cols);
	bool ok = cells;
	size_t r;

	for (r = 0; r < section->nr_rows && ok; r++) {
		put_object(&j, section, r, cells);
		ms_buf_putc(&sink->buf, '\n');
		ok = sink_flush(sink, false);
	}
	sink->buf.oom |= j.text.oom;
	ms_buf_deinit(&j.text);
	ms_cells_destroy(cells, section->nr_cols);
	return ok;
}

void json_string(struct sink *sink, const char *s, size_t len)
{
	struct json j = { .sink = sink };

	ms_buf_put_clean(&j.text, s, len);
	put_quoted(&j, ms_buf_str(&j.text), j.text.len);
	sink->buf.oom |= j.text.oom;
	ms_buf_deinit(&j.text);
}

void json_members(struct sink *sink, const struct ms_section *section, size_t first,
		  const struct ms_cell *cells)
{
	struct json j = { .sink = sink };

	put_members(&j, section, first, cells);
	sink->buf.oom |= j.text.oom;
	ms_buf_deinit(&j.text);
}
