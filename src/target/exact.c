/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Target exact: what target live reads, but shadow pages, lists of SPTEs and frames' counts, which the kernel module
 * reads under the VM's own lock (abi/kmod_exact.h).
 *
 * The lock is held for a short while and taken again, so that one reading is of many moments. Hence all is read twice,
 * the second time for comparison only: if the two are the same, all of it was so when the first had ended and the
 * second not begun, and that is said (MS_EXACT_ONE_MOMENT). It is a sum of 64 bits that is compared, and what changed
 * and changed back in between is not seen.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/kmod_exact.h"
#include "base/map.h"
#include "target/device.h"
#include "target/kmem.h"
#include "target/live_listen.h"

#define SPTE_PRESENT (1ull << 11) /* SPTE_MMU_PRESENT_MASK */
/* Pages between two calls of want->progress. */
#define PROGRESS_EVERY 64u

/* One reading of one kind. */
struct taken {
	bool done; /* was begun, at least */
	bool gone, stopped; /* the VM ended; whoever reads had enough, or the module gave up */
	u32 nr_again, nr_pieces;
	u32 flags; /* MMUSCOPE_EXACT_ of all pieces */
	struct mmuscope_exact_seq first, last;
	u64 sum; /* of all records */
	u64 nr; /* pages; lists */
	u64 nr_counts, nr_unreadable, nr_torn;
	u64 start_ns, end_ns;
};

struct exact {
	struct ms_target live; /* reads all else */
	struct ms_kmem *kmem;
	int device; /* a session, whose VM is `attached'; -1 */
	u64 attached; /* 0: no VM yet */
	u8 *buf;

	/* Of the reading under way. */
	const struct ms_sink *sink;
	u64 fd_of; /* the VM that pid and fd are of */
	s32 pid, fd;
	u64 flicker; /* bits of an SPTE that the CPU sets */
	struct taken taken[MMUSCOPE_EXACT_RMAPS + 1]; /* of the VM that is attached, by kind */
	struct ms_rec_exact rec;
};

static void session_end(struct exact *x)
{
	if (x->device >= 0)
		close(x->device);
	x->device = -1;
	x->attached = 0;
}

static struct ms_err *session_open(struct exact *x)
{
	struct ms_err *err = ms_device_open(MMUSCOPE_HAS_EXACT, &x->device, NULL);

	if (!err)
		err = ms_device_layout(x->device, x->kmem->layout);
	if (err)
		session_end(x);
	return err;
}

/* A session has one VM, for good. */
static struct ms_err *attach(struct exact *x, const struct ms_rec_vm *vm)
{
	struct ms_err *err = NULL;

	if (x->attached == vm->kvm)
		return NULL;
	if (x->attached)
		session_end(x);
	memset(x->taken, 0, sizeof(x->taken));
	x->rec = (struct ms_rec_exact){ .kvm = vm->kvm };
	if (x->fd_of != vm->kvm)
		return ms_err_hint(
			ms_err_new(
				MS_ERR_TARGET,
				"exact: no process has the descriptor of VM 0x%llx, only those of its vCPUs",
				(unsigned long long)vm->kvm),
			"target live reads it without a lock: -T live");
	if (x->device < 0)
		err = session_open(x);
	if (!err)
		err = ms_device_attach(x->device, x->pid, x->fd, vm->kvm);
	if (err)
		session_end(x);
	else
		x->attached = vm->kvm;
	return err;
}

/* --- one reading --- */

static u64 mix(u64 sum, u64 word)
{
	sum = (sum ^ word) * 0x100000001b3ull;
	return sum ^ sum >> 29;
}

static u64 sum_bytes(u64 sum, const void *bytes, size_t len)
{
	u64 word;
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		memcpy(&word, (const u8 *)bytes + i, 8);
		sum = mix(sum, word);
	}
	return sum;
}

static u64 sum_sptes(const struct exact *x, u64 sum, const u64 *sptes)
{
	u32 i;

	for (i = 0; i < MS_SPTES; i++)
		sum = mix(sum, sptes[i] & SPTE_PRESENT ? sptes[i] & ~x->flicker : sptes[i]);
	return sum;
}

