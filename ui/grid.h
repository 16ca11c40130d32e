/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A grid of character cells that views draw into and that a terminal or a test takes out again. It knows code
 * points, their width and what a cell means (look.def); it knows no terminal, no colour and no model.
 * Everything is clipped: no call can write outside the grid or outside the width it was given. Text is
 * cleaned on the way in.
 */
#ifndef UI_GRID_H
#define UI_GRID_H

#include <stdio.h>

#include "abi/types.h"
#include "base/buf.h"
#include "base/err.h"

enum ms_look {
#define MS_LOOK(id, letter, colour, attrs, mono) MS_LOOK_##id,
#include "ui/look.def"
#undef MS_LOOK
	MS_NR_LOOKS
};

/* On top of the look. */
#define MS_CELL_SELECTED (1u << 0) /* under the cursor of the focused pane */
#define MS_CELL_MARKED (1u << 1) /* under the cursor of another pane */

struct ms_grid_cell {
	u32 cp; /* 0: the right half of a wide character */
	u8 look; /* enum ms_look */
	u8 flags; /* MS_CELL_ */
};

struct ms_grid {
	struct ms_grid_cell *cells; /* row by row */
	u32 width, height;
	bool utf8; /* false: every cell ends up as ASCII */
};

/* The part of a grid a view may draw in. */
struct ms_rect {
	u32 y, x, h, w;
};

/* Characters that have an ASCII stand-in. */
enum ms_glyph {
	MS_GLYPH_HLINE,
	MS_GLYPH_VLINE,
	MS_GLYPH_OPEN, /* an expanded branch */
	MS_GLYPH_CLOSED, /* one that can be expanded */
	MS_GLYPH_CRUMB, /* between the parts of a path */
	MS_GLYPH_CUT, /* text goes on */
	MS_GLYPH_ARROW,
	MS_GLYPH_UP,
	MS_GLYPH_DOWN,
	MS_NR_GLYPHS
};

/* The largest side; ms_grid_resize() cuts to it. */
#define MS_GRID_MAX 1000u

/* Zero-initialised is a valid grid of no cells. */
void ms_grid_deinit(struct ms_grid *grid);
/* Change the size and clear. A failed resize leaves the old grid as it was. */
struct ms_err *ms_grid_resize(struct ms_grid *grid, u32 width, u32 height) MS_MUST_CHECK;
void ms_grid_clear(struct ms_grid *grid);
/* The cell at (y, x), NULL outside. */
const struct ms_grid_cell *ms_grid_at(const struct ms_grid *grid, u32 y, u32 x);

/*
 * Write text that others may have written from (y, x) on, in at most max_cols columns: control characters,
 * foreign bytes and invisible formatting become \xNN, zero-width marks are dropped, a wide character that
 * does not fit leaves a blank. Text that is cut ends in MS_GLYPH_CUT. Returns the columns used.
 */
u32 ms_grid_put(struct ms_grid *grid, u32 y, u32 x, u32 max_cols, enum ms_look look, const char *text);
u32 ms_grid_printf(struct ms_grid *grid, u32 y, u32 x, u32 max_cols, enum ms_look look, const char *fmt, ...)
	MS_PRINTF(6, 7);
/* As ms_grid_put(), flush right in exactly `cols' columns. */
void ms_grid_put_right(struct ms_grid *grid, u32 y, u32 x, u32 cols, enum ms_look look, const char *text);
void ms_grid_glyph(struct ms_grid *grid, u32 y, u32 x, enum ms_look look, enum ms_glyph glyph);
/* `cols' times one ASCII character. */
void ms_grid_fill(struct ms_grid *grid, u32 y, u32 x, u32 cols, enum ms_look look, char c);
void ms_grid_hline(struct ms_grid *grid, u32 y, u32 x, u32 cols, enum ms_look look);
/* Set flags on cells that are there already. */
void ms_grid_flag(struct ms_grid *grid, u32 y, u32 x, u32 cols, u8 flags);

/* The glyph as UTF-8, or its ASCII stand-in. */
const char *ms_glyph_str(const struct ms_grid *grid, enum ms_glyph glyph);

/* Columns of a code point: 0, 1 or 2. Only asked of printable ones. */
u32 ms_cp_width(u32 cp);
/* Columns that cleaned text takes, without a limit. */
u32 ms_text_width(const char *text);

/* The rows as lines of text, trailing blanks cut. */
void ms_grid_text(const struct ms_grid *grid, struct ms_buf *buf);
/* The same shape with a letter for each cell's meaning: look.def's, S selected, s marked. */
void ms_grid_looks(const struct ms_grid *grid, struct ms_buf *buf);

#endif
