// SPDX-License-Identifier: GPL-2.0-or-later
/* Cells, clipping and character widths: see grid.h. Must not know a terminal or what is shown. */
#include "ui/grid.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const glyphs[MS_NR_GLYPHS][2] = {
	/* ASCII, UTF-8: one column each */
	[MS_GLYPH_HLINE] = { "-", "─" },  [MS_GLYPH_VLINE] = { "|", "│" }, [MS_GLYPH_OPEN] = { "-", "▾" },
	[MS_GLYPH_CLOSED] = { "+", "▸" }, [MS_GLYPH_CRUMB] = { ">", "›" }, [MS_GLYPH_CUT] = { "~", "…" },
	[MS_GLYPH_ARROW] = { ">", "→" },  [MS_GLYPH_UP] = { "^", "↑" },	   [MS_GLYPH_DOWN] = { "v", "↓" },
};

struct cp_range {
	u32 first, last;
};

/*
 * Widths are decided here and not by wcwidth(): the same text must give the same grid in every locale. Ranges
 * are Unicode 15's, joined where what lies between is unassigned.
 */
static const struct cp_range zero_width[] = {
	{ 0x0300, 0x036f }, { 0x0483, 0x0489 },	  { 0x0591, 0x05bd },	{ 0x05bf, 0x05bf },
	{ 0x05c1, 0x05c2 }, { 0x05c4, 0x05c5 },	  { 0x05c7, 0x05c7 },	{ 0x0610, 0x061a },
	{ 0x064b, 0x065f }, { 0x0670, 0x0670 },	  { 0x06d6, 0x06dc },	{ 0x06df, 0x06e4 },
	{ 0x06e7, 0x06e8 }, { 0x06ea, 0x06ed },	  { 0x0711, 0x0711 },	{ 0x0730, 0x074a },
	{ 0x07a6, 0x07b0 }, { 0x07eb, 0x07f3 },	  { 0x0816, 0x082d },	{ 0x0859, 0x085b },
	{ 0x08d3, 0x0902 }, { 0x093a, 0x093a },	  { 0x093c, 0x093c },	{ 0x0941, 0x0948 },
	{ 0x094d, 0x094d }, { 0x0951, 0x0957 },	  { 0x0962, 0x0963 },	{ 0x0e31, 0x0e31 },
	{ 0x0e34, 0x0e3a }, { 0x0e47, 0x0e4e },	  { 0x0eb1, 0x0eb1 },	{ 0x0eb4, 0x0ebc },
	{ 0x0ec8, 0x0ecd }, { 0x135d, 0x135f },	  { 0x1ab0, 0x1aff },	{ 0x1dc0, 0x1dff },
	{ 0x20d0, 0x20f0 }, { 0x302a, 0x302d },	  { 0x3099, 0x309a },	{ 0xfe00, 0xfe0f },
	{ 0xfe20, 0xfe2f }, { 0x1d165, 0x1d169 }, { 0x1d16d, 0x1d182 }, { 0x1f3fb, 0x1f3ff },
};

static const struct cp_range wide[] = {
	{ 0x1100, 0x115f },   { 0x231a, 0x231b },   { 0x2329, 0x232a },	  { 0x23e9, 0x23ec },
	{ 0x25fd, 0x25fe },   { 0x2614, 0x2615 },   { 0x2648, 0x2653 },	  { 0x26a1, 0x26a1 },
	{ 0x26aa, 0x26ab },   { 0x26bd, 0x26be },   { 0x26c4, 0x26c5 },	  { 0x2705, 0x2705 },
	{ 0x270a, 0x270b },   { 0x2728, 0x2728 },   { 0x274c, 0x274e },	  { 0x2753, 0x2757 },
	{ 0x2795, 0x2797 },   { 0x2b1b, 0x2b1c },   { 0x2b50, 0x2b55 },	  { 0x2e80, 0x303e },
	{ 0x3041, 0x33ff },   { 0x3400, 0x4dbf },   { 0x4e00, 0xa4cf },	  { 0xa960, 0xa97f },
	{ 0xac00, 0xd7a3 },   { 0xf900, 0xfaff },   { 0xfe10, 0xfe19 },	  { 0xfe30, 0xfe6f },
	{ 0xff00, 0xff60 },   { 0xffe0, 0xffe6 },   { 0x16fe0, 0x18aff }, { 0x1b000, 0x1b2ff },
	{ 0x1f004, 0x1f004 }, { 0x1f0cf, 0x1f0cf }, { 0x1f18e, 0x1f19a }, { 0x1f200, 0x1f320 },
	{ 0x1f32d, 0x1f64f }, { 0x1f680, 0x1f6ff }, { 0x1f7e0, 0x1f7eb }, { 0x1f90c, 0x1f9ff },
	{ 0x1fa70, 0x1faff }, { 0x20000, 0x3fffd },
};

