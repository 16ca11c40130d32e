/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a well-formed snapshot stream is (snapfmt.h): checks of records and of their order, the tables'
 * encoding, the encoder. Opens no file and knows nothing of packing.
 */
#include "target/snapfmt.h"

#include <string.h>

#define HOST_HAVE_ALL                                                                                        \
	((MS_HOST_HAVE_MASK(MS_SM_NR) - 1) | MS_HOST_HAVE_TDP_ENABLED | MS_HOST_HAVE_TDP_MMU |               \
	 MS_HOST_HAVE_MMIO_CACHING | MS_HOST_HAVE_NX_HUGE | MS_HOST_HAVE_PHYS_BITS | MS_HOST_HAVE_NP_VALUE | \
	 MS_HOST_HAVE_ROLE_FIELDS | MS_HOST_HAVE_PML | MS_HOST_PML)
/* The others are handed out from bit 0 without a gap: all up to the last one. */
#define HAVE_UP_TO(last) (((last) << 1) - 1)
#define VM_HAVE_ALL HAVE_UP_TO(MS_VM_DIRTY_RING)
#define VCPU_HAVE_ALL HAVE_UP_TO(MS_VCPU_HAVE_PML02)
#define SLOT_HAVE_ALL HAVE_UP_TO(MS_SLOT_UNSTABLE)
#define MMU_HAVE_ALL HAVE_UP_TO(MS_MMU_HAVE_PDPTRS)
#define SP_HAVE_ALL HAVE_UP_TO(MS_SP_HAVE_NX_POSSIBLE)
#define RMAP_HAVE_ALL HAVE_UP_TO(MS_RMAP_ENDLESS)
#define RMAPS_HAVE_ALL HAVE_UP_TO(MS_RMAPS_HAVE_GENERATION)
#define RMAPS_FLAGS_ALL HAVE_UP_TO(MS_RMAPS_NO_ARRAY)
/* Page tables have five levels, and parents of a root would be of the sixth. */
#define MS_RMAP_LEVEL_MAX 6
#define WALK_FLAGS_ALL (MS_WALK_LEGACY | MS_WALK_TDP | MS_WALK_BROKEN | MS_WALK_VM_GONE | MS_WALK_CHANGED)

static bool ends(const char *field, size_t len)
{
	return memchr(field, '\0', len) != NULL;
}

