/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events as a trace: see trace.h. */
#include "render/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/event_desc.h"
#include "base/map.h"
#include "render/private.h"

#define TAKEN_MAX 65536u /* under way at once; further ones are instants */
#define TAKEN_CHAINS 1024u /* a power of two */

/* Something that lasts, and has not ended yet. */
struct slice {
	bool on;
	u64 start_ns, last_ns;
	struct ms_buf args; /* members of the event that began it */
};

/* A vCPU of a VM; or, without vCPU, a thread of the host: number 0 when it is not known. */
struct track {
	u32 process, number; /* as the trace has them */
	struct slice fault, drain;
	/*
	 * A live host tells of a drain when it is over, after its entries; the engine before them. entries: it was
	 * begun by one and ends with that event; other: something else came since the last one.
	 */
	bool entries, other;
};

/* An invalidation that is under way, in the chain of its range; or one that is free. */
struct taken {
	u64 kvm, start, end, begun_ns;
	u32 id, process, number;
	u32 next; /* 1 + index of the one that began before it, 0: none */
};

struct ms_tracefile {
	struct sink sink;
	char *path;
	bool lent; /* sink.out is somebody else's */
	bool any; /* an event was written */
	u64 last_ns;
	struct ms_map processes; /* by VM: kvm + 1 */
	u32 nr_processes;
	struct track *tracks;
	size_t nr_tracks, cap_tracks;
	struct ms_map by_track; /* track_key() to index of tracks */
	struct taken *taken;
	size_t nr_taken, cap_taken; /* free ones are part of it */
	u32 chains[TAKEN_CHAINS], unused; /* 1 + index of the first, 0: none */
	u32 next_id;
	struct ms_buf args; /* of the event at hand */
	size_t first_arg; /* column, in the rows at hand */
};

static struct ms_err *trace_err(struct ms_tracefile *trace)
{
	if (!trace->sink.error)
		return ms_err_nomem();
	return ms_err_hint(ms_err_errno(MS_ERR_TARGET, trace->sink.error, "trace %s", trace->path),
			   "the file is not complete");
}

/* --- one entry of traceEvents --- */

static void put_us(struct ms_buf *out, u64 ns)
{
	ms_buf_printf(out, "%llu.%03llu", (unsigned long long)ns / 1000, (unsigned long long)ns % 1000);
}

/* {"name":"fault","cat":"mmu","ph":"X","pid":1,"tid":1,"ts":12.345 and what the caller adds. */
static void entry_begin(struct ms_tracefile *trace, const char *name, char phase, u32 process, u32 number,
			u64 ns)
{
	struct ms_buf *out = &trace->sink.buf;

	ms_buf_puts(out, trace->any ? ",\n{\"name\":" : "\n{\"name\":");
	trace->any = true;
	json_string(&trace->sink, name, strlen(name));
	ms_buf_printf(out, ",\"cat\":\"mmu\",\"ph\":\"%c\",\"pid\":%u,\"tid\":%u,\"ts\":", phase, process,
		      number);
	put_us(out, ns);
}

static void entry_end(struct ms_tracefile *trace, const struct ms_buf *args)
{
	ms_buf_puts(&trace->sink.buf, ",\"args\":{");
	ms_buf_put(&trace->sink.buf, ms_buf_str(args), args->len);
	ms_buf_puts(&trace->sink.buf, "}}");
}

static void name_put(struct ms_tracefile *trace, const char *what, u32 process, u32 number, const char *name)
{
	struct ms_buf *out = &trace->sink.buf;

	entry_begin(trace, what, 'M', process, number, 0);
	ms_buf_puts(out, ",\"args\":{\"name\":");
	json_string(&trace->sink, name, strlen(name));
	ms_buf_puts(out, "}}");
}

/* --- who --- */

/* The text of a cell of the row, as it is shown. */
static const struct ms_cell *cell_of(const struct ms_section *section, const struct ms_cell *cells,
				     const char *name, struct ms_buf *text_ret)
{
	size_t i;

	for (i = 0; i < section->nr_cols; i++)
		if (!strcmp(section->cols[i].name, name)) {
			ms_buf_reset(text_ret);
			ms_cell_format(&cells[i], &section->cols[i], text_ret);
			return &cells[i];
		}
	return NULL;
}

