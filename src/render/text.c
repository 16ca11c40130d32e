/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text: objects as name and value, tables in aligned columns. Two passes over a table, one for the widths.
 * On a terminal that is too narrow the columns that matter least are left out, and a line says which; where long
 * texts still do not fit, each row is a block of name and value. Elsewhere nothing is ever left out.
 */
#include "render/private.h"

#include <stdlib.h>
#include <string.h>

#define GAP 2u
#define INDENT 2u
#define BELOW 8u
#define BELOW_WIDTH 100u /* of a text there, where the output has no width of its own */
#define PROV_BRIEF 3u /* the last column of provenance that its short form has: the kernel */
#define WRAP_LEAST 24u /* a narrower last column is not wrapped */

static const char *const sgr[] = {
	[MS_STYLE_PLAIN] = "",	      [MS_STYLE_DIM] = "\033[2m",    [MS_STYLE_GOOD] = "\033[32m",
	[MS_STYLE_WARN] = "\033[33m", [MS_STYLE_BAD] = "\033[1;31m", [MS_STYLE_ACCENT] = "\033[36m",
};
#define SGR_BOLD "\033[1m"
#define SGR_OFF "\033[0m"

struct text {
	const struct ms_result *result;
	const struct ms_render_opts *opts;
	struct sink *sink;
	struct ms_buf cell; /* scratch: one formatted cell */
};

/* Code points; texts are clean by now, so each is at least one column and nearly always exactly one. */
static u32 display_width(const char *s, size_t len)
{
	u32 width = 0;
	size_t i;

	/* All but those that go on with one. */
	for (i = 0; i < len; i++)
		width += ((unsigned char)s[i] & 0xc0) != 0x80;
	return width;
}

static void put_styled(struct text *t, enum ms_style style, const char *s, size_t len)
{
	bool color = t->opts->color && *sgr[style];

	if (color)
		ms_buf_puts(&t->sink->buf, sgr[style]);
	ms_buf_put(&t->sink->buf, s, len);
	if (color)
		ms_buf_puts(&t->sink->buf, SGR_OFF);
}

static void put_heading(struct text *t, const char *title)
{
	if (t->opts->color)
		ms_buf_puts(&t->sink->buf, SGR_BOLD);
	ms_buf_puts(&t->sink->buf, title);
	if (t->opts->color)
		ms_buf_puts(&t->sink->buf, SGR_OFF);
}

/* Break text at blanks into lines of width, each after the first indented. Width 0: one line. */
static void put_wrapped(struct text *t, enum ms_style style, const char *s, size_t len, u32 indent, u32 width)
{
	size_t take, last;

	while (width && display_width(s, len) > width) {
		/* Bytes count as columns here: a line of long characters is broken early, never late. */
		for (take = 0, last = 0; take < len && take <= width; take++)
			if (s[take] == ' ')
				last = take;
		if (!last)
			break;
		put_styled(t, style, s, last);
		ms_buf_putc(&t->sink->buf, '\n');
		ms_buf_pad(&t->sink->buf, ' ', indent);
		s += last + 1;
		len -= last + 1;
	}
	put_styled(t, style, s, len);
	ms_buf_putc(&t->sink->buf, '\n');
}

static void add_cell(const struct ms_column *col, const struct ms_cell *cell, u64 depth, struct ms_buf *out)
{
	if (col->flags & MS_COL_INDENT)
		ms_buf_pad(out, ' ', (depth < 16 ? depth : 16) * INDENT);
	ms_cell_format(cell, col, out);
}

static void format_cell(struct text *t, const struct ms_column *col, const struct ms_cell *cell, u64 depth)
{
	ms_buf_reset(&t->cell);
	add_cell(col, cell, depth, &t->cell);
}

/* --- objects --- */

