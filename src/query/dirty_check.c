// SPDX-License-Identifier: GPL-2.0-or-later
/* Written but clean: see dirty_check.h. Each doubt is decided for the log: what may be marked counts as marked. */
#include "query/dirty_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define PAGE_SHIFT 12

struct ms_dirty_frame {
	u64 hva;
	u64 slot_gfn, slot_pages; /* of the memslot */
	u16 slot;
	bool judged; /* a memslot has it, and no other has its memory */
	bool logging;
	/* The log's bit, as far as is known. */
	bool cleared; /* it was seen cleared, at clean_ns, and the ioctl has ended */
	u64 clean_ns;
	bool clearing; /* seen cleared at clearing_ns, by an ioctl that goes on */
	u64 clearing_ns;
	bool marked, in_reading; /* set since; a reading had it since then */
	u64 marked_ns; /* the last mark, */
	bool ever_marked;
	u64 reported_ns, unread_ns; /* of the last one that was read; that was cleared unread */
	bool ever_reported, ever_unread;
	/* The content. */
	bool known;
	u64 digest, begun_ns;
	bool was_cleared; /* `cleared' and `clean_ns' at that time */
	u64 was_clean_ns;
	/* A change that waits for readings. */
	bool changed;
	u32 readings;
	struct ms_dirty_finding change;
	struct ms_dirty_seen last[MS_DIRTY_CHECK_LAST];
};

const char *ms_dirty_loss_name(u32 loss)
{
	return loss == MS_DIRTY_NEVER_MARKED	 ? "never marked"
	       : loss == MS_DIRTY_CLEARED_UNREAD ? "cleared unread"
						 : NULL;
}

u64 ms_dirty_check_events(void)
{
	return 1ull << MS_EV_dirty | 1ull << MS_EV_spte_set | 1ull << MS_EV_wp | 1ull << MS_EV_log_read |
	       1ull << MS_EV_log_clear | 1ull << MS_EV_log_enable | 1ull << MS_EV_log_disable |
	       1ull << MS_EV_slot | 1ull << MS_EV_invalidate | 1ull << MS_EV_invalidate_end;
}

/* --- frames --- */

/* NULL: it is none of those that are judged. */
static struct ms_dirty_frame *frame_at(struct ms_dirty_check *c, u64 gfn)
{
	struct ms_dirty_frame *f = gfn - c->opts.gfn < c->opts.nr ? &c->frames[gfn - c->opts.gfn] : NULL;

	return f && f->judged ? f : NULL;
}

static bool is_user_slot(const struct ms_rec_slot *slot)
{
	return !(slot->flags & MS_SLOT_INVALID) && slot->id >= 0;
}

/* Another memslot has the same memory, and a log of its own: which of them a write went by is not known. */
static bool is_alias(const struct ms_vm *vm, const struct ms_rec_slot *slot, u64 hva)
{
	size_t i;

	for (i = 0; i < vm->nr_slots; i++)
		if (&vm->slots[i] != slot && is_user_slot(&vm->slots[i]) &&
		    hva - vm->slots[i].hva < vm->slots[i].nr_pages << PAGE_SHIFT)
			return true;
	return false;
}

static void place(struct ms_dirty_check *c, const struct ms_vm *vm)
{
	const struct ms_rec_slot *slot;
	struct ms_dirty_frame *f;
	u32 i;

	for (i = 0; i < c->opts.nr; i++) {
		f = &c->frames[i];
		slot = ms_vm_slot(vm, 0, c->opts.gfn + i);
		if (!slot || !is_user_slot(slot)) {
			c->nr_no_slot++;
			continue;
		}
		f->hva = slot->hva + ((c->opts.gfn + i - slot->base_gfn) << PAGE_SHIFT);
		f->slot = (u16)slot->id;
		f->slot_gfn = slot->base_gfn;
		f->slot_pages = slot->nr_pages;
		f->logging = slot->flags & MS_SLOT_LOG_DIRTY;
		f->judged = !is_alias(vm, slot, f->hva);
		c->nr_alias += !f->judged;
	}
}