struct reading {
	struct exact *x;
	struct taken *taken;
	const struct ms_want *want;
	const struct ms_sink *sink; /* NULL: for comparison only */
	struct ms_map seen; /* pages that were delivered */
	struct ms_sp_tables tables;
};

/* Has it come before, in a reading that was begun anew? */
static struct ms_err *is_known(struct reading *r, u64 sp, bool *ret)
{
	*ret = ms_map_get(&r->seen, sp) != MS_MAP_NONE;
	if (*ret)
		return NULL;
	return ms_map_put(&r->seen, sp, 1) ? NULL : ms_err_nomem();
}

static struct ms_err *put_sp(struct reading *r, struct ms_rec_sp *sp)
{
	const u64 *tables = (const u64 *)(sp + 1);
	struct taken *t = r->taken;
	struct ms_err *err;
	bool known;

	err = is_known(r, sp->sp, &known);
	if (err || known)
		return err;
	sp->order = t->nr++;
	t->sum = sum_bytes(t->sum, sp, sizeof(*sp));
	if (sp->have & MS_SP_HAVE_SPTES)
		t->sum = sum_sptes(r->x, t->sum, tables);
	if (sp->have & MS_SP_HAVE_TRANSLATIONS)
		t->sum = sum_bytes(t->sum, tables + MS_SPTES, sizeof(r->tables.translations));
	if (!(t->nr % PROGRESS_EVERY) && r->want->progress &&
	    !r->want->progress(r->want->progress_ctx, t->nr))
		t->stopped = true;
	if (!r->sink)
		return NULL;
	if (sp->have & MS_SP_HAVE_SPTES)
		memcpy(r->tables.sptes, tables, sizeof(r->tables.sptes));
	if (sp->have & MS_SP_HAVE_TRANSLATIONS)
		memcpy(r->tables.translations, tables + MS_SPTES, sizeof(r->tables.translations));
	return r->sink->put(r->sink->ctx, MS_REC_SP, sp, sp->have & MS_SP_HAVE_SPTES ? &r->tables : NULL);
}

/*
 * A chain that was cut leads back to one of its own, or is too long. rec is followed by its descriptors in the buffer,
 * all of the same size.
 */
static void find_ring(struct ms_rec_rmap *rec)
{
	const size_t step = sizeof(struct mmuscope_exact_rec) + sizeof(struct ms_rec_rmap_desc);
	const u8 *descs = (const u8 *)(rec + 1) + sizeof(struct mmuscope_exact_rec);
	const struct ms_rec_rmap_desc *last, *desc;
	u32 nr, i, entries = 0;

	for (nr = 1; nr <= rec->nr_descs; nr++) {
		last = (const void *)(descs + (nr - 1) * step);
		entries += last->count < MS_RMAP_EXT ? (u32)last->count : MS_RMAP_EXT;
		for (i = 0; i < nr; i++) {
			desc = (const void *)(descs + i * step);
			if (desc->desc != last->more)
				continue;
			rec->have |= MS_RMAP_ENDLESS;
			rec->state = MS_RMAP_CONFIRMED;
			rec->nr_descs = nr;
			rec->nr_entries = entries;
			return;
		}
	}
}

/* *descs_ret: how many of the descriptors that follow are the list's. */
static struct ms_err *put_list(struct reading *r, struct ms_rec_rmap *rec, u32 *descs_ret)
{
	struct taken *t = r->taken;
	struct ms_err *err = NULL;
	bool known = false;

	if (rec->sp)
		err = is_known(r, rec->sp, &known);
	*descs_ret = 0;
	if (err || known)
		return err;
	if (rec->state == MS_RMAP_UNREADABLE && rec->nr_descs == MMUSCOPE_EXACT_DESCS_MAX)
		find_ring(rec);
	*descs_ret = rec->nr_descs;
	t->nr++;
	t->nr_unreadable += rec->state == MS_RMAP_UNREADABLE;
	t->nr_torn += rec->state == MS_RMAP_TORN;
	t->sum = sum_bytes(t->sum, rec, sizeof(*rec));
	return r->sink ? r->sink->put(r->sink->ctx, MS_REC_RMAP, rec, NULL) : NULL;
}