/* Name and value of each column that has a value and none of these flags. */
static void put_pairs(struct text *t, const struct ms_section *section, const struct ms_cell *cells,
		      u8 skip_flags)
{
	u32 widest = 0, width;
	size_t i;

	for (i = 0; i < section->nr_cols; i++) {
		width = display_width(section->cols[i].title, strlen(section->cols[i].title));
		if (cells[i].kind != MS_V_ABSENT && width > widest)
			widest = width;
	}
	for (i = 0; i < section->nr_cols; i++) {
		if (cells[i].kind == MS_V_ABSENT || section->cols[i].flags & skip_flags)
			continue;
		width = display_width(section->cols[i].title, strlen(section->cols[i].title));
		ms_buf_puts(&t->sink->buf, section->cols[i].title);
		ms_buf_pad(&t->sink->buf, ' ', widest - width + GAP);
		format_cell(t, &section->cols[i], &cells[i], 0);
		width = t->opts->width > widest + GAP + WRAP_LEAST ? t->opts->width - widest - GAP : 0;
		put_wrapped(t, cells[i].style, ms_buf_str(&t->cell), t->cell.len, widest + GAP, width);
	}
}

static bool put_object(struct text *t, const struct ms_section *section)
{
	struct ms_cell *cells = ms_cells_create(section->nr_cols);

	if (!cells)
		return false;
	ms_result_row(t->result, section, 0, cells);
	put_pairs(t, section, cells, MS_COL_SKIP);
	ms_cells_destroy(cells, section->nr_cols);
	return sink_flush(t->sink, false);
}

/* "target: live; kernel: 6.1.0; ...", of the first nr columns; behind a title that is there stands `after'. */
static bool line_of(struct text *t, const struct ms_section *section, size_t nr, const char *after,
		    struct ms_buf *ret)
{
	struct ms_cell *cells = ms_cells_create(section->nr_cols);
	size_t i;

	if (!cells)
		return false;
	ms_result_row(t->result, section, 0, cells);
	for (i = 0; i < section->nr_cols && i < nr; i++) {
		if (cells[i].kind == MS_V_ABSENT || section->cols[i].flags & MS_COL_SKIP)
			continue;
		format_cell(t, &section->cols[i], &cells[i], 0);
		ms_buf_printf(ret, "%s%s%s", ret->len ? "; " : "", section->cols[i].title,
			      *section->cols[i].title ? after : "");
		ms_buf_puts(ret, ms_buf_str(&t->cell));
	}
	ms_cells_destroy(cells, section->nr_cols);
	return true;
}

/* "2026-11-26T13:45:20Z; round 3; ..." */
static bool put_line(struct text *t, const struct ms_section *section)
{
	struct ms_buf line = { 0 };

	if (!line_of(t, section, section->nr_cols, " ", &line))
		return false;
	ms_buf_puts(&t->sink->buf, ms_buf_str(&line));
	ms_buf_putc(&t->sink->buf, '\n');
	t->sink->buf.oom |= line.oom;
	ms_buf_deinit(&line);
	return sink_flush(t->sink, false);
}

/* "# target: live; kernel: 6.1.0; ..." */
static bool put_provenance(struct text *t, const struct ms_section *section)
{
	struct ms_buf line = { 0 };

	if (!line_of(t, section, t->opts->brief ? PROV_BRIEF + 1 : section->nr_cols, ": ", &line))
		return false;
	if (!t->opts->no_header) {
		ms_buf_puts(&t->sink->buf, "# ");
		put_wrapped(t, MS_STYLE_DIM, ms_buf_str(&line), line.len, 2,
			    t->opts->width > 40 ? t->opts->width - 2 : 0);
	}
	t->sink->buf.oom |= line.oom;
	ms_buf_deinit(&line);
	return sink_flush(t->sink, false);
}

/* --- tables --- */

struct layout {
	u32 *widths;
	bool *shown;
	size_t last; /* the last column shown */
	size_t depth; /* the column called "depth", or nr_cols */
};

/* How deep a row stands in a tree; 0 where no column says. */
static u64 depth_of(const struct ms_section *section, const struct layout *layout,
		    const struct ms_cell *cells)
{
	return layout->depth < section->nr_cols ? cells[layout->depth].u : 0;
}

