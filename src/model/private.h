/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared within src/model only. */
#ifndef MODEL_PRIVATE_H
#define MODEL_PRIVATE_H

#include "base/buf.h"
#include "model/model.h"

/*
 * Choose profile and role layouts, then fill level and counts of every page. Says in the notes what was in
 * doubt.
 */
void model_decode(struct ms_model *model);

/* A record that contradicts others: the error that says so. addr: of the object that it is about. */
struct ms_err *model_refuse(const char *what, u64 addr);

/* One more element at the end of an array; NULL when memory is out. */
#define APPEND(array, nr, cap)                                                                 \
	({                                                                                     \
		__typeof__(array) grown_ = ms_grow(array, &(cap), (nr) + 1, sizeof(*(array))); \
		if (grown_)                                                                    \
			(array) = grown_;                                                      \
		grown_ ? &grown_[(nr)++] : NULL;                                               \
	})

/* --- rmap.c --- */

/* Room in a VM's arrays, and what the list in hand still has to come. Zero-initialised is the start. */
struct rmap_room {
	size_t rmaps, descs, counts;
	u32 descs_due, entries_due;
};

/* An RMAP, RMAP_DESC, GFN or RMAPS record. */
struct ms_err *rmap_put(struct ms_vm *vm, struct rmap_room *room, enum ms_rec_type type,
			const void *rec) MS_MUST_CHECK;
/* After the last record: sort, and find SPTEs. */
struct ms_err *rmap_finish(struct ms_vm *vm, const struct rmap_room *room) MS_MUST_CHECK;
void rmap_free(struct ms_vm *vm);

/* --- frame.c --- */

struct frame_room {
	size_t pins, gtables, changed;
};

/* A PIN, GTABLE or CHANGED record. */
struct ms_err *frame_put(struct ms_vm *vm, struct frame_room *room, enum ms_rec_type type,
			 const void *rec) MS_MUST_CHECK;
/* After the last record: sorts, and refuses a frame that comes twice, or pins that overlap. */
struct ms_err *frame_finish(struct ms_vm *vm) MS_MUST_CHECK;
void frame_free(struct ms_vm *vm);

#endif