static const struct ms_vm *vm_of(const struct ms_section *section, u64 kvm)
{
	size_t i;

	for (i = 0; section->model && i < section->model->nr_vms; i++)
		if (section->model->vms[i].rec.kvm == kvm)
			return &section->model->vms[i];
	return NULL;
}

static void process_name(struct ms_tracefile *trace, const struct ms_result *result,
			 const struct ms_section *section, const struct ms_cell *cells, u64 kvm, u32 process)
{
	const struct ms_vm *vm = vm_of(section, kvm);
	struct ms_buf name = { 0 }, text = { 0 };

	cell_of(section, cells, "kvm", &text);
	ms_buf_printf(&name, kvm ? "VM %s" : "no VM", ms_buf_str(&text));
	if (vm && vm->rec.have & MS_VM_HAVE_OWNER && !result->redactor) {
		ms_buf_puts(&name, " (");
		ms_buf_put_clean(&name, vm->rec.comm, strnlen(vm->rec.comm, sizeof(vm->rec.comm)));
		ms_buf_putc(&name, ')');
	}
	name_put(trace, "process_name", process, 0, ms_buf_str(&name));
	trace->sink.buf.oom |= name.oom | text.oom;
	ms_buf_deinit(&name);
	ms_buf_deinit(&text);
}

/* 0: memory is out. */
static u32 process_of(struct ms_tracefile *trace, const struct ms_result *result,
		      const struct ms_section *section, const struct ms_cell *cells, u64 kvm)
{
	u32 process = ms_map_get(&trace->processes, kvm + 1);

	if (process != MS_MAP_NONE)
		return process;
	process = trace->nr_processes + 1;
	if (!ms_map_put(&trace->processes, kvm + 1, process))
		return 0;
	trace->nr_processes = process;
	process_name(trace, result, section, cells, kvm, process);
	return process;
}

/* vCPU n is number n + 1; threads come behind all that there can be. */
#define FIRST_THREAD 100000u
#define NO_VCPU_BIT (1ull << 32)
#define PROCESS_SHIFT 33

static struct track *track_of(struct ms_tracefile *trace, const struct ms_result *result,
			      const struct ms_section *section, const struct ms_cell *cells,
			      const struct ms_event *event)
{
	bool has_vcpu = event->vcpu != MS_EV_NO_VCPU;
	u32 tid = has_vcpu ? 0 : event->tid;
	u32 process = process_of(trace, result, section, cells, event->kvm), at;
	u64 key = (u64)process << PROCESS_SHIFT | (has_vcpu ? event->vcpu : NO_VCPU_BIT | tid);
	struct ms_buf name = { 0 }, text = { 0 };
	struct track *grown;

	at = process ? ms_map_get(&trace->by_track, key) : MS_MAP_NONE;
	if (at != MS_MAP_NONE)
		return &trace->tracks[at];
	at = (u32)trace->nr_tracks;
	grown = process ? ms_grow(trace->tracks, &trace->cap_tracks, trace->nr_tracks + 1, sizeof(*grown))
			: NULL;
	if (!grown)
		return NULL;
	trace->tracks = grown;
	if (!ms_map_put(&trace->by_track, key, at))
		return NULL;
	trace->nr_tracks++;
	grown += at;
	*grown = (struct track){ .process = process,
				 .number = has_vcpu ? event->vcpu + 1u : FIRST_THREAD + at };
	cell_of(section, cells, has_vcpu ? "vcpu_id" : "tid", &text);
	ms_buf_printf(&name, has_vcpu ? "vCPU %s" : tid ? "thread %s" : "host", ms_buf_str(&text));
	name_put(trace, "thread_name", process, grown->number, ms_buf_str(&name));
	trace->sink.buf.oom |= name.oom | text.oom;
	ms_buf_deinit(&name);
	ms_buf_deinit(&text);
	return grown;
}

/* --- what lasts --- */