static bool cp_in(u32 cp, const struct cp_range *ranges, size_t nr)
{
	size_t lo = 0, hi = nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (cp > ranges[mid].last)
			lo = mid + 1;
		else if (cp < ranges[mid].first)
			hi = mid;
		else
			return true;
	}
	return false;
}

u32 ms_cp_width(u32 cp)
{
	if (cp < 0x300)
		return 1;
	if (cp_in(cp, zero_width, sizeof(zero_width) / sizeof(*zero_width)))
		return 0;
	return cp_in(cp, wide, sizeof(wide) / sizeof(*wide)) ? 2 : 1;
}

void ms_grid_deinit(struct ms_grid *grid)
{
	free(grid->cells);
	memset(grid, 0, sizeof(*grid));
}

struct ms_err *ms_grid_resize(struct ms_grid *grid, u32 width, u32 height)
{
	struct ms_grid_cell *cells;

	width = width > MS_GRID_MAX ? MS_GRID_MAX : width;
	height = height > MS_GRID_MAX ? MS_GRID_MAX : height;
	if (width != grid->width || height != grid->height) {
		cells = calloc((size_t)width * height + 1, sizeof(*cells));
		if (!cells)
			return ms_err_nomem();
		free(grid->cells);
		grid->cells = cells;
		grid->width = width;
		grid->height = height;
	}
	ms_grid_clear(grid);
	return NULL;
}

void ms_grid_clear(struct ms_grid *grid)
{
	size_t i, nr = (size_t)grid->width * grid->height;

	for (i = 0; i < nr; i++)
		grid->cells[i] = (struct ms_grid_cell){ .cp = ' ' };
}

static struct ms_grid_cell *cell_at(const struct ms_grid *grid, u32 y, u32 x)
{
	if (y >= grid->height || x >= grid->width)
		return NULL;
	return &grid->cells[(size_t)y * grid->width + x];
}

const struct ms_grid_cell *ms_grid_at(const struct ms_grid *grid, u32 y, u32 x)
{
	return cell_at(grid, y, x);
}

/* Whoever overwrites one half of a wide character takes the other half away too. */
static void cell_release(struct ms_grid *grid, u32 y, u32 x)
{
	struct ms_grid_cell *cell = cell_at(grid, y, x);
	struct ms_grid_cell *other;

	if (!cell)
		return;
	if (!cell->cp && x) {
		other = cell_at(grid, y, x - 1);
		other->cp = ' ';
	}
	other = cell_at(grid, y, x + 1);
	if (cell->cp && other && !other->cp)
		other->cp = ' ';
}

static void cell_set(struct ms_grid *grid, u32 y, u32 x, u32 cp, u32 width, enum ms_look look)
{
	u32 i;

	for (i = 0; i < width; i++) {
		struct ms_grid_cell *cell = cell_at(grid, y, x + i);

		if (!cell)
			return;
		cell_release(grid, y, x + i);
		cell->cp = i ? 0 : cp;
		cell->look = (u8)look;
		cell->flags = 0;
	}
}

/* The next thing to show of `text': a code point with its width, or a byte to be shown as \xNN (escaped). */
struct piece {
	u32 cp, width;
	bool escaped;
	size_t bytes;
};

static struct piece piece_next(const char *text, size_t len, bool utf8)
{
	struct piece p = { 0 };
	unsigned int cp = 0;
	size_t n = ms_utf8_next(text, len, &cp);

	if (!n || !ms_cp_is_printable(cp)) {
		p.cp = (unsigned char)text[0];
		p.width = 4;
		p.escaped = true;
		p.bytes = 1;
		return p;
	}
	p.bytes = n;
	p.width = ms_cp_width(cp);
	p.cp = cp;
	if (!utf8 && cp >= 0x80) /* keeps its width, so that columns stay where they are in either charset */
		p.cp = '?';
	return p;
}

u32 ms_text_width(const char *text)
{
	size_t len = strlen(text);
	u32 width = 0;

	while (len && width < MS_GRID_MAX) {
		struct piece p = piece_next(text, len, true);

		width += p.width;
		text += p.bytes;
		len -= p.bytes;
	}
	return width;
}

static void piece_put(struct ms_grid *grid, u32 y, u32 x, u32 room, enum ms_look look, const struct piece *p)
{
	static const char hex[] = "0123456789abcdef";
	u32 i;

	if (p->escaped) {
		const char text[4] = { '\\', 'x', hex[p->cp >> 4 & 0xf], hex[p->cp & 0xf] };

		for (i = 0; i < 4 && i < room; i++)
			cell_set(grid, y, x + i, (unsigned char)text[i], 1, look);
		return;
	}
	if (p->width == 2 && (p->cp == '?' || x + 1 >= grid->width)) {
		cell_set(grid, y, x, p->cp == '?' ? '?' : ' ', 1, look);
		cell_set(grid, y, x + 1, ' ', 1, look);
		return;
	}
	cell_set(grid, y, x, p->cp, p->width, look);
}

