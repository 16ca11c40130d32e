/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events as rows: the columns that a list of events has, and the cells of one event. Everything about an event
 * comes from abi/events.def through abi/event_desc.h. In JSON each field that the event has is a member of its
 * own; in text the fields of an event stand in one column.
 */
#ifndef QUERY_EVENTS_H
#define QUERY_EVENTS_H

#include "abi/event_desc.h"
#include "query/query.h"

#define MS_EVENT_COLS_MAX 96

#define MS_EVENT_FIELDS_MAX 16

struct ms_event_table {
	struct ms_column cols[MS_EVENT_COLS_MAX];
	size_t nr;
	bool no_words; /* cells that only text has stay absent */
	u8 at[MS_EV_NR][MS_EVENT_FIELDS_MAX]; /* the column of an event's field; 0: it has none */
};

/* How events are shown. */
struct ms_event_show {
	const struct ms_model *model; /* whose SPTEs and roles they are */
	u64 start_ns; /* times are told from here */
	/* Whose pseudonyms fields in words have, NULL: none. Other cells are redacted by their columns. */
	struct ms_redactor *redactor;
	/* The words of an event's stack, and its addresses in the cell behind; NULL: it has none to show. */
	void (*stack)(void *ctx, const struct ms_event *event, struct ms_cell *cell);
	void *stack_ctx;
};

/* vms: of several VMs, text says whose each is. */
void ms_event_columns(bool vms, struct ms_event_table *ret);
/* Only what text shows, or what JSON does: less to fill for each event. */
void ms_event_columns_for(enum ms_stream_cells cells, struct ms_event_table *table);
/* The cells of an event, ret->nr of the table; kinds arrive as absent. */
void ms_event_cells(const struct ms_event_table *table, const struct ms_event_show *show,
		    const struct ms_event *event, struct ms_cell *cells);
/* "addr=0x1000", behind a blank where there is something before it. */
void ms_event_field(const struct ms_event_show *show, const struct ms_event *event,
		    const struct ms_event_field *field, struct ms_buf *ret);
/* "addr=0x1000 ret=fixed": appended. SPTEs and roles are decoded. No control characters. */
void ms_event_fields(const struct ms_event_show *show, const struct ms_event *event, struct ms_buf *ret);
/* A time, or what passed between two: "12.345us", "1.234ms", "12.345678s". */
void ms_event_time(u64 ns, struct ms_buf *ret);

#endif