static void slice_begin(struct ms_tracefile *trace, struct slice *slice, u64 ns)
{
	slice->on = true;
	slice->start_ns = slice->last_ns = ns;
	ms_buf_reset(&slice->args);
	ms_buf_put(&slice->args, ms_buf_str(&trace->args), trace->args.len);
}

/* done: members of the event that ended it; NULL: nothing did. */
static void slice_end(struct ms_tracefile *trace, const struct track *track, struct slice *slice,
		      const char *name, u64 ns, const char *done_name, const struct ms_buf *done)
{
	struct ms_buf args = { 0 };

	if (!slice->on)
		return;
	slice->on = false;
	if (ns < slice->start_ns)
		ns = slice->start_ns;
	entry_begin(trace, name, 'X', track->process, track->number, slice->start_ns);
	ms_buf_puts(&trace->sink.buf, ",\"dur\":");
	put_us(&trace->sink.buf, ns - slice->start_ns);
	ms_buf_put(&args, ms_buf_str(&slice->args), slice->args.len);
	if (done_name && done)
		ms_buf_printf(&args, ",\"%s\":{%s}", done_name, ms_buf_str(done));
	else if (done_name)
		ms_buf_puts(&args, ",\"unfinished\":true");
	entry_end(trace, &args);
	trace->sink.buf.oom |= args.oom | slice->args.oom;
	ms_buf_deinit(&args);
}

static void instant(struct ms_tracefile *trace, const struct track *track, const char *name, u64 ns)
{
	entry_begin(trace, name, 'i', track->process, track->number, ns);
	ms_buf_puts(&trace->sink.buf, ",\"s\":\"t\"");
	entry_end(trace, &trace->args);
}

static void taken_put(struct ms_tracefile *trace, const struct taken *taken, char phase, u64 ns)
{
	static const struct ms_buf none;

	entry_begin(trace, "invalidate", phase, taken->process, taken->number, ns);
	ms_buf_printf(&trace->sink.buf, ",\"id\":%u", taken->id);
	entry_end(trace, phase == 'b' ? &trace->args : &none);
}

static u32 *taken_chain(struct ms_tracefile *trace, u64 kvm, u64 start, u64 end)
{
	u64 hash = (start ^ kvm) * 0x9e3779b97f4a7c15ull + end * 0xc2b2ae3d27d4eb4full;

	return &trace->chains[hash >> 32 & (TAKEN_CHAINS - 1)];
}

/* NULL: memory is out, or there are too many. */
static struct taken *taken_alloc(struct ms_tracefile *trace)
{
	struct taken *grown;

	if (trace->unused) {
		grown = &trace->taken[trace->unused - 1];
		trace->unused = grown->next;
		return grown;
	}
	grown = trace->nr_taken < TAKEN_MAX
			? ms_grow(trace->taken, &trace->cap_taken, trace->nr_taken + 1, sizeof(*grown))
			: NULL;
	if (!grown)
		return NULL;
	trace->taken = grown;
	return grown + trace->nr_taken++;
}

/* False: it is not followed to its end. */
static bool taken_begin(struct ms_tracefile *trace, const struct track *track, const struct ms_event *event)
{
	const struct ms_ev_invalidate *ev = &event->u.invalidate;
	u32 *chain = taken_chain(trace, event->kvm, ev->start, ev->end);
	struct taken *taken = taken_alloc(trace);

	if (!taken)
		return false;
	*taken = (struct taken){ .kvm = event->kvm,
				 .start = ev->start,
				 .end = ev->end,
				 .begun_ns = event->time_ns,
				 .id = ++trace->next_id,
				 .process = track->process,
				 .number = track->number,
				 .next = *chain };
	*chain = (u32)(taken - trace->taken) + 1;
	taken_put(trace, taken, 'b', event->time_ns);
	return true;
}