static bool zero(const void *bytes, size_t len)
{
	const u8 *p = bytes;
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static const char *check_host(const struct ms_rec_host *host)
{
	u32 i;

	if (host->have & ~HOST_HAVE_ALL)
		return "host: unknown presence bits";
	if (!ends(host->release, sizeof(host->release)) || !ends(host->target, sizeof(host->target)))
		return "host: a string without an end";
	if (host->hv > MS_HV_VMX)
		return "host: unknown kind of hypervisor";
	if (host->nr_role_fields > MS_ROLE_FIELDS_MAX)
		return "host: more role fields than there is room for";
	for (i = 0; i < host->nr_role_fields; i++) {
		const struct ms_rec_role_field *field = &host->role_fields[i];

		if (!field->name[0] || !ends(field->name, sizeof(field->name)))
			return "host: a role field without a name";
		if (!field->width || field->bit > 63 || field->bit % 32 + field->width > 32)
			return "host: a role field outside its word";
		if (!zero(field->pad, sizeof(field->pad)))
			return "host: padding is not zero";
	}
	if (!zero(&host->role_fields[i], (MS_ROLE_FIELDS_MAX - i) * sizeof(host->role_fields[0])))
		return "host: role fields past their number";
	return NULL;
}

static const char *check_vm(const struct ms_rec_vm *vm)
{
	if (vm->have & ~VM_HAVE_ALL)
		return "VM: unknown presence bits";
	if (!vm->kvm)
		return "VM: no address";
	if (!ends(vm->comm, sizeof(vm->comm)))
		return "VM: a string without an end";
	return vm->nx_huge_disabled > 1 ? "VM: neither yes nor no" : NULL;
}

static const char *check_fd(const struct ms_rec_fd *fd)
{
	if (fd->kind != MS_FD_VM && fd->kind != MS_FD_VCPU)
		return "file: unknown kind";
	if (fd->kind == MS_FD_VM && fd->vcpu)
		return "file: a VM's, but of a vCPU";
	if (!ends(fd->comm, sizeof(fd->comm)))
		return "file: a string without an end";
	return fd->pad ? "file: padding is not zero" : NULL;
}

static const char *check_vcpu(const struct ms_rec_vcpu *vcpu)
{
	if (vcpu->have & ~VCPU_HAVE_ALL)
		return "vCPU: unknown presence bits";
	if (!vcpu->vcpu)
		return "vCPU: no address";
	if (vcpu->guest_mode > 1 || vcpu->smm > 1 || vcpu->pml02 > 1)
		return "vCPU: neither yes nor no";
	return vcpu->pad ? "vCPU: padding is not zero" : NULL;
}

static const char *check_slot(const struct ms_rec_slot *slot)
{
	if (slot->have & ~SLOT_HAVE_ALL)
		return "memslot: unknown presence bits";
	/* Both in pages of a 64-bit address: no sum of them can overflow. */
	if (slot->base_gfn >> 52 || slot->nr_pages >> 52)
		return "memslot: outside every address space";
	return NULL;
}

static const char *check_mmu(const struct ms_rec_mmu *mmu)
{
	if (mmu->have & ~MMU_HAVE_ALL)
		return "MMU: unknown presence bits";
	if (!mmu->mmu || !mmu->vcpu)
		return "MMU: no address";
	return mmu->which > MS_MMU_NESTED ? "MMU: unknown which" : NULL;
}

static const char *check_sp(const struct ms_rec_sp *sp)
{
	if (sp->have & ~SP_HAVE_ALL)
		return "shadow page: unknown presence bits";
	if ((sp->have & MS_SP_HAVE_TRANSLATIONS) && !(sp->have & MS_SP_HAVE_SPTES))
		return "shadow page: translations without SPTEs";
	if (!sp->sp)
		return "shadow page: no address";
	if (sp->state > MS_SP_UNREADABLE)
		return "shadow page: unknown state";
	if (sp->tdp_mmu_page > 1 || sp->unsync > 1 || sp->nx_disallowed > 1 || sp->nx_possible > 1)
		return "shadow page: neither yes nor no";
	return zero(sp->pad, sizeof(sp->pad)) ? NULL : "shadow page: padding is not zero";
}

static const char *check_walk(const struct ms_rec_walk *walk)
{
	bool legacy = walk->flags & MS_WALK_LEGACY, tdp = walk->flags & MS_WALK_TDP;

	if (walk->flags & ~WALK_FLAGS_ALL)
		return "walk: unknown flags";
	return legacy == tdp ? "walk: of no MMU or of both" : NULL;
}

static const char *check_rmap(const struct ms_rec_rmap *rmap)
{
	bool of_gfn = rmap->have & MS_RMAP_HAVE_GFN;

	if (rmap->have & ~RMAP_HAVE_ALL)
		return "reverse map: unknown presence bits";
	if (of_gfn ? rmap->sp != 0 : !rmap->sp || rmap->gfn || rmap->as_id)
		return "reverse map: of a frame and a page, or of neither";
	if (rmap->gfn >> 52)
		return "reverse map: outside every address space";
	if (rmap->level > MS_RMAP_LEVEL_MAX || (of_gfn && !rmap->level))
		return "reverse map: a level that there is not";
	if (!rmap->head)
		return "reverse map: an empty one";
	if (rmap->state > MS_RMAP_UNREADABLE)
		return "reverse map: unknown state";
	if (rmap->head & MS_RMAP_MANY ? rmap->nr_entries > (u64)rmap->nr_descs * MS_RMAP_EXT
				      : rmap->nr_descs || rmap->nr_entries != 1)
		return "reverse map: more entries than its shape has room for";
	return zero(rmap->pad, sizeof(rmap->pad)) ? NULL : "reverse map: padding is not zero";
}

static const char *check_desc(const struct ms_rec_rmap_desc *desc)
{
	size_t used = desc->count < MS_RMAP_EXT ? desc->count : MS_RMAP_EXT;

	if (!desc->desc)
		return "descriptor: no address";
	return zero(desc->sptes + used, 8 * (MS_RMAP_EXT - used)) ? NULL
								  : "descriptor: entries past its count";
}

static const char *check_gfn(const struct ms_rec_gfn *gfn)
{
	if (gfn->gfn >> 52)
		return "frame's count: outside every address space";
	if (!gfn->level || gfn->level > MS_RMAP_LEVEL_MAX)
		return "frame's count: a level that there is not";
	if (!gfn->count)
		return "frame's count: zero";
	return gfn->state > MS_RMAP_UNREADABLE ? "frame's count: unknown state" : NULL;
}

static const char *check_rmaps(const struct ms_rec_rmaps *rmaps)
{
	if (rmaps->have & ~RMAPS_HAVE_ALL)
		return "reverse maps: unknown presence bits";
	return rmaps->flags & ~RMAPS_FLAGS_ALL ? "reverse maps: unknown flags" : NULL;
}

static const char *check_pin(const struct ms_rec_pin *pin)
{
	if (pin->gfn >> 52)
		return "pin: outside every address space";
	if (!pin->level || pin->level > 3)
		return "pin: a level that there is not";
	if (pin->mapped > 1)
		return "pin: neither yes nor no";
	return zero(pin->pad, sizeof(pin->pad)) ? NULL : "pin: padding is not zero";
}

static const char *check_gtable(const struct ms_rec_gtable *table)
{
	if (table->gfn >> 52)
		return "guest table: outside every address space";
	if (table->state > MS_GTABLE_UNREADABLE)
		return "guest table: unknown state";
	if (table->state > MS_GTABLE_CHANGED && !zero(table->bytes, sizeof(table->bytes)))
		return "guest table: bytes that were not read";
	return zero(table->pad, sizeof(table->pad)) ? NULL : "guest table: padding is not zero";
}

static const char *check_changed(const struct ms_rec_changed *changed)
{
	if (changed->gfn >> 52)
		return "changed page: outside every address space";
	if (changed->logged > 1)
		return "changed page: neither yes nor no";
	return zero(changed->pad, sizeof(changed->pad)) ? NULL : "changed page: padding is not zero";
}

static const char *check_exact(const struct ms_rec_exact *exact)
{
	return exact->flags & ~MS_EXACT_ONE_MOMENT ? "locked reading: unknown flags" : NULL;
}

const char *ms_snap_check_record(enum ms_rec_type type, const void *rec)
{
	switch (type) {
	case MS_REC_HOST:
		return check_host(rec);
	case MS_REC_VM:
		return check_vm(rec);
	case MS_REC_FD:
		return check_fd(rec);
	case MS_REC_VCPU:
		return check_vcpu(rec);
	case MS_REC_SLOT:
		return check_slot(rec);
	case MS_REC_MMU:
		return check_mmu(rec);
	case MS_REC_SP:
		return check_sp(rec);
	case MS_REC_WALK:
		return check_walk(rec);
	case MS_REC_RMAP:
		return check_rmap(rec);
	case MS_REC_RMAP_DESC:
		return check_desc(rec);
	case MS_REC_GFN:
		return check_gfn(rec);
	case MS_REC_RMAPS:
		return check_rmaps(rec);
	case MS_REC_PIN:
		return check_pin(rec);
	case MS_REC_GTABLE:
		return check_gtable(rec);
	case MS_REC_CHANGED:
		return check_changed(rec);
	case MS_REC_EXACT:
		return check_exact(rec);
	case MS_REC_END:
		return NULL;
	}
	return "a record of unknown type";
}

/* --- order --- */

static bool is_of_rmaps(enum ms_rec_type type)
{
	return type >= MS_REC_RMAP && type <= MS_REC_RMAPS;
}

/*
 * vCPUs, their MMUs and slots may alternate; the files come before them, then pages, their lists, how both were read,
 * and what is known of frames.
 */
static u32 rec_stage(enum ms_rec_type type)
{
	return type == MS_REC_FD			      ? 1
	       : type == MS_REC_SP || type == MS_REC_WALK     ? 3
	       : is_of_rmaps(type)			      ? 4
	       : type == MS_REC_EXACT			      ? 5
	       : type >= MS_REC_PIN && type <= MS_REC_CHANGED ? (u32)(6 + type - MS_REC_PIN)
							      : 2;
}

/* Of address space as_id; an address space has less than 52 bits of frames. Never 0, which no map has. */
static u64 frame_key(u16 as_id, u64 gfn)
{
	return (gfn | (u64)as_id << 52) + 1;
}

void ms_snap_order_deinit(struct ms_snap_order *order)
{
	ms_map_deinit(&order->vms);
	ms_map_deinit(&order->seen);
}

/* An address that may come once: *what_ret stays NULL when it is new. */
static struct ms_err *order_once(struct ms_map *map, u64 addr, const char *twice, const char **what_ret)
{
	if (ms_map_get(map, addr) != MS_MAP_NONE) {
		*what_ret = twice;
		return NULL;
	}
	return ms_map_put(map, addr, 1) ? NULL : ms_err_nomem();
}

static const char *order_walk(struct ms_snap_order *order, const struct ms_rec_walk *walk)
{
	u32 kind = walk->flags & (MS_WALK_LEGACY | MS_WALK_TDP);

	if (order->walks & kind)
		return "the same walk twice";
	if (walk->nr_pages != order->nr_sps || walk->nr_torn != order->nr_by_state[MS_SP_TORN] ||
	    walk->nr_unlinked != order->nr_by_state[MS_SP_UNLINKED] ||
	    walk->nr_unreadable != order->nr_by_state[MS_SP_UNREADABLE])
		return "a walk that counts other pages than were there";
	order->walks |= kind;
	order->nr_sps = 0;
	memset(order->nr_by_state, 0, sizeof(order->nr_by_state));
	/* The two walks come one after the other: a page may be freed by one MMU and be met in the other. */
	ms_map_deinit(&order->seen);
	return NULL;
}

/* A list's descriptors follow it at once, all of them; the last record counts the lists. */
static const char *order_rmaps(struct ms_snap_order *order, enum ms_rec_type type, const void *rec)
{
	const struct ms_rec_rmap_desc *desc = rec;
	const struct ms_rec_rmap *rmap = rec;
	const struct ms_rec_rmaps *rmaps = rec;

	if (order->rmaps_done)
		return "reverse maps after their end";
	if ((type == MS_REC_RMAP_DESC) != (order->nr_descs > 0))
		return "a list of SPTEs and other descriptors than it has";
	order->rmaps_open = type != MS_REC_RMAPS;
	if (type == MS_REC_RMAP_DESC) {
		u32 used = desc->count < MS_RMAP_EXT ? (u32)desc->count : MS_RMAP_EXT;

		if (used > order->nr_entries || (!--order->nr_descs && used != order->nr_entries))
			return "a list of SPTEs that counts other entries than were there";
		order->nr_entries -= used;
	} else if (type == MS_REC_RMAP) {
		order->nr_descs = rmap->nr_descs;
		order->nr_entries = rmap->nr_entries;
		order->nr_lists++;
		order->nr_lists_by_state[rmap->state]++;
	} else if (type == MS_REC_GFN) {
		order->nr_counts++;
	} else {
		order->rmaps_done = true;
		if (rmaps->nr_lists != order->nr_lists || rmaps->nr_counts != order->nr_counts ||
		    rmaps->nr_torn != order->nr_lists_by_state[MS_RMAP_TORN] ||
		    rmaps->nr_unreadable != order->nr_lists_by_state[MS_RMAP_UNREADABLE])
			return "reverse maps that count other lists than were there";
	}
	return NULL;
}

/* The end of what was begun: of one VM's details, or of all. */
static const char *order_close_vm(struct ms_snap_order *order)
{
	if (order->nr_sps)
		return "shadow pages without their walk";
	return order->rmaps_open ? "reverse maps without their end" : NULL;
}

static struct ms_err *order_detail(struct ms_snap_order *order, enum ms_rec_type type, const void *rec,
				   u64 kvm, const char **what_ret)
{
	u32 stage = rec_stage(type);

	order->details = true;
	if (kvm != order->kvm) {
		u32 known = kvm ? ms_map_get(&order->vms, kvm) : MS_MAP_NONE;

		*what_ret = order_close_vm(order);
		if (*what_ret)
			return NULL;
		if (known == MS_MAP_NONE || known == 2) {
			*what_ret = known == 2 ? "details of a VM in two places"
					       : "details of a VM that was not listed";
			return NULL;
		}
		if (!ms_map_put(&order->vms, kvm, 2))
			return ms_err_nomem();
		order->kvm = kvm;
		order->stage = 0;
		order->walks = 0;
		order->rmaps_done = order->exact = false;
		order->nr_lists = order->nr_counts = 0;
		memset(order->nr_lists_by_state, 0, sizeof(order->nr_lists_by_state));
		ms_map_deinit(&order->seen);
	}
	if (stage < order->stage) {
		*what_ret = "records of a VM out of order";
		return NULL;
	}
	if (stage > order->stage)
		ms_map_deinit(&order->seen);
	order->stage = stage;
	switch (type) {
	case MS_REC_VCPU:
		return order_once(&order->seen, ((const struct ms_rec_vcpu *)rec)->vcpu,
				  "the same vCPU twice", what_ret);
	case MS_REC_MMU:
		return order_once(&order->seen, ((const struct ms_rec_mmu *)rec)->mmu, "the same MMU twice",
				  what_ret);
	case MS_REC_SP:
		order->nr_sps++;
		order->nr_by_state[((const struct ms_rec_sp *)rec)->state]++;
		return order_once(&order->seen, ((const struct ms_rec_sp *)rec)->sp,
				  "the same shadow page twice in a walk", what_ret);
	case MS_REC_WALK:
		*what_ret = order_walk(order, rec);
		return NULL;
	case MS_REC_RMAP:
	case MS_REC_RMAP_DESC:
	case MS_REC_GFN:
	case MS_REC_RMAPS:
		if (order->nr_sps)
			*what_ret = "shadow pages without their walk";
		else
			*what_ret = order_rmaps(order, type, rec);
		return NULL;
	case MS_REC_EXACT:
		if (order->nr_sps)
			*what_ret = "shadow pages without their walk";
		else if (order->rmaps_open)
			*what_ret = "reverse maps without their end";
		else if (order->exact)
			*what_ret = "a second locked reading";
		order->exact = true;
		return NULL;
	case MS_REC_PIN:
		return order_once(&order->seen,
				  frame_key(((const struct ms_rec_pin *)rec)->as_id,
					    ((const struct ms_rec_pin *)rec)->gfn),
				  "the same pin twice", what_ret);
	case MS_REC_GTABLE:
		return order_once(&order->seen,
				  frame_key(((const struct ms_rec_gtable *)rec)->as_id,
					    ((const struct ms_rec_gtable *)rec)->gfn),
				  "the same guest table twice", what_ret);
	case MS_REC_CHANGED:
		return order_once(&order->seen,
				  frame_key(((const struct ms_rec_changed *)rec)->as_id,
					    ((const struct ms_rec_changed *)rec)->gfn),
				  "the same changed page twice", what_ret);
	default:
		return NULL;
	}
}

bool ms_snap_order_full(const struct ms_snap_order *order, u64 max_records)
{
	return order->nr_records - order->nr_small > max_records ||
	       order->nr_small > max_records * MS_SNAP_SMALL_PER_RECORD;
}

struct ms_err *ms_snap_order_next(struct ms_snap_order *order, enum ms_rec_type type, const void *rec,
				  const char **what_ret)
{
	struct ms_err *err = NULL;

	*what_ret = NULL;
	if (!order->host && type != MS_REC_HOST) {
		*what_ret = "it does not begin with the host";
		return NULL;
	}
	switch (type) {
	case MS_REC_HOST:
		if (order->host)
			*what_ret = "a second host";
		order->host = true;
		break;
	case MS_REC_VM:
		if (order->details)
			*what_ret = "a VM after details of others";
		else
			err = order_once(&order->vms, ((const struct ms_rec_vm *)rec)->kvm,
					 "the same VM twice", what_ret);
		break;
	case MS_REC_END:
		*what_ret = order_close_vm(order);
		if (!*what_ret && ((const struct ms_rec_end *)rec)->nr_records != order->nr_records)
			*what_ret = "an end that counts other records than were there";
		return NULL;
	default:
		err = order_detail(order, type, rec, ms_rec_kvm(type, rec), what_ret);
		break;
	}
	if (!err && !*what_ret) {
		order->nr_records++;
		order->nr_small += is_of_rmaps(type) || type == MS_REC_PIN || type == MS_REC_CHANGED;
	}
	return err;
}

/* --- tables --- */

/* A vote: each value stands against the leader. One that fills more than half of the table always wins. */
static u64 table_filler(const u64 *values)
{
	u64 leader = values[0];
	u32 votes = 0, i;

	for (i = 0; i < MS_SPTES; i++) {
		if (!votes)
			leader = values[i];
		if (values[i] == leader)
			votes++;
		else
			votes--;
	}
	return leader;
}

size_t ms_snap_table_encode(const u64 *values, u8 *out)
{
	u64 bitmap[MS_SNAP_BITMAP_WORDS] = { 0 }, filler = table_filler(values);
	size_t at = 8 + sizeof(bitmap);
	u32 i;

	memcpy(out, &filler, 8);
	for (i = 0; i < MS_SPTES; i++) {
		if (values[i] == filler)
			continue;
		bitmap[i / 64] |= 1ull << (i % 64);
		memcpy(out + at, &values[i], 8);
		at += 8;
	}
	memcpy(out + 8, bitmap, sizeof(bitmap));
	return at;
}

size_t ms_snap_table_decode(const u8 *in, size_t len, u64 *values_ret)
{
	u64 bitmap[MS_SNAP_BITMAP_WORDS], filler;
	size_t at = 8 + sizeof(bitmap);
	u32 i;

	if (len < at)
		return 0;
	memcpy(&filler, in, 8);
	memcpy(bitmap, in + 8, sizeof(bitmap));
	for (i = 0; i < MS_SPTES; i++) {
		values_ret[i] = filler;
		if (!(bitmap[i / 64] >> (i % 64) & 1))
			continue;
		if (len - at < 8)
			return 0;
		memcpy(&values_ret[i], in + at, 8);
		at += 8;
		if (values_ret[i] == filler)
			return 0;
	}
	return table_filler(values_ret) == filler ? at : 0;
}

/* --- encoder --- */

struct ms_err *ms_snap_encode_begin(struct ms_snap_encoder *encoder)
{
	struct ms_snap_head head = { .version = MS_SNAP_VERSION, .rec_version = MS_REC_VERSION };

	memcpy(head.magic, MS_SNAP_MAGIC, sizeof(head.magic));
	return encoder->drain.write(encoder->drain.ctx, &head, sizeof(head));
}

static struct ms_err *encode_record(struct ms_snap_encoder *encoder, enum ms_rec_type type, const void *rec,
				    const struct ms_sp_tables *tables)
{
	struct ms_snap_rec *head = (struct ms_snap_rec *)encoder->buf;
	size_t size = ms_rec_size(type), at = sizeof(*head) + size;
	const char *what;
	struct ms_err *err;

	what = ms_snap_check_record(type, rec);
	if (!what) {
		err = ms_snap_order_next(&encoder->order, type, rec, &what);
		if (err)
			return err;
	}
	if (!what && ms_snap_order_full(&encoder->order, MS_SNAP_MAX_RECORDS))
		what = "more records than a snapshot holds";
	if (what)
		return ms_err_new(MS_ERR_TARGET, "record %llu cannot be saved: %s",
				  (unsigned long long)encoder->order.nr_records, what);
	memcpy(encoder->buf + sizeof(*head), rec, size);
	if (type == MS_REC_SP) {
		u64 have = ((const struct ms_rec_sp *)rec)->have;

		if (!(have & MS_SP_HAVE_SPTES) != !tables)
			return ms_err_new(
				MS_ERR_BUG,
				"a shadow page says that it has SPTEs and has none, or the reverse");
		if (have & MS_SP_HAVE_SPTES)
			at += ms_snap_table_encode(tables->sptes, encoder->buf + at);
		if (have & MS_SP_HAVE_TRANSLATIONS)
			at += ms_snap_table_encode(tables->translations, encoder->buf + at);
	}
	*head = (struct ms_snap_rec){ .type = type, .len = (u32)(at - sizeof(*head)) };
	return encoder->drain.write(encoder->drain.ctx, encoder->buf, at);
}

struct ms_err *ms_snap_encode_put(struct ms_snap_encoder *encoder, enum ms_rec_type type, const void *rec,
				  const struct ms_sp_tables *tables)
{
	if (type == MS_REC_END)
		return ms_err_new(MS_ERR_BUG, "the end of a snapshot is written by its writer");
	return encode_record(encoder, type, rec, tables);
}

struct ms_err *ms_snap_encode_end(struct ms_snap_encoder *encoder)
{
	struct ms_rec_end end = { .nr_records = encoder->order.nr_records };

	return encode_record(encoder, MS_REC_END, &end, NULL);
}