struct ms_err *ms_dirty_check_create(const struct ms_dirty_check_opts *opts, const struct ms_vm *vm,
				     struct ms_dirty_check **ret)
{
	struct ms_dirty_check *c = calloc(1, sizeof(*c));

	if (c)
		c->frames = calloc(opts->nr ? opts->nr : 1, sizeof(*c->frames));
	if (!c || !c->frames) {
		free(c);
		return ms_err_nomem();
	}
	c->opts = *opts;
	c->begins_clear = vm->rec.have & MS_VM_HAVE_LOG_MODE && !(vm->rec.log_mode & MS_LOG_INIT_SET);
	place(c, vm);
	*ret = c;
	return NULL;
}

void ms_dirty_check_destroy(struct ms_dirty_check *c)
{
	if (!c)
		return;
	free(c->frames);
	free(c->findings);
	free(c);
}

static void change_end(struct ms_dirty_check *c, struct ms_dirty_frame *f, u64 *counter)
{
	if (!f->changed)
		return;
	f->changed = false;
	c->pending--;
	++*counter;
}

/* The content may have changed by other hands than a write. */
static void content_forget(struct ms_dirty_check *c, struct ms_dirty_frame *f)
{
	f->known = false;
	change_end(c, f, &c->dropped);
}

/* Nor is it known whether the bit is set. */
static void forget(struct ms_dirty_check *c, struct ms_dirty_frame *f)
{
	content_forget(c, f);
	f->cleared = f->clearing = f->marked = f->in_reading = false;
	f->ever_marked = f->ever_reported = f->ever_unread = false;
}

void ms_dirty_check_lost(struct ms_dirty_check *c)
{
	u32 i;

	for (i = 0; i < c->opts.nr; i++)
		forget(c, &c->frames[i]);
}

void ms_dirty_check_settle(struct ms_dirty_check *c, bool lost)
{
	if (lost) {
		ms_dirty_check_lost(c);
		c->dropped += c->found - c->settled;
		c->found = c->settled;
		if (c->nr_findings > c->found)
			c->nr_findings = (size_t)c->found;
	}
	c->settled = c->found;
}

/* --- a change, and the readings after it --- */

static void found(struct ms_dirty_check *c, struct ms_dirty_frame *f, enum ms_dirty_loss loss)
{
	struct ms_dirty_finding *grown;

	change_end(c, f, &c->found);
	f->change.loss = (u8)loss;
	memcpy(f->change.last, f->last, sizeof(f->last));
	grown = c->nr_findings < MS_DIRTY_CHECK_KEPT
			? ms_grow(c->findings, &c->cap_findings, c->nr_findings + 1, sizeof(*grown))
			: NULL;
	if (!grown)
		return;
	c->findings = grown;
	grown[c->nr_findings++] = f->change;
}

/* Was it marked at or behind the clearing? */
static bool since(const struct ms_dirty_check *c, const struct ms_dirty_frame *f, bool ever, u64 time_ns)
{
	return ever && time_ns + c->opts.slack_ns >= f->change.clean_ns;
}

/* A reading of the log ended at time_ns. */
static void judge(struct ms_dirty_check *c, struct ms_dirty_frame *f, u64 time_ns)
{
	if (!f->changed || time_ns < f->change.to_ns)
		return;
	if (since(c, f, f->ever_reported, f->reported_ns)) {
		change_end(c, f, &c->reported);
		return;
	}
	if (++f->readings < c->opts.readings)
		return;
	if (since(c, f, f->ever_unread, f->unread_ns))
		found(c, f, MS_DIRTY_CLEARED_UNREAD);
	else if (!since(c, f, f->ever_marked, f->marked_ns))
		found(c, f, MS_DIRTY_NEVER_MARKED);
	/* Else it is marked, and the next reading has it. */
}