static bool right_aligned(const struct ms_column *col)
{
	return col->kind == MS_V_COUNT || col->kind == MS_V_INT ||
	       (col->kind == MS_V_HEX && !(col->flags & MS_COL_INDENT));
}

static void measure_titles(const struct text *t, const struct ms_section *section, struct layout *layout)
{
	u32 width;
	size_t i;

	for (i = 0; i < section->nr_cols && !t->opts->no_header; i++) {
		width = display_width(section->cols[i].title, strlen(section->cols[i].title));
		if (width > layout->widths[i])
			layout->widths[i] = width;
	}
}

static bool measure(struct text *t, const struct ms_section *section, struct layout *layout,
		    struct ms_cell *cells)
{
	u32 width;
	size_t r, i;

	measure_titles(t, section, layout);
	for (r = 0; r < section->nr_rows; r++) {
		ms_result_row(t->result, section, r, cells);
		for (i = 0; i < section->nr_cols; i++) {
			if (!layout->shown[i])
				continue;
			format_cell(t, &section->cols[i], &cells[i], depth_of(section, layout, cells));
			width = display_width(ms_buf_str(&t->cell), t->cell.len);
			if (width > layout->widths[i])
				layout->widths[i] = width;
		}
		if (t->cell.oom)
			return false;
	}
	return true;
}

static u32 total_width(const struct ms_section *section, const struct layout *layout)
{
	u32 total = 0;
	size_t i;

	for (i = 0; i < section->nr_cols; i++)
		if (layout->shown[i])
			total += layout->widths[i] + GAP;
	return total ? total - GAP : 0;
}

/* Leave out columns until the table fits: highest prio first, rightmost first. */
static void fit(struct text *t, const struct ms_section *section, struct layout *layout,
		struct ms_buf *left_out)
{
	size_t i, worst;

	while (t->opts->width && total_width(section, layout) > t->opts->width) {
		worst = section->nr_cols;
		for (i = 0; i < section->nr_cols; i++)
			if (layout->shown[i] && section->cols[i].prio &&
			    (worst == section->nr_cols || section->cols[i].prio >= section->cols[worst].prio))
				worst = i;
		if (worst == section->nr_cols)
			break;
		layout->shown[worst] = false;
	}
	for (i = 0; i < section->nr_cols; i++)
		if (layout->shown[i])
			layout->last = i;
		else if (!(section->cols[i].flags & (MS_COL_SKIP | MS_COL_BELOW)))
			ms_buf_printf(left_out, "%s%s", left_out->len ? ", " : "", section->cols[i].title);
}

static void put_field(struct text *t, const struct ms_column *col, const struct layout *layout, size_t i,
		      enum ms_style style, const char *s, size_t len, u32 width, u32 *at)
{
	u32 pad = layout->widths[i] > width ? layout->widths[i] - width : 0;
	u32 room;

	if (right_aligned(col)) {
		ms_buf_pad(&t->sink->buf, ' ', pad);
		put_styled(t, style, s, len);
		pad = 0;
	} else if (i == layout->last) {
		room = t->opts->width > *at + WRAP_LEAST ? t->opts->width - *at : 0;
		put_wrapped(t, style, s, len, *at, room);
		return;
	} else {
		put_styled(t, style, s, len);
	}
	if (i == layout->last) {
		ms_buf_putc(&t->sink->buf, '\n');
		return;
	}
	ms_buf_pad(&t->sink->buf, ' ', pad + GAP);
	*at += layout->widths[i] + GAP;
}