/* The one that began last, of those of this range. */
static bool taken_end(struct ms_tracefile *trace, const struct ms_event *event)
{
	const struct ms_ev_invalidate_end *ev = &event->u.invalidate_end;
	u32 *link = taken_chain(trace, event->kvm, ev->start, ev->end), at;
	struct taken *taken;

	for (; (at = *link); link = &taken->next) {
		taken = &trace->taken[at - 1];
		if (taken->kvm != event->kvm || taken->start != ev->start || taken->end != ev->end)
			continue;
		taken_put(trace, taken, 'e',
			  event->time_ns < taken->begun_ns ? taken->begun_ns : event->time_ns);
		*link = taken->next;
		*taken = (struct taken){ .next = trace->unused };
		trace->unused = at;
		return true;
	}
	return false;
}

/* An event but pml_drain: an entry of the buffer, or what it dirties; or something else. */
static void drain_goes_on(struct ms_tracefile *trace, struct track *track, u64 ns, bool entry)
{
	/* Without its pml_drain, which may not be listened to, a drain ends with its last entry. */
	if (entry ? track->entries && track->other : !track->entries) {
		slice_end(trace, track, &track->drain, "pml_drain", track->drain.last_ns, NULL, NULL);
		track->entries = false;
	}
	track->other = !entry;
	if (!entry)
		return;
	if (!track->drain.on) {
		slice_begin(trace, &track->drain, ns);
		/* What is said of a drain comes with its end. */
		ms_buf_reset(&track->drain.args);
		track->entries = true;
	}
	track->drain.last_ns = ns;
}

static bool put_event(struct ms_tracefile *trace, struct track *track, const struct ms_event *event)
{
	struct ms_event_desc desc;
	u64 ns = event->time_ns;

	if (!ms_event_desc(event->id, &desc))
		return true;
	if (event->id != MS_EV_pml_drain)
		drain_goes_on(trace, track, ns, event->cause == MS_CAUSE_PML);
	switch (event->id) {
	case MS_EV_fault:
		/* One that ended with an error has no fault_done. */
		slice_end(trace, track, &track->fault, "fault", ns, "fault_done", NULL);
		slice_begin(trace, &track->fault, ns);
		return true;
	case MS_EV_fault_done:
		if (!track->fault.on)
			break;
		slice_end(trace, track, &track->fault, "fault", ns, "fault_done", &trace->args);
		return true;
	case MS_EV_pml_drain:
		if (track->entries) {
			slice_end(trace, track, &track->drain, "pml_drain", ns, "pml_drain", &trace->args);
			track->entries = false;
			return true;
		}
		slice_end(trace, track, &track->drain, "pml_drain", track->drain.last_ns, NULL, NULL);
		slice_begin(trace, &track->drain, ns);
		return true;
	case MS_EV_invalidate:
		if (taken_begin(trace, track, event))
			return true;
		break;
	case MS_EV_invalidate_end:
		if (taken_end(trace, event))
			return true;
		break;
	}
	instant(trace, track, desc.name, ns);
	return true;
}

/* --- the file --- */

static bool is_directory(const char *path)
{
	struct stat st;
	int before = errno;
	bool ret = !stat(path, &st) && S_ISDIR(st.st_mode);

	errno = before;
	return ret;
}

/* error: of open(). */
static struct ms_err *open_err(const char *path, int error)
{
	struct ms_err *err;

	if (is_directory(path))
		error = EISDIR;
	err = ms_err_errno(MS_ERR_USAGE, error, "trace %s", path);
	if (error == EISDIR)
		return ms_err_hint(err, "it is a directory: name a file in it, as %s%strace.json", path,
				   path[strlen(path) - 1] == '/' ? "" : "/");
	return error == EEXIST ? ms_err_hint(err, "--force replaces it") : err;
}

/* Of the directory that it would be in. */
static bool dir_takes_files(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = !slash ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
	bool ret = dir && !faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS);
	int error = dir ? errno : ENOMEM;

	free(dir);
	errno = error;
	return ret;
}

struct ms_err *ms_tracefile_check(const char *path, bool force)
{
	struct stat st;

	if (!strcmp(path, "-"))
		return NULL;
	if (is_directory(path))
		return open_err(path, EISDIR);
	if (lstat(path, &st))
		return errno != ENOENT || !dir_takes_files(path) ? open_err(path, errno) : NULL;
	return force ? NULL : open_err(path, EEXIST);
}