void ms_dirty_check_digests(struct ms_dirty_check *c, u64 start_ns, u64 end_ns, const struct ms_frame *frames)
{
	struct ms_dirty_frame *f;
	u32 i;

	c->digested++;
	c->log_moved = false;
	c->nr_read = 0;
	for (i = 0; i < c->opts.nr; i++) {
		f = &c->frames[i];
		if (!f->judged)
			continue;
		if (frames[i].state != MS_GTABLE_READ) {
			/* It changes right now, or is not there: what it was before is of no use any more. */
			f->known = false;
			continue;
		}
		c->nr_read++;
		f->known &= f->logging;
		if (f->known && f->digest != frames[i].digest && !f->changed) {
			c->changes++;
			c->unknown += !f->was_cleared;
			if (f->was_cleared) {
				f->changed = true;
				c->pending++;
				f->readings = 0;
				f->change = (struct ms_dirty_finding){ .gfn = c->opts.gfn + i,
								       .slot = f->slot,
								       .clean_ns = f->was_clean_ns,
								       .from_ns = f->begun_ns,
								       .to_ns = end_ns,
								       .before = f->digest,
								       .after = frames[i].digest };
			}
		}
		f->known = true;
		f->digest = frames[i].digest;
		f->begun_ns = start_ns;
		f->was_cleared = f->cleared;
		f->was_clean_ns = f->clean_ns;
	}
}

/* --- events --- */

static void note(struct ms_dirty_frame *f, const struct ms_event *event)
{
	memmove(f->last, f->last + 1, sizeof(f->last) - sizeof(f->last[0]));
	f->last[MS_DIRTY_CHECK_LAST - 1] = (struct ms_dirty_seen){ .time_ns = event->time_ns,
								   .id = (u8)event->id,
								   .cause = event->cause };
}

static void on_mark(struct ms_dirty_frame *f, u64 time_ns)
{
	if (!f->marked)
		f->in_reading = false;
	f->marked = f->ever_marked = true;
	if (time_ns > f->marked_ns)
		f->marked_ns = time_ns;
}

/*
 * The bit is cleared, right before this. Of an ioctl that only clears, a mark which no reading had is lost with it; one
 * that reads clears what it hands out.
 */
static void on_clearing(const struct ms_dirty_check *c, struct ms_dirty_frame *f,
			const struct ms_event *event)
{
	/* Another SPTE of the frame, for the same bit. */
	if (f->clearing)
		return;
	f->clearing = true;
	f->clearing_ns = event->time_ns;
	/* It may have been made behind the clearing, and stand. */
	if (f->marked && f->marked_ns + c->opts.slack_ns >= event->time_ns)
		return;
	if (event->cause == MS_CAUSE_LOG_CLEAR && f->marked && !f->in_reading) {
		f->unread_ns = f->marked_ns;
		f->ever_unread = true;
	}
	if (event->cause == MS_CAUSE_LOG_READ && f->marked) {
		f->reported_ns = f->marked_ns;
		f->ever_reported = true;
	}
	f->marked = f->in_reading = false;
}

/* From here on the CPUs know of the clearing, too. */
static void on_cleared(struct ms_dirty_frame *f)
{
	if (!f->clearing)
		return;
	f->clearing = false;
	f->cleared = true;
	f->clean_ns = f->clearing_ns;
}

static void on_read(struct ms_dirty_check *c, struct ms_dirty_frame *f, u64 time_ns, bool kept)
{
	if (f->marked) {
		f->in_reading = true;
		f->reported_ns = f->marked_ns;
		f->ever_reported = true;
	}
	/* A frame without SPTEs is read and cleared, too. */
	f->marked &= kept;
	on_cleared(f);
	judge(c, f, time_ns);
}

static bool is_clearing(const struct ms_event *event)
{
	const struct ms_ev_spte_set *ev = &event->u.spte_set;

	if (event->cause != MS_CAUSE_LOG_READ && event->cause != MS_CAUSE_LOG_CLEAR)
		return false;
	/* A larger page's frame is that of its first, whose bit may be as it was. */
	return event->id == MS_EV_wp ? event->u.wp.sptes != 0
				     : ev->level == 1 && ev->old_spte & ~ev->new_spte;
}