/* What stands below a row: words one a line, a text wrapped. */
static void put_below(struct text *t, const struct ms_column *col, enum ms_style style, const char *s,
		      size_t len)
{
	u32 width = t->opts->width ? t->opts->width : BELOW_WIDTH;
	size_t word;

	if (col->kind == MS_V_TEXT && len) {
		ms_buf_pad(&t->sink->buf, ' ', BELOW);
		put_wrapped(t, style, s, len, BELOW, width > BELOW + WRAP_LEAST ? width - BELOW : 0);
		return;
	}
	while (len) {
		for (word = 0; word < len && s[word] != ' ';)
			word++;
		if (word) {
			ms_buf_pad(&t->sink->buf, ' ', BELOW);
			put_styled(t, MS_STYLE_DIM, s, word);
			ms_buf_putc(&t->sink->buf, '\n');
		}
		word += word < len;
		s += word;
		len -= word;
	}
}

/* Of a cell that is there, in a column that stands below. */
static bool is_below(const struct ms_column *col, const struct ms_cell *cell)
{
	return col->flags & MS_COL_BELOW && cell->kind != MS_V_ABSENT;
}

static bool put_rows(struct text *t, const struct ms_section *section, const struct layout *layout,
		     struct ms_cell *cells)
{
	size_t r, i;
	u32 at;

	for (r = 0; r < section->nr_rows; r++) {
		ms_result_row(t->result, section, r, cells);
		for (i = 0, at = 0; i < section->nr_cols; i++) {
			if (!layout->shown[i])
				continue;
			format_cell(t, &section->cols[i], &cells[i], depth_of(section, layout, cells));
			put_field(t, &section->cols[i], layout, i, cells[i].style, ms_buf_str(&t->cell),
				  t->cell.len, display_width(ms_buf_str(&t->cell), t->cell.len), &at);
		}
		for (i = 0; i < section->nr_cols; i++) {
			if (!is_below(&section->cols[i], &cells[i]))
				continue;
			format_cell(t, &section->cols[i], &cells[i], 0);
			put_below(t, &section->cols[i], cells[i].style, ms_buf_str(&t->cell), t->cell.len);
		}
		if (!sink_flush(t->sink, false))
			return false;
	}
	return true;
}

/* Is there too little room to wrap the last column, because of texts before it? */
static bool wants_blocks(const struct text *t, const struct ms_section *section, const struct layout *layout)
{
	u32 before = total_width(section, layout) - layout->widths[layout->last];
	bool has_long = false;
	size_t i;

	for (i = 0; i < layout->last; i++)
		has_long |= layout->shown[i] && section->cols[i].kind == MS_V_TEXT &&
			    layout->widths[i] > WRAP_LEAST;
	return has_long && t->opts->width && total_width(section, layout) > t->opts->width &&
	       before + WRAP_LEAST > t->opts->width;
}

static bool put_blocks(struct text *t, const struct ms_section *section, struct ms_cell *cells)
{
	size_t r;

	for (r = 0; r < section->nr_rows; r++) {
		if (r)
			ms_buf_putc(&t->sink->buf, '\n');
		ms_result_row(t->result, section, r, cells);
		put_pairs(t, section, cells, MS_COL_SKIP);
		if (!sink_flush(t->sink, false))
			return false;
	}
	return true;
}

static void choose(const struct ms_section *section, struct layout *layout)
{
	size_t i;

	for (i = 0; i < section->nr_cols; i++) {
		layout->shown[i] = !(section->cols[i].flags & (MS_COL_SKIP | MS_COL_BELOW));
		if (layout->shown[i])
			layout->last = i;
		if (!strcmp(section->cols[i].name, "depth"))
			layout->depth = i;
	}
}

static void put_titles(struct text *t, const struct ms_section *section, const struct layout *layout)
{
	u32 at = 0;
	size_t i;

	for (i = 0; i < section->nr_cols && !t->opts->no_header; i++)
		if (layout->shown[i])
			put_field(t, &section->cols[i], layout, i,
				  t->opts->color ? MS_STYLE_DIM : MS_STYLE_PLAIN, section->cols[i].title,
				  strlen(section->cols[i].title),
				  display_width(section->cols[i].title, strlen(section->cols[i].title)), &at);
}