static struct ms_err *put_other(struct reading *r, u32 type, const void *rec, u32 bytes)
{
	r->taken->nr_counts += type == MS_REC_GFN;
	r->taken->sum = sum_bytes(r->taken->sum, rec, bytes);
	return r->sink ? r->sink->put(r->sink->ctx, type, rec, NULL) : NULL;
}

static struct ms_err *piece_is_odd(void)
{
	return ms_err_hint(ms_err_new(MS_ERR_TARGET, MMUSCOPE_DEVICE ": a piece of a reading makes no sense"),
			   "mmuscope and mmuscope.ko may not be of the same version: see 'mmuscope doctor'");
}

static struct ms_err *put_piece(struct reading *r, const struct mmuscope_exact_next *next)
{
	struct ms_err *err = NULL;
	u32 at = 0, descs = 0, n;

	for (n = 0; n < next->nr && !err; n++) {
		struct mmuscope_exact_rec head;
		u8 *rec = r->x->buf + at + sizeof(head);
		size_t size;

		if (next->used > MMUSCOPE_EXACT_BYTES || at + sizeof(head) > next->used)
			return piece_is_odd();
		memcpy(&head, r->x->buf + at, sizeof(head));
		size = ms_rec_size(head.type);
		if (!size || head.bytes < size || head.bytes % 8 ||
		    head.bytes > next->used - at - sizeof(head))
			return piece_is_odd();
		at += (u32)sizeof(head) + head.bytes;
		switch (head.type) {
		case MS_REC_SP:
			if (((struct ms_rec_sp *)rec)->have & MS_SP_HAVE_SPTES)
				size += sizeof(r->tables.sptes);
			if (((struct ms_rec_sp *)rec)->have & MS_SP_HAVE_TRANSLATIONS)
				size += sizeof(r->tables.translations);
			err = head.bytes == size ? put_sp(r, (struct ms_rec_sp *)rec) : piece_is_odd();
			break;
		case MS_REC_RMAP:
			err = put_list(r, (struct ms_rec_rmap *)rec, &descs);
			break;
		case MS_REC_RMAP_DESC:
			if (!descs)
				break;
			descs--;
			err = put_other(r, head.type, rec, head.bytes);
			break;
		case MS_REC_GFN:
			err = put_other(r, head.type, rec, head.bytes);
			break;
		default:
			return piece_is_odd();
		}
	}
	return err;
}

static struct ms_err *next_failed(const struct exact *x, struct taken *t,
				  const struct mmuscope_exact_next *next)
{
	switch (errno) {
	case ESRCH:
		t->gone = true;
		return NULL;
	case EUCLEAN:
		return ms_err_hint(
			ms_err_new(
				MS_ERR_TARGET,
				"exact: what lies at 0x%llx is no shadow page of VM 0x%llx, though it is led to",
				(unsigned long long)next->where, (unsigned long long)x->attached),
			"this kernel's structures are not as its BTF has them, or the page is damaged: "
			"-T live shows what is there");
	default:
		return ms_device_err(errno, "reading under the VM's lock");
	}
}

static struct ms_err *take(struct exact *x, u32 kind, const struct ms_want *want, const struct ms_sink *sink,
			   struct taken *t)
{
	struct mmuscope_exact_begin begin = { .kind = kind };
	struct reading *r = calloc(1, sizeof(*r));
	struct ms_err *err = NULL;