/* To the frames [gfn, gfn + pages) of a memslot's log. */
static void log_event(struct ms_dirty_check *c, u16 slot, u16 as_id, u64 gfn, u64 pages,
		      const struct ms_event *event)
{
	struct ms_dirty_frame *f;
	u32 i;

	for (i = 0; !as_id && i < c->opts.nr; i++) {
		f = &c->frames[i];
		if (!f->judged || f->slot != slot || c->opts.gfn + i - gfn >= pages)
			continue;
		c->log_moved = true;
		if (event->id == MS_EV_log_read)
			on_read(c, f, event->time_ns, event->u.log_read.kept);
		else if (event->id == MS_EV_log_clear)
			on_cleared(f);
		else
			forget(c, f);
		if (event->id == MS_EV_log_enable || event->id == MS_EV_log_disable)
			f->logging = event->id == MS_EV_log_enable;
		/* Whatever the VMM asks of this log next, the enabling has ended before. */
		if (event->id == MS_EV_log_enable && c->begins_clear) {
			f->clearing = true;
			f->clearing_ns = event->time_ns;
		}
	}
}

/* A memslot that changes has another log, and may have other memory: frames of it are no longer judged. */
static void slot_event(struct ms_dirty_check *c, const struct ms_ev_slot *ev)
{
	bool same, logs;
	u32 i;

	for (i = 0; !ev->as_id && i < c->opts.nr; i++) {
		struct ms_dirty_frame *f = &c->frames[i];
		u64 gfn = c->opts.gfn + i;

		if (!f->judged || (f->slot != ev->slot && gfn - ev->gfn >= ev->pages))
			continue;
		logs = ev->flags & MS_SLOT_LOG_DIRTY;
		same = f->slot == ev->slot && ev->gfn == f->slot_gfn && ev->pages == f->slot_pages;
		/* Its log had an event of its own, on either side of this one. */
		if (same && logs == f->logging)
			continue;
		forget(c, f);
		f->logging = logs;
		f->judged = same;
	}
}

static void host_event(struct ms_dirty_check *c, u64 start, u64 end)
{
	u32 i;

	for (i = 0; i < c->opts.nr; i++)
		if (c->frames[i].judged && c->frames[i].hva + (1u << PAGE_SHIFT) > start &&
		    c->frames[i].hva < end)
			content_forget(c, &c->frames[i]);
}

void ms_dirty_check_event(struct ms_dirty_check *c, const struct ms_event *event)
{
	struct ms_dirty_frame *f = NULL;

	if (event->id == MS_EV_dirty)
		f = frame_at(c, event->u.dirty.gfn);
	else if (event->id == MS_EV_spte_set)
		f = frame_at(c, event->u.spte_set.gfn);
	else if (event->id == MS_EV_wp)
		f = frame_at(c, event->u.wp.gfn);
	if (f)
		note(f, event);
	switch (event->id) {
	case MS_EV_dirty:
		if (f && event->u.dirty.slot == f->slot)
			on_mark(f, event->time_ns);
		break;
	case MS_EV_spte_set:
	case MS_EV_wp:
		if (f && is_clearing(event))
			on_clearing(c, f, event);
		break;
	case MS_EV_log_read:
		log_event(c, event->u.log_read.slot, event->u.log_read.as_id, 0, ~0ull, event);
		break;
	case MS_EV_log_clear:
		log_event(c, event->u.log_clear.slot, event->u.log_clear.as_id, event->u.log_clear.gfn,
			  event->u.log_clear.pages, event);
		break;
	case MS_EV_log_enable:
		log_event(c, event->u.log_enable.slot, event->u.log_enable.as_id, 0, ~0ull, event);
		break;
	case MS_EV_log_disable:
		log_event(c, event->u.log_disable.slot, event->u.log_disable.as_id, 0, ~0ull, event);
		break;
	case MS_EV_slot:
		slot_event(c, &event->u.slot);
		break;
	case MS_EV_invalidate:
		host_event(c, event->u.invalidate.start, event->u.invalidate.end);
		break;
	case MS_EV_invalidate_end:
		host_event(c, event->u.invalidate_end.start, event->u.invalidate_end.end);
		break;
	default:
		break;
	}
}