static bool put_table_with(struct text *t, const struct ms_section *section, struct layout *layout,
			   struct ms_cell *cells)
{
	struct ms_buf left_out = { 0 };
	bool ok;

	choose(section, layout);
	if (!measure(t, section, layout, cells))
		return false;
	fit(t, section, layout, &left_out);
	if (wants_blocks(t, section, layout)) {
		ms_buf_deinit(&left_out);
		return put_blocks(t, section, cells);
	}
	put_titles(t, section, layout);
	ok = put_rows(t, section, layout, cells);
	if (left_out.len && !t->opts->no_header) {
		ms_buf_puts(&t->sink->buf, "# ");
		ms_buf_puts(&left_out, " left out: the terminal is too narrow (--json has all)");
		put_wrapped(t, MS_STYLE_DIM, ms_buf_str(&left_out), left_out.len, 2,
			    t->opts->width > 40 ? t->opts->width - 2 : 0);
	}
	ms_buf_deinit(&left_out);
	return ok;
}

static bool put_table(struct text *t, const struct ms_section *section)
{
	struct layout layout = {
		.widths = calloc(section->nr_cols, sizeof(*layout.widths)),
		.shown = calloc(section->nr_cols, sizeof(*layout.shown)),
		.depth = section->nr_cols,
	};
	struct ms_cell *cells = ms_cells_create(section->nr_cols);
	bool ok = false;

	if (layout.widths && layout.shown && cells) {
		if (!section->nr_rows)
			ms_buf_puts(&t->sink->buf, t->opts->no_header ? "" : "(none)\n");
		else
			ok = put_table_with(t, section, &layout, cells);
		ok = ok || !section->nr_rows;
	}
	free(layout.widths);
	free(layout.shown);
	ms_cells_destroy(cells, section->nr_cols);
	return ok;
}

bool render_text(const struct ms_result *result, const struct ms_render_opts *opts, struct sink *sink)
{
	struct text t = { .result = result, .opts = opts, .sink = sink };
	const struct ms_section *section;
	bool ok = true;
	size_t i;

	if (result->prov.present)
		ok = put_provenance(&t, &result->prov_section);
	for (i = 0; i < result->nr_sections && ok; i++) {
		section = &result->sections[i];
		if (section->data_only)
			continue;
		if (section->line || opts->lines_only) {
			ok = !section->line || put_line(&t, section);
			continue;
		}
		if (!opts->no_header && (result->nr_sections > 1 || result->prov.present)) {
			if (i || result->prov.present)
				ms_buf_putc(&sink->buf, '\n');
			put_heading(&t, section->title);
			if (section->table)
				ms_buf_printf(&sink->buf, " (%zu)", section->nr_rows);
			ms_buf_putc(&sink->buf, '\n');
		}
		ok = section->table ? put_table(&t, section) : put_object(&t, section);
	}
	/* Notes say how far the rest can be trusted: no option takes them away. */
	for (i = 0; i < result->nr_notes && ok && !opts->lines_only; i++) {
		if (!i && !opts->no_header)
			ms_buf_putc(&sink->buf, '\n');
		ms_buf_puts(&sink->buf, "note: ");
		put_wrapped(&t, MS_STYLE_WARN, result->notes[i], strlen(result->notes[i]), 6,
			    opts->width > 40 ? opts->width - 6 : 0);
	}
	sink->buf.oom |= t.cell.oom;
	ms_buf_deinit(&t.cell);
	return ok && sink_flush(sink, false);
}

/* --- rows that come bit by bit --- */

/* A batch of rows, formatted once: the widths are known when all of them are. */
struct kept {
	struct ms_buf text; /* of all cells, one after the other */
	struct piece {
		u32 len, width;
		u8 style; /* enum ms_style */
	} * pieces; /* nr_cols a row */
};

static void measure_least(const struct ms_section *section, struct layout *layout)
{
	size_t i;

	for (i = 0; i < section->nr_cols; i++)
		if (layout->shown[i] && layout->widths[i] < section->cols[i].least)
			layout->widths[i] = section->cols[i].least;
}