	if (!r)
		return ms_err_nomem();
	*r = (struct reading){ .x = x, .taken = t, .want = want, .sink = sink };
	*t = (struct taken){ .done = true, .start_ns = ms_kmem_now_ns() };
	if (want->what & MS_WANT_SPTES && kind <= MMUSCOPE_EXACT_TDP)
		begin.flags = MMUSCOPE_EXACT_TABLES;
	if (ioctl(x->device, MMUSCOPE_EXACT_BEGIN, &begin) < 0)
		err = ms_device_err(errno, "beginning to read");
	while (!err && !t->stopped && !t->gone &&
	       !(t->flags & (MMUSCOPE_EXACT_END | MMUSCOPE_EXACT_GAVE_UP))) {
		struct mmuscope_exact_next next = { .buf = (u64)(uintptr_t)x->buf,
						    .bytes = MMUSCOPE_EXACT_BYTES };

		if (ioctl(x->device, MMUSCOPE_EXACT_NEXT, &next) < 0) {
			err = next_failed(x, t, &next);
			continue;
		}
		if (!t->nr_pieces++)
			t->first = next.seq;
		t->last = next.seq;
		t->flags |= next.flags;
		t->nr_again += (next.flags & MMUSCOPE_EXACT_AGAIN) != 0;
		x->rec.holds += next.holds;
		x->rec.held_ns += next.held_ns;
		if (next.longest_ns > x->rec.longest_ns)
			x->rec.longest_ns = next.longest_ns;
		err = put_piece(r, &next);
	}
	t->end_ns = ms_kmem_now_ns();
	ms_map_deinit(&r->seen);
	free(r);
	return err;
}

/* --- in the place of kvm_sps.c and kvm_rmap.c --- */

