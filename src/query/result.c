/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Results, sections and cells: their storage, and the writing of one value. */
#include "query/private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct ms_cell *ms_cells_create(size_t nr)
{
	return calloc(nr ? nr : 1, sizeof(struct ms_cell));
}

void ms_cells_destroy(struct ms_cell *cells, size_t nr)
{
	size_t i;

	if (!cells)
		return;
	for (i = 0; i < nr; i++)
		ms_buf_deinit(&cells[i].text);
	free(cells);
}

void ms_result_row(const struct ms_result *result, const struct ms_section *section, size_t row,
		   struct ms_cell *cells)
{
	size_t i;

	for (i = 0; i < section->nr_cols; i++) {
		cells[i].kind = MS_V_ABSENT;
		cells[i].secret = section->cols[i].secret;
		cells[i].style = MS_STYLE_PLAIN;
		cells[i].u = 0;
		ms_buf_reset(&cells[i].text);
	}
	section->row(section, row, cells);
	if (!result->redactor)
		return;
	for (i = 0; i < section->nr_cols; i++)
		redact_cell(result->redactor, &cells[i]);
}

void ms_cell_format(const struct ms_cell *cell, const struct ms_column *col, struct ms_buf *out)
{
	switch (cell->kind) {
	case MS_V_ABSENT:
		ms_buf_putc(out, '-');
		return;
	case MS_V_COUNT:
		ms_buf_put_number(out, cell->u, 10, 1);
		return;
	case MS_V_INT:
		if ((s64)cell->u < 0)
			ms_buf_putc(out, '-');
		ms_buf_put_number(out, (s64)cell->u < 0 ? 0 - cell->u : cell->u, 10, 1);
		return;
	case MS_V_HEX:
		ms_buf_put(out, "0x", 2);
		ms_buf_put_number(out, cell->u, 16, col->digits);
		return;
	case MS_V_BOOL:
		ms_buf_puts(out, cell->u ? "yes" : "no");
		return;
	case MS_V_TEXT:
	case MS_V_WORDS:
		if (cell->text.len)
			ms_buf_put_clean(out, cell->text.data, cell->text.len);
		else
			ms_buf_putc(out, '-');
		return;
	}
}

struct ms_section *section_add(struct query *q, const char *key, const char *title, bool table,
			       const struct ms_column *cols, size_t nr_cols, size_t nr_rows,
			       void (*row)(const struct ms_section *section, size_t row,
					   struct ms_cell *cells))
{
	struct ms_result *result = q->result;
	struct ms_section *grown = realloc(result->sections, (result->nr_sections + 1) * sizeof(*grown));
	struct ms_section *section;

	if (!grown)
		return NULL;
	result->sections = grown;
	section = &grown[result->nr_sections++];
	*section = (struct ms_section){
		.key = key,
		.title = title,
		.table = table,
		.cols = cols,
		.nr_cols = nr_cols,
		.nr_rows = nr_rows,
		.row = row,
		.model = q->model,
		.vm = q->vm,
	};
	return section;
}

struct ms_err *note_add(struct ms_result *result, const char *fmt, ...)
{
	char **grown = realloc(result->notes, (result->nr_notes + 1) * sizeof(*grown));
	va_list ap;
	int len;

	if (!grown)
		return ms_err_nomem();
	result->notes = grown;
	va_start(ap, fmt);
	len = vasprintf(&grown[result->nr_notes], fmt, ap);
	va_end(ap);
	if (len < 0)
		return ms_err_nomem();
	result->nr_notes++;
	return NULL;
}

struct ms_err *rows_left_note(struct query *q, const char *what, size_t nr)
{
	return nr ? note_add(q->result, "not shown: %zu %s", nr, what) : NULL;
}

void ms_result_destroy(struct ms_result *result)
{
	struct ms_section *section;
	size_t i;

	if (!result)
		return;
	for (i = 0; i < result->nr_sections; i++) {
		section = &result->sections[i];
		if (section->owned_free)
			section->owned_free(section->owned);
		else
			free(section->owned);
	}
	for (i = 0; i < result->nr_notes; i++)
		free(result->notes[i]);
	free(result->notes);
	free(result->sections);
	if (!result->redactor_lent)
		redactor_destroy(result->redactor);
	free(result);
}

struct ms_cell *cell_textn(struct ms_cell **at, const char *text, size_t len)
{
	struct ms_cell *cell = (*at)++;

	cell->kind = MS_V_TEXT;
	ms_buf_put(&cell->text, text, len);
	return cell;
}

struct ms_cell *cell_text(struct ms_cell **at, const char *text)
{
	return text ? cell_textn(at, text, strlen(text)) : cell_none(at);
}

struct ms_cell *cell_words(struct ms_cell **at)
{
	struct ms_cell *cell = (*at)++;

	cell->kind = MS_V_WORDS;
	return cell;
}

void word_add(struct ms_cell *cell, const char *word)
{
	if (cell->text.len)
		ms_buf_putc(&cell->text, ' ');
	ms_buf_puts(&cell->text, word);
}

struct ms_cell *cell_role(struct ms_cell **at, const struct ms_model *model, u32 role)
{
	bool ept = model->profile.format == SPTE_FMT_EPT;
	char text[256];

	role_format(&model->roles, role, ept, text, sizeof(text));
	return cell_text(at, text);
}

struct ms_cell *cell_cpu_role(struct ms_cell **at, const struct ms_model *model, u64 role)
{
	struct ms_cell *cell = cell_role(at, model, (u32)role);
	char text[256];

	role_format(&model->roles_ext, (u32)(role >> 32), false, text, sizeof(text));
	if (*text)
		ms_buf_printf(&cell->text, " | %s", text);
	return cell;
}

struct ms_cell *cell_sp_state(struct ms_cell **at, u32 state)
{
	struct ms_cell *cell = cell_text(at, ms_sp_state_name(state));

	cell->style = state == MS_SP_CONFIRMED ? MS_STYLE_PLAIN : MS_STYLE_WARN;
	return cell;
}

void cell_time(struct ms_cell **at, u64 time_ns)
{
	time_t seconds = (time_t)(time_ns / 1000000000u);
	char text[40] = "";
	struct tm tm;

	/* A record may hold any number; a year past 9999 is no time that was ever read. */
	if (!time_ns || !gmtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		cell_none(at);
	else
		cell_text(at, text);
}

const char *hv_name(u32 hv)
{
	return hv == MS_HV_SVM ? "svm" : hv == MS_HV_VMX ? "vmx" : "unknown";
}

u32 entry_nth(const u64 *bits, u32 nth)
{
	u32 word, nr;
	u64 left;

	for (word = 0; word < MS_SPTES / 64; word++) {
		nr = (u32)__builtin_popcountll(bits[word]);
		if (nth < nr)
			break;
		nth -= nr;
	}
	if (word == MS_SPTES / 64)
		return MS_SPTES - 1;
	for (left = bits[word]; nth; nth--)
		left &= left - 1;
	return word * 64 + (u32)__builtin_ctzll(left);
}