static bool keep_rows(struct text *t, const struct ms_section *section, struct layout *layout,
		      struct ms_cell *cells, struct kept *kept)
{
	struct piece *piece = kept->pieces;
	size_t r, i, start;

	for (r = 0; r < section->nr_rows && !kept->text.oom; r++) {
		ms_result_row(t->result, section, r, cells);
		for (i = 0; i < section->nr_cols; i++, piece++) {
			if (!layout->shown[i] && !is_below(&section->cols[i], &cells[i]))
				continue;
			start = kept->text.len;
			add_cell(&section->cols[i], &cells[i], depth_of(section, layout, cells), &kept->text);
			piece->len = (u32)(kept->text.len - start);
			piece->style = (u8)cells[i].style;
			/* Nothing stands behind the last one that would have to be moved. */
			if (layout->shown[i] && (i != layout->last || right_aligned(&section->cols[i])))
				piece->width = display_width(ms_buf_str(&kept->text) + start, piece->len);
			if (piece->width > layout->widths[i])
				layout->widths[i] = piece->width;
		}
	}
	return !kept->text.oom;
}

static bool put_kept(struct text *t, const struct ms_section *section, const struct layout *layout,
		     const struct kept *kept)
{
	const struct piece *piece = kept->pieces;
	const char *s = ms_buf_str(&kept->text), *row;
	size_t r, i;
	u32 at;

	for (r = 0; r < section->nr_rows; r++, piece += section->nr_cols) {
		row = s;
		for (i = 0, at = 0; i < section->nr_cols; s += piece[i].len, i++)
			if (layout->shown[i])
				put_field(t, &section->cols[i], layout, i, piece[i].style, s, piece[i].len,
					  piece[i].width, &at);
		for (i = 0; i < section->nr_cols; row += piece[i].len, i++)
			if (!layout->shown[i])
				put_below(t, &section->cols[i], piece[i].style, row, piece[i].len);
		if (!sink_flush(t->sink, false))
			return false;
	}
	return true;
}

bool render_rows_text(const struct ms_result *result, const struct ms_render_opts *opts, struct ms_rows *rows,
		      struct sink *sink)
{
	struct text t = { .result = result, .opts = opts, .sink = sink };
	const struct ms_section *section = &result->sections[0];
	bool shown[MS_ROWS_COLS_MAX];
	struct layout layout = { .widths = rows->widths, .shown = shown, .depth = section->nr_cols };
	struct kept kept = { 0 };
	struct ms_cell *cells;
	u32 before;
	bool ok;

	if (section->nr_cols > MS_ROWS_COLS_MAX)
		return false;
	cells = ms_cells_create(section->nr_cols);
	kept.pieces = calloc(section->nr_rows * section->nr_cols + 1, sizeof(*kept.pieces));
	if (!cells || !kept.pieces) {
		ms_cells_destroy(cells, section->nr_cols);
		free(kept.pieces);
		return false;
	}
	choose(section, &layout);
	measure_titles(&t, section, &layout);
	measure_least(section, &layout);
	before = total_width(section, &layout);
	ok = keep_rows(&t, section, &layout, cells, &kept);
	if (ok && !rows->begun && result->prov.present)
		ok = put_provenance(&t, &result->prov_section);
	if (ok && !rows->begun && !opts->no_header)
		ms_buf_putc(&sink->buf, '\n');
	/* Once more where the columns have moved: each row stands below its headings. */
	if (ok && !opts->no_header && (!rows->begun || total_width(section, &layout) != before))
		put_titles(&t, section, &layout);
	rows->begun = true;
	ok = ok && put_kept(&t, section, &layout, &kept);
	sink->buf.oom |= t.cell.oom;
	ms_buf_deinit(&t.cell);
	ms_buf_deinit(&kept.text);
	free(kept.pieces);
	ms_cells_destroy(cells, section->nr_cols);
	return ok;
}