static bool seq_same(const struct mmuscope_exact_seq *a, const struct mmuscope_exact_seq *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static struct ms_err *walk(struct exact *x, u32 kind, const struct ms_rec_vm *vm, const struct ms_want *want,
			   const struct ms_sink *sink)
{
	struct taken *t = &x->taken[kind];
	struct ms_err *err = take(x, kind, want, sink, t);
	struct ms_rec_walk rec = {
		.kvm = vm->kvm,
		.flags = kind == MMUSCOPE_EXACT_LEGACY ? MS_WALK_LEGACY : MS_WALK_TDP,
		.retries = t->nr_again,
		.nr_pages = t->nr,
		.start_ns = t->start_ns,
		.end_ns = t->end_ns,
	};

	if (t->gone)
		rec.flags |= MS_WALK_VM_GONE;
	if (t->stopped || t->flags & MMUSCOPE_EXACT_GAVE_UP)
		rec.flags |= MS_WALK_BROKEN;
	/* KVM counts the pages of the legacy MMU. */
	if (t->nr_again || !seq_same(&t->first, &t->last) ||
	    (kind == MMUSCOPE_EXACT_LEGACY && !t->gone && !t->stopped && t->nr != t->last.used_pages))
		rec.flags |= MS_WALK_CHANGED;
	return err ? err : sink->put(sink->ctx, MS_REC_WALK, &rec, NULL);
}

static void note_flicker(struct exact *x, const struct ms_rec_host *host)
{
	x->flicker = host->masks[MS_SM_accessed] | host->masks[MS_SM_dirty];
}

static struct ms_err *exact_sps(struct ms_kmem *kmem, const struct ms_rec_host *host,
				const struct ms_rec_vm *vm, const struct ms_want *want,
				const struct ms_sink *sink)
{
	struct exact *x = kmem->pages_ctx;
	struct ms_err *err = attach(x, vm);

	note_flicker(x, host);
	if (!err && vm->have & MS_VM_HAVE_LEGACY)
		err = walk(x, MMUSCOPE_EXACT_LEGACY, vm, want, sink);
	if (!err && vm->have & MS_VM_HAVE_TDP_MMU)
		err = walk(x, MMUSCOPE_EXACT_TDP, vm, want, sink);
	return err;
}

static struct ms_err *exact_rmaps(struct ms_kmem *kmem, const struct ms_rec_host *host,
				  const struct ms_rec_vm *vm, const struct ms_want *want,
				  const struct ms_sink *sink)
{
	struct exact *x = kmem->pages_ctx;
	struct taken *rmaps = &x->taken[MMUSCOPE_EXACT_RMAPS], *parents = &x->taken[MMUSCOPE_EXACT_PARENTS];
	struct ms_rec_rmaps rec = {
		.have = MS_RMAPS_HAVE_RMAPS | MS_RMAPS_HAVE_WRITE_TRACK | MS_RMAPS_HAVE_LPAGE |
			MS_RMAPS_HAVE_DIRECT_MAP | MS_RMAPS_HAVE_GENERATION,
		.kvm = vm->kvm,
		.direct_map = kmem->page_offset,
		.start_ns = ms_kmem_now_ns(),
	};
	struct ms_err *err = attach(x, vm);

	note_flicker(x, host);
	if (!err)
		err = take(x, MMUSCOPE_EXACT_RMAPS, want, sink, rmaps);
	if (!err && vm->have & MS_VM_HAVE_LEGACY && !rmaps->gone && !rmaps->stopped) {
		rec.have |= MS_RMAPS_HAVE_PARENTS;
		err = take(x, MMUSCOPE_EXACT_PARENTS, want, sink, parents);
	}
	if (err)
		return err;
	if (rmaps->gone || rmaps->stopped || parents->gone || parents->stopped ||
	    (rmaps->flags | parents->flags) & MMUSCOPE_EXACT_GAVE_UP)
		rec.flags |= MS_RMAPS_BROKEN;
	if (rmaps->nr_again || parents->nr_again || !seq_same(&rmaps->first, &rmaps->last) ||
	    (parents->done && !seq_same(&rmaps->first, &parents->last)))
		rec.flags |= MS_RMAPS_CHANGED;
	if (rmaps->flags & MMUSCOPE_EXACT_NO_ARRAY)
		rec.flags |= MS_RMAPS_NO_ARRAY;
	rec.retries = parents->nr_again;
	rec.nr_lists = rmaps->nr + parents->nr;
	rec.nr_torn = rmaps->nr_torn + parents->nr_torn;
	rec.nr_unreadable = rmaps->nr_unreadable + parents->nr_unreadable;
	rec.nr_counts = rmaps->nr_counts;
	memcpy(rec.generation, (parents->done ? parents : rmaps)->last.generation, sizeof(rec.generation));
	rec.end_ns = ms_kmem_now_ns();
	return sink->put(sink->ctx, MS_REC_RMAPS, &rec, NULL);
}

/* All of it once more: was it the same? */
static struct ms_err *look_again(struct exact *x, const struct ms_rec_vm *vm, const struct ms_want *want,
				 bool *ret)
{
	const struct mmuscope_exact_seq *first = NULL;
	struct ms_err *err = NULL;
	u32 kind;

	*ret = true;
	for (kind = MMUSCOPE_EXACT_LEGACY; kind <= MMUSCOPE_EXACT_RMAPS && !err && *ret; kind++) {
		const struct taken *t = &x->taken[kind];
		struct taken again;

		if (!t->done)
			continue;
		if (!first)
			first = &t->first;
		*ret = t->flags & MMUSCOPE_EXACT_END && !t->gone && !t->stopped;
		if (!*ret)
			break;
		err = take(x, kind, want, NULL, &again);
		*ret = !err && again.flags & MMUSCOPE_EXACT_END && again.sum == t->sum && again.nr == t->nr &&
		       again.nr_counts == t->nr_counts && seq_same(first, &again.last);
	}
	if (!first || first->invalidate_in_progress ||
	    (vm->have & MS_VM_HAVE_VALID_GEN && first->valid_gen != vm->mmu_valid_gen))
		*ret = false;
	return err;
}

static struct ms_err *exact_end(struct ms_kmem *kmem, const struct ms_rec_vm *vm, const struct ms_want *want,
				const struct ms_sink *sink)
{
	struct exact *x = kmem->pages_ctx;
	bool same;
	struct ms_err *err = look_again(x, vm, want, &same);

	if (err)
		return err;
	if (same)
		x->rec.flags |= MS_EXACT_ONE_MOMENT;
	return sink->put(sink->ctx, MS_REC_EXACT, &x->rec, NULL);
}

static const struct ms_kvm_pages_ops exact_pages = {
	.sps = exact_sps,
	.rmaps = exact_rmaps,
	.end = exact_end,
};

/* --- the target --- */

/* What live says, with what is ours about it; and the descriptors that VMs can be had by. */
static struct ms_err *pass_on(void *ctx, enum ms_rec_type type, const void *rec,
			      const struct ms_sp_tables *tables)
{
	struct exact *x = ctx;
	const struct ms_rec_fd *fd = rec;
	struct ms_rec_host host;

	if (type == MS_REC_HOST) {
		host = *(const struct ms_rec_host *)rec;
		memset(host.target, 0, sizeof(host.target));
		memcpy(host.target, "exact", sizeof("exact"));
		return x->sink->put(x->sink->ctx, type, &host, NULL);
	}
	if (type == MS_REC_FD && fd->kind == MS_FD_VM && x->fd_of != fd->kvm) {
		x->fd_of = fd->kvm;
		x->pid = fd->pid;
		x->fd = fd->fd;
	}
	return x->sink->put(x->sink->ctx, type, rec, tables);
}

static struct ms_err *exact_read(struct ms_target *target, const struct ms_want *want,
				 const struct ms_sink *sink)
{
	struct exact *x = target->priv;
	const struct ms_sink ours = { .put = pass_on, .ctx = x };
	struct ms_err *err;

	x->sink = sink;
	x->fd_of = 0;
	err = ms_target_live.read(&x->live, want, &ours);
	/* A VM is held no longer than it is read. */
	if (x->attached)
		session_end(x);
	return err;
}

static void exact_close(struct ms_target *target)
{
	struct exact *x = target->priv;

	if (!x)
		return;
	session_end(x);
	if (x->live.priv)
		ms_target_live.close(&x->live);
	free(x->buf);
	free(x);
	target->priv = NULL;
}

static struct ms_err *exact_open(struct ms_target *target, const char *arg, const struct ms_target_opts *opts)
{
	struct ms_err *err;
	struct exact *x;

	if (arg)
		return ms_err_new(MS_ERR_USAGE, "target '%s': 'exact' takes no argument", target->spec);
	x = calloc(1, sizeof(*x));
	if (x)
		x->buf = malloc(MMUSCOPE_EXACT_BYTES);
	if (!x || !x->buf) {
		free(x);
		return ms_err_nomem();
	}
	x->device = -1;
	target->priv = x;
	x->live.ops = &ms_target_live;
	memcpy(x->live.spec, target->spec, sizeof(x->live.spec));
	err = ms_target_live.open(&x->live, NULL, opts);
	if (!err) {
		x->kmem = ms_live_kmem(&x->live);
		x->kmem->pages = &exact_pages;
		x->kmem->pages_ctx = x;
		target->caps = x->live.caps;
		/* Whoever asks for it wants the module: that it is not there is said at once. */
		err = session_open(x);
	}
	if (err)
		exact_close(target);
	return err;
}

static struct ms_err *exact_kread(struct ms_target *target, struct ms_kread *reqs, size_t nr)
{
	return ms_target_live.kread(&((struct exact *)target->priv)->live, reqs, nr);
}

static struct ms_err *exact_frames(struct ms_target *target, u64 kvm, u32 as_id, struct ms_frame *frames,
				   size_t nr)
{
	return ms_target_live.frames(&((struct exact *)target->priv)->live, kvm, as_id, frames, nr);
}

static struct ms_err *exact_listen(struct ms_target *target, const struct ms_listen *listen,
				   struct ms_listener **ret)
{
	return ms_target_live.listen(&((struct exact *)target->priv)->live, listen, ret);
}

const struct ms_target_ops ms_target_exact = {
	.name = "exact",
	.summary = "the running kernel as live, but pages and lists under KVM's own lock; needs mmuscope.ko",
	.open = exact_open,
	.close = exact_close,
	.frames = exact_frames,
	.read = exact_read,
	.kread = exact_kread,
	.listen = exact_listen,
};