struct ms_err *ms_tracefile_create(const char *path, bool force, FILE *out, struct ms_tracefile **ret)
{
	struct ms_tracefile *trace = calloc(1, sizeof(*trace));
	struct ms_err *err;
	int fd = -1;

	if (!trace)
		return ms_err_nomem();
	trace->path = strdup(path);
	if (!trace->path) {
		free(trace);
		return ms_err_nomem();
	}
	trace->lent = !strcmp(path, "-");
	if (!trace->lent)
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL), 0600);
	trace->sink.out = trace->lent ? out : fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!trace->sink.out) {
		err = open_err(path, errno);
		if (fd >= 0)
			close(fd);
		free(trace->path);
		free(trace);
		return err;
	}
	ms_buf_puts(&trace->sink.buf, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
	*ret = trace;
	return NULL;
}

/* What tells who and when is in other members. */
static size_t first_arg(const struct ms_section *section)
{
	size_t i;

	for (i = 0; i < section->nr_cols; i++)
		if (!strcmp(section->cols[i].name, "guest"))
			return i;
	return 0;
}

struct ms_err *ms_tracefile_put(struct ms_tracefile *trace, const struct ms_result *result,
				const struct ms_event *events, size_t nr)
{
	const struct ms_section *section = &result->sections[0];
	struct ms_cell *cells = ms_cells_create(section->nr_cols);
	struct sink args = { 0 };
	struct track *track;
	bool ok = cells;
	size_t i;

	for (i = 0; i < nr && ok; i++) {
		ms_result_row(result, section, i, cells);
		ms_buf_reset(&args.buf);
		ms_buf_printf(&args.buf, "\"seq\":%llu,", (unsigned long long)events[i].seq);
		json_members(&args, section, first_arg(section), cells);
		ms_buf_reset(&trace->args);
		ms_buf_put(&trace->args, ms_buf_str(&args.buf), args.buf.len);
		track = track_of(trace, result, section, cells, &events[i]);
		ok = track && put_event(trace, track, &events[i]) && !args.buf.oom && !trace->args.oom &&
		     sink_flush(&trace->sink, false);
		if (events[i].time_ns > trace->last_ns)
			trace->last_ns = events[i].time_ns;
	}
	ms_buf_deinit(&args.buf);
	ms_cells_destroy(cells, section->nr_cols);
	return ok ? NULL : trace_err(trace);
}

static void end_all(struct ms_tracefile *trace)
{
	struct track *track;
	size_t i;

	for (track = trace->tracks; track < trace->tracks + trace->nr_tracks; track++) {
		slice_end(trace, track, &track->drain, "pml_drain", track->drain.last_ns, NULL, NULL);
		slice_end(trace, track, &track->fault, "fault", trace->last_ns, "fault_done", NULL);
	}
	for (i = 0; i < trace->nr_taken; i++)
		if (trace->taken[i].id)
			taken_put(trace, &trace->taken[i], 'e', trace->last_ns);
	ms_buf_puts(&trace->sink.buf, "\n]}\n");
}

struct ms_err *ms_tracefile_close(struct ms_tracefile *trace)
{
	struct ms_err *err = NULL;
	size_t i;

	if (!trace)
		return NULL;
	end_all(trace);
	if (!sink_flush(&trace->sink, true))
		err = trace_err(trace);
	if (!trace->lent && fclose(trace->sink.out) && !err) {
		trace->sink.error = errno;
		err = trace_err(trace);
	}
	for (i = 0; i < trace->nr_tracks; i++) {
		ms_buf_deinit(&trace->tracks[i].fault.args);
		ms_buf_deinit(&trace->tracks[i].drain.args);
	}
	free(trace->tracks);
	free(trace->taken);
	ms_map_deinit(&trace->processes);
	ms_map_deinit(&trace->by_track);
	ms_buf_deinit(&trace->args);
	ms_buf_deinit(&trace->sink.buf);
	free(trace->path);
	free(trace);
	return err;
}