u32 ms_grid_put(struct ms_grid *grid, u32 y, u32 x, u32 max_cols, enum ms_look look, const char *text)
{
	size_t len = strlen(text);
	u32 used = 0, room = max_cols, total;

	if (y >= grid->height || x >= grid->width)
		return 0;
	if (room > grid->width - x)
		room = grid->width - x;
	if (!room)
		return 0;
	total = ms_text_width(text);
	if (total > room)
		room--; /* for the mark of the cut */
	while (len) {
		struct piece p = piece_next(text, len, grid->utf8);

		if (used + p.width > room)
			break;
		piece_put(grid, y, x + used, room - used, look, &p);
		used += p.width;
		text += p.bytes;
		len -= p.bytes;
	}
	if (total > room) {
		while (used < room)
			cell_set(grid, y, x + used++, ' ', 1, look);
		ms_grid_glyph(grid, y, x + used++, look, MS_GLYPH_CUT);
	}
	return used;
}

u32 ms_grid_printf(struct ms_grid *grid, u32 y, u32 x, u32 max_cols, enum ms_look look, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ms_grid_put(grid, y, x, max_cols, look, text);
}

void ms_grid_put_right(struct ms_grid *grid, u32 y, u32 x, u32 cols, enum ms_look look, const char *text)
{
	u32 width = ms_text_width(text);

	ms_grid_put(grid, y, width < cols ? x + cols - width : x, cols, look, text);
}

const char *ms_glyph_str(const struct ms_grid *grid, enum ms_glyph glyph)
{
	return glyphs[glyph][grid->utf8];
}

void ms_grid_glyph(struct ms_grid *grid, u32 y, u32 x, enum ms_look look, enum ms_glyph glyph)
{
	const char *text = ms_glyph_str(grid, glyph);
	unsigned int cp = '?';

	ms_utf8_next(text, strlen(text), &cp);
	cell_set(grid, y, x, cp, 1, look);
}

void ms_grid_fill(struct ms_grid *grid, u32 y, u32 x, u32 cols, enum ms_look look, char c)
{
	u32 i;

	for (i = 0; i < cols && x + i < grid->width; i++)
		cell_set(grid, y, x + i, (unsigned char)c, 1, look);
}

void ms_grid_hline(struct ms_grid *grid, u32 y, u32 x, u32 cols, enum ms_look look)
{
	u32 i;

	for (i = 0; i < cols && x + i < grid->width; i++)
		ms_grid_glyph(grid, y, x + i, look, MS_GLYPH_HLINE);
}

void ms_grid_flag(struct ms_grid *grid, u32 y, u32 x, u32 cols, u8 flags)
{
	u32 i;

	for (i = 0; i < cols; i++) {
		struct ms_grid_cell *cell = cell_at(grid, y, x + i);

		if (!cell)
			return;
		cell->flags |= flags;
	}
}

static void buf_put_cp(struct ms_buf *buf, u32 cp)
{
	char out[4];
	size_t len;

	if (cp < 0x80) {
		ms_buf_putc(buf, (char)cp);
		return;
	}
	len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	out[0] = (char)(((0xf00 >> len) & 0xff) | cp >> 6 * (len - 1));
	for (size_t i = 1; i < len; i++)
		out[i] = (char)(0x80 | (cp >> 6 * (len - 1 - i) & 0x3f));
	ms_buf_put(buf, out, len);
}

void ms_grid_text(const struct ms_grid *grid, struct ms_buf *buf)
{
	u32 y, x, end;

	for (y = 0; y < grid->height; y++) {
		for (end = grid->width; end && cell_at(grid, y, end - 1)->cp == ' '; end--)
			;
		for (x = 0; x < end; x++)
			if (cell_at(grid, y, x)->cp)
				buf_put_cp(buf, cell_at(grid, y, x)->cp);
		ms_buf_putc(buf, '\n');
	}
}

static char cell_letter(const struct ms_grid_cell *cell)
{
	static const char letters[] = {
#define MS_LOOK(id, letter, colour, attrs, mono) letter,
#include "ui/look.def"
#undef MS_LOOK
	};

	if (cell->flags & MS_CELL_SELECTED)
		return 'S';
	return cell->flags & MS_CELL_MARKED ? 's' : letters[cell->look];
}

void ms_grid_looks(const struct ms_grid *grid, struct ms_buf *buf)
{
	u32 y, x, end;

	for (y = 0; y < grid->height; y++) {
		for (end = grid->width; end && cell_letter(cell_at(grid, y, end - 1)) == ' '; end--)
			;
		for (x = 0; x < end; x++)
			ms_buf_putc(buf, cell_letter(cell_at(grid, y, x)));
		ms_buf_putc(buf, '\n');
	}
}
