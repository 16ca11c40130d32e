/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listening to the running kernel, first half: which of abi/probes.def's programs are loaded (those that feed or
 * explain what is wanted), and how they are attached. What this kernel has not, or what does not attach, is said
 * (struct ms_probe) and never fatal.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/btf.h>

#include "base/buf.h"
#include "layout/layout.h"
#include "sym/sym.h"
#include "target/live_private.h"

#include "events.skel.h"

#define BTF_VMLINUX "/sys/kernel/btf/vmlinux"
#define BTF_MODULE "/sys/kernel/btf/"
/* A program that the verifier refuses is left out and the rest loaded again. */
#define LOAD_TRIES 12
/* CPUs whose areas are read at a time. */
#define AREAS_AT_ONCE (MS_KREAD_MAX_LEN / 8)

/* --- what this kernel has --- */

static void note_function(struct live_listener *ll, const char *name, bool is_tracepoint, u8 vendor, u32 id)
{
	size_t i;

	for (i = 0; i < ms_nr_probe_descs; i++) {
		const struct ms_probe_desc *desc = &ms_probe_descs[i];

		if (desc->is_tracepoint != is_tracepoint || desc->fn[0] != name[0] || strcmp(desc->fn, name))
			continue;
		ll->probes[i].there = true;
		ll->probes[i].vendor = vendor;
		ll->probes[i].btf_id = id;
	}
}

static void note_rets(struct live_listener *ll, const struct btf *btf, const struct btf_type *t)
{
	static const char *const names[MS_RET_NR] = {
#define FAULT_RET(id, name, text) [MS_RET_##id] = "RET_PF_" #id,
#include "abi/rets.def"
#undef FAULT_RET
	};
	const struct btf_enum *e = btf_enum(t);
	__u32 i;
	u8 ret;

	for (i = 0; i < btf_vlen(t); i++) {
		const char *name = btf__str_by_offset(btf, e[i].name_off);

		for (ret = 0; name && ret < MS_RET_NR; ret++)
			if (e[i].val >= 0 && e[i].val < (int)MS_PROBE_RETS && !strcmp(name, names[ret]))
				ll->ret_of[e[i].val] = ret;
	}
}

static void look_through(struct live_listener *ll, const struct btf *btf, __u32 from, u8 vendor)
{
	static const char tp[] = "btf_trace_";
	__u32 id, nr = btf__type_cnt(btf);

	for (id = from; id < nr; id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);
		const char *name = t && t->name_off ? btf__str_by_offset(btf, t->name_off) : NULL;

		if (t && btf_is_enum(t) && !t->name_off)
			note_rets(ll, btf, t);
		else if (name && btf_is_func(t))
			note_function(ll, name, false, vendor, id);
		else if (name && btf_is_typedef(t) && !strncmp(name, tp, sizeof(tp) - 1))
			note_function(ll, name + sizeof(tp) - 1, true, vendor, id);
	}
}

static const char *const modules[] = {
	[MS_PROBE_kvm] = "kvm",
	[MS_PROBE_amd] = "kvm_amd",
	[MS_PROBE_intel] = "kvm_intel",
};

/* One module, or the kernel itself when it is built in. */
static struct ms_err *look_into(struct live_listener *ll, struct btf *base, u8 vendor, bool *base_done)
{
	char path[64];
	struct btf *split;

	snprintf(path, sizeof(path), BTF_MODULE "%s", modules[vendor]);
	if (access(path, F_OK)) {
		if (!*base_done)
			look_through(ll, base, 1, vendor);
		*base_done = true;
		return NULL;
	}
	split = btf__parse_split(path, base);
	if (!split)
		return ms_err_errno(MS_ERR_TARGET, errno, "live: BTF %s", path);
	look_through(ll, split, btf__type_cnt(base), vendor);
	btf__free(split);
	return NULL;
}

/* A program that is attached to a module's function is loaded with a descriptor of the module's BTF. */
static struct ms_err *open_module_btf(struct live_listener *ll)
{
	u32 id = 0;
	size_t i;

	while (!bpf_btf_get_next_id(id, &id)) {
		char name[32] = "";
		struct bpf_btf_info info = { .name = (u64)(uintptr_t)name, .name_len = sizeof(name) };
		u32 len = sizeof(info);
		int fd = bpf_btf_get_fd_by_id(id);

		if (fd < 0 && errno == ENOENT)
			continue; /* gone meanwhile */
		if (fd < 0)
			return ms_live_err(-errno, "listing the kernel's BTF");
		if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.kernel_btf) {
			for (i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
				if (strcmp(name, modules[i]) || ll->btf_fd[i])
					continue;
				ll->btf_fd[i] = fd;
				fd = -1;
				break;
			}
		}
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

static struct ms_err *look_at_kernel(struct live_listener *ll)
{
	struct btf *base = btf__parse(BTF_VMLINUX, NULL);
	struct ms_err *err;
	bool base_done = false;

	if (!base)
		return ms_err_errno(MS_ERR_TARGET, errno, "live: BTF " BTF_VMLINUX);
	memset(ll->ret_of, MS_RET_NR, sizeof(ll->ret_of));
	ll->amd = !access("/sys/module/kvm_amd", F_OK);
	ll->intel = !access("/sys/module/kvm_intel", F_OK);
	err = look_into(ll, base, MS_PROBE_kvm, &base_done);
	if (!err && ll->amd)
		err = look_into(ll, base, MS_PROBE_amd, &base_done);
	if (!err && ll->intel)
		err = look_into(ll, base, MS_PROBE_intel, &base_done);
	btf__free(base);
	return err ? err : open_module_btf(ll);
}

/* --- descriptors --- */

/* Maps, BTF, the ring, and what libbpf opens meanwhile. */
#define OTHER_DESCRIPTORS 40u

static bool attaches(const struct probe *probe)
{
	return probe->wanted && probe->there && !probe->why[0];
}

/* Each link is a descriptor, and each program; a kprobe's event is one more. On top of those that are open. */
static u64 descriptors_needed(const struct live_listener *ll)
{
	int lowest = dup(STDERR_FILENO);
	u64 nr = OTHER_DESCRIPTORS + (u64)(lowest > 0 ? lowest : 0);
	size_t i;

	if (lowest >= 0)
		close(lowest);
	for (i = 0; i < ms_nr_probe_descs; i++)
		if (attaches(&ll->probes[i]))
			nr += ms_probe_descs[i].is_operation ? 4 : ms_probe_descs[i].is_kprobe ? 3 : 2;
	return nr;
}

/*
 * The process may have no more descriptors, or nobody may: not this kernel's lack of a place, so that going on would
 * be to hear less and to blame the kernel for it.
 */
static struct ms_err *no_descriptors(int err, u64 needed)
{
	struct rlimit limit = { 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	if (err == ENFILE)
		return ms_err_hint(ms_err_new(MS_ERR_TARGET, "live: this host has no file descriptors left"),
				   "fs.file-max is their number");
	return ms_err_hint(
		ms_err_new(MS_ERR_TARGET,
			   "live: too few file descriptors to listen: %llu are allowed, and it takes "
			   "about %llu",
			   (unsigned long long)limit.rlim_max, (unsigned long long)needed),
		"fewer events take fewer (--event); root raises the limit with `ulimit -Hn %llu'",
		(unsigned long long)needed);
}

/* More than a shell's usual limit may be needed: all that is allowed is taken. */
static struct ms_err *allow_descriptors(const struct live_listener *ll)
{
	u64 needed = descriptors_needed(ll);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return NULL;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_max < needed ? no_descriptors(EMFILE, needed) : NULL;
}

/* --- loading --- */

static bool of_other_vendor(const struct live_listener *ll, const struct ms_probe_desc *desc)
{
	return (desc->vendor == MS_PROBE_amd && !ll->amd) || (desc->vendor == MS_PROBE_intel && !ll->intel);
}

/* Counted by their names alone, events have no cause and no VM: what is there to tell these is left alone. */
static bool names_only(const struct ms_listen *listen)
{
	return listen->count_by == MS_BY_EVENT && !listen->kvm && !listen->has_vcpu && !listen->has_gfn;
}

/* 6.1: shadowing is tracked by the same functions as what others track; who is at work tells them apart. */
static bool track_is_shared(const struct live_listener *ll)
{
	size_t i;

	for (i = 0; i < ms_nr_probe_descs; i++)
		if (!strcmp(ms_probe_descs[i].fn, "kvm_slot_page_track_add_page"))
			return ll->probes[i].there && ms_probe_descs[i].events & ll->l.listen.events;
	return false;
}

/*
 * An operation has a cause to give, which names do not show. Two things need one to be known at all: that a PML
 * buffer is emptied, and that nobody of KVM's is at work.
 */
static bool wants_probe(const struct live_listener *ll, const struct ms_probe_desc *desc)
{
	if (!(desc->events & ll->l.listen.events))
		return false;
	return !desc->is_operation || !names_only(&ll->l.listen) || desc->cause == MS_CAUSE_NONE ||
	       (desc->who != MS_OP_VCPU && track_is_shared(ll));
}

static void choose(struct live_listener *ll)
{
	size_t i;

	for (i = 0; i < ms_nr_probe_descs; i++) {
		struct probe *probe = &ll->probes[i];

		probe->wanted =
			wants_probe(ll, &ms_probe_descs[i]) && !of_other_vendor(ll, &ms_probe_descs[i]);
		/* A part that the compiler split off has no BTF: attaching it tells. */
		probe->there |= ms_probe_descs[i].is_kprobe;
		if (!probe->there)
			snprintf(probe->why, sizeof(probe->why), "this kernel has no such %s",
				 ms_probe_descs[i].is_tracepoint ? "tracepoint"
								 : "function, or only inlined");
	}
}

/*
 * An entry of the PML buffer is told from other dirtied frames by who marks it: the innermost of these that is a
 * function of its own. BTF and kallsyms have no sizes: it ends where the next begins. Not known, the probe is off.
 */
static void find_drain(struct live_listener *ll)
{
	static const u8 drains[] = { MS_KSYM_vmx_flush_pml_buffer, MS_KSYM_vmx_handle_exit_inner,
				     MS_KSYM_vmx_handle_exit };
	struct probe *probe = NULL;
	struct ms_err *err = NULL;
	uint64_t end = 0;
	size_t i;

	for (i = 0; i < ms_nr_probe_descs; i++)
		if (!strcmp(ms_probe_descs[i].prog, "pml_entry"))
			probe = &ll->probes[i];
	if (!probe || !attaches(probe))
		return;
	ll->drain_lo = 0;
	for (i = 0; i < sizeof(drains) && !ll->drain_lo; i++)
		ll->drain_lo = ll->kmem->sym[drains[i]];
	if (ll->drain_lo)
		err = ms_sym_end(NULL, ll->drain_lo, &end);
	if (err || !end)
		snprintf(probe->why, sizeof(probe->why), "%s",
			 err ? ms_err_text(err)
			     : "this kernel does not say where vmx_handle_exit() is and ends");
	ms_err_free(err);
	ll->drain_hi = end;
}

/*
 * libbpf would look for each function's name among all types of the kernel, which takes most of the start: it is
 * told where they are. The cookie is the listener.
 */
static int prepare_program(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long cookie)
{
	struct live_listener *ll = (struct live_listener *)cookie;
	size_t i;

	for (i = 0; i < ms_nr_probe_descs; i++) {
		const struct probe *probe = &ll->probes[i];

		if (probe->prog[0] != prog && probe->prog[1] != prog)
			continue;
		opts->attach_btf_id = probe->btf_id;
		opts->attach_btf_obj_fd = (u32)ll->btf_fd[probe->vendor];
		return 0;
	}
	return -ENOENT;
}

/*
 * libbpf 1.1 forgets to forget its list of handlers when the last one goes: the next to register one would have it
 * freed twice. One for a section that no program has stays as long as the process.
 */
static int keep_handlers(void)
{
	static int keeper;

	if (keeper <= 0)
		keeper = libbpf_register_prog_handler("mmuscope", BPF_PROG_TYPE_UNSPEC, 0, NULL);
	return keeper;
}

static struct ms_err *handle_sections(struct live_listener *ll)
{
	static const struct {
		const char *section;
		enum bpf_attach_type type;
	} kinds[] = {
		{ "tp_btf+", BPF_TRACE_RAW_TP },
		{ "fentry+", BPF_TRACE_FENTRY },
		{ "fexit+", BPF_TRACE_FEXIT },
	};
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .cookie = (long)ll,
		    .prog_prepare_load_fn = prepare_program);
	int kept = keep_handlers();
	size_t i;

	if (kept < 0)
		return ms_live_err(kept, "preparing the event programs");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int id = libbpf_register_prog_handler(kinds[i].section, BPF_PROG_TYPE_TRACING, kinds[i].type,
						      &opts);

		if (id < 0)
			return ms_live_err(id, "preparing the event programs");
		ll->handler[i] = id;
	}
	return NULL;
}

static void find_programs(struct live_listener *ll)
{
	char name[96];
	size_t i;

	for (i = 0; i < ms_nr_probe_descs; i++) {
		const struct ms_probe_desc *desc = &ms_probe_descs[i];
		struct probe *probe = &ll->probes[i];
		bool load = probe->wanted && probe->there && !probe->why[0];

		snprintf(name, sizeof(name), "%s%s", desc->is_operation ? "op_" : "", desc->prog);
		probe->prog[0] = bpf_object__find_program_by_name(ll->skel->obj, name);
		snprintf(name, sizeof(name), "ox_%s", desc->prog);
		probe->prog[1] =
			desc->is_operation ? bpf_object__find_program_by_name(ll->skel->obj, name) : NULL;
		if (probe->prog[0])
			bpf_program__set_autoload(probe->prog[0], load);
		if (probe->prog[1])
			bpf_program__set_autoload(probe->prog[1], load);
	}
}

static struct ms_err *configure_layout(struct live_listener *ll)
{
	const struct ms_layout *layout = ll->kmem->layout;
	struct ms_probe_offsets *off = (struct ms_probe_offsets *)&ll->skel->rodata->off;
	struct ms_probe_role *role = (struct ms_probe_role *)&ll->skel->rodata->role_at;
	const struct ms_role_bit *bit;

#define PROBE_FIELD(id, need)                                                                             \
	if (need && !layout->f[MS_F_##id].present)                                                        \
		return ms_err_new(MS_ERR_TARGET, "live: this kernel has no %s: it cannot be listened to", \
				  ms_field_name(MS_F_##id));                                              \
	off->id = layout->f[MS_F_##id].present ? layout->f[MS_F_##id].off : MS_OFF_NONE;
#include "abi/probes.def"
	bit = ms_layout_role_bit(layout, "level");
	if (!bit || bit->bit + bit->width > 32)
		return ms_err_new(MS_ERR_TARGET,
				  "live: a page's role has no level: it cannot be listened to");
	role->level_shift = bit->bit;
	role->level_mask = (1u << bit->width) - 1;
	bit = ms_layout_role_bit(layout, "direct");
	role->direct = bit ? 1u << bit->bit : 0;
	bit = ms_layout_role_bit(layout, "passthrough");
	role->passthrough = bit ? 1u << bit->bit : 0;
	bit = ms_layout_role_bit(layout, "invalid");
	role->invalid = bit ? 1u << bit->bit : 0;
	return NULL;
}

static struct ms_err *configure_cpus(struct live_listener *ll)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 1)
		return ms_live_err(cpus, "counting CPUs");
	if (!ll->kmem->sym[MS_KSYM_per_cpu_offset] || !ll->kmem->sym[MS_KSYM_kvm_running_vcpu])
		return ms_err_new(MS_ERR_TARGET, "live: this kernel does not say which vCPU runs where "
						 "(kvm_running_vcpu): it cannot be listened to");
	ll->skel->rodata->running_vcpu = ll->kmem->sym[MS_KSYM_kvm_running_vcpu];
	bpf_map__set_max_entries(ll->skel->maps.cpu_area, (u32)cpus);
	return NULL;
}

/* The programs are loaded, and hear nothing yet. */
static struct ms_err *fill_cpus(struct live_listener *ll)
{
	u64 areas[AREAS_AT_ONCE];
	u32 cpus = bpf_map__max_entries(ll->skel->maps.cpu_area), cpu, i, nr;
	struct ms_err *err;

	for (cpu = 0; cpu < cpus; cpu += nr) {
		struct ms_kread req = {
			.addr = ll->kmem->sym[MS_KSYM_per_cpu_offset] + cpu * sizeof(u64),
			.dst = areas,
		};

		nr = cpus - cpu < AREAS_AT_ONCE ? cpus - cpu : AREAS_AT_ONCE;
		req.len = nr * (u32)sizeof(u64);
		err = ms_kmem_read(ll->kmem, &req, 1);
		if (err)
			return err;
		if (req.status)
			return ms_err_new(MS_ERR_TARGET, "live: __per_cpu_offset cannot be read");
		for (i = 0; i < nr; i++) {
			u32 key = cpu + i;

			if (bpf_map_update_elem(bpf_map__fd(ll->skel->maps.cpu_area), &key, &areas[i],
						BPF_ANY))
				return ms_live_err(-errno, "telling the event programs of the CPUs");
		}
	}
	return NULL;
}

static struct ms_err *configure(struct live_listener *ll)
{
	const struct ms_listen *listen = &ll->l.listen;
	struct events_bpf *skel = ll->skel;
	struct ms_err *err;

	err = configure_layout(ll);
	if (!err)
		err = configure_cpus(ll);
	if (err)
		return err;
	skel->rodata->events_wanted = listen->events;
	skel->rodata->filter_kvm = listen->kvm;
	skel->rodata->filter_vcpu = listen->has_vcpu ? listen->vcpu : MS_EV_NO_VCPU;
	skel->rodata->filter_gfn = listen->has_gfn;
	skel->rodata->filter_gfn_start = listen->gfn_start;
	skel->rodata->filter_gfn_end = listen->gfn_end;
	skel->rodata->take_stacks = listen->stacks && !listen->count_by;
	skel->rodata->count_by = listen->count_by;
	skel->rodata->count_names = names_only(listen);
	skel->rodata->wake_bytes = listen->buffer_bytes / 4;
	skel->rodata->page_offset = ll->kmem->page_offset;
	skel->rodata->vmemmap = ll->kmem->vmemmap;
	skel->rodata->max_pfn = ll->kmem->max_pfn;
	skel->rodata->page_bytes = ll->kmem->layout->type_size[MS_T_page];
	skel->rodata->is_intel = ll->intel;
	skel->rodata->drain_lo = ll->drain_lo;
	skel->rodata->drain_hi = ll->drain_hi;
	memcpy((u8 *)skel->rodata->ret_of, ll->ret_of, sizeof(ll->ret_of));
	/* What is not used takes no memory. */
	bpf_map__set_max_entries(skel->maps.ring,
				 listen->count_by ? MS_LISTEN_MIN_BUFFER : listen->buffer_bytes);
	if (!listen->count_by || names_only(listen))
		bpf_map__set_max_entries(skel->maps.counts, 1);
	else if (listen->counts_max)
		bpf_map__set_max_entries(skel->maps.counts, listen->counts_max);
	skel->rodata->threads_max = listen->threads_max;
	if (!skel->rodata->take_stacks)
		bpf_map__set_max_entries(skel->maps.stacks, 1);
	else if (listen->stacks_max)
		bpf_map__set_max_entries(skel->maps.stacks, listen->stacks_max);
	skel->rodata->free_max = listen->free_max ? listen->free_max : MS_FREE_MAX;
	if (!(listen->events >> MS_EV_sp_free & 1))
		bpf_map__set_max_entries(skel->maps.zapped, 1);
	else if (listen->zapped_max)
		bpf_map__set_max_entries(skel->maps.zapped, listen->zapped_max);
	return NULL;
}

/* libbpf names the program that the verifier refused: it is left out. False: it names none of ours. */
static bool leave_out_refused(struct live_listener *ll)
{
	const char *says = ms_live_says(), *name = strstr(says, "prog '");
	size_t i, len;

	if (!name)
		return false;
	name += strlen("prog '");
	len = strcspn(name, "'");
	for (i = 0; i < ms_nr_probe_descs; i++) {
		const char *prog = ms_probe_descs[i].prog;
		const char *found = name;

		if (ms_probe_descs[i].is_operation && len > 3 &&
		    (!strncmp(name, "op_", 3) || !strncmp(name, "ox_", 3)))
			found += 3;
		if (strlen(prog) != len - (size_t)(found - name) || strncmp(prog, found, strlen(prog)) ||
		    ll->probes[i].why[0])
			continue;
		snprintf(ll->probes[i].why, sizeof(ll->probes[i].why), "%s", says);
		return true;
	}
	return false;
}

static struct ms_err *load_programs(struct live_listener *ll)
{
	struct ms_err *err;
	int tries, ret = 0;

	err = handle_sections(ll);
	if (err)
		return err;
	for (tries = 0; tries < LOAD_TRIES; tries++) {
		ms_live_says_reset();
		ll->skel = events_bpf__open();
		if (!ll->skel)
			return ms_live_err(-errno, "opening the event programs");
		find_programs(ll);
		err = configure(ll);
		if (err)
			return err;
		ret = events_bpf__load(ll->skel);
		if (!ret)
			return fill_cpus(ll);
		if (ret == -EMFILE || ret == -ENFILE)
			return no_descriptors(-ret, descriptors_needed(ll));
		if (!leave_out_refused(ll))
			break;
		events_bpf__destroy(ll->skel);
		ll->skel = NULL;
	}
	return ms_live_err(ret, "loading the event programs");
}

/* --- attaching --- */

static struct ms_err *attach_one(struct live_listener *ll, size_t nr)
{
	const struct ms_probe_desc *desc = &ms_probe_descs[nr];
	struct probe *probe = &ll->probes[nr];
	char *clean;
	int i, err;

	for (i = 0; i < 2 && probe->prog[i]; i++) {
		ms_live_says_reset();
		probe->link[i] = desc->is_kprobe ? bpf_program__attach_kprobe(probe->prog[i], false, desc->fn)
						 : bpf_program__attach_trace(probe->prog[i]);
		if (probe->link[i])
			continue;
		err = errno;
		if (err == EMFILE || err == ENFILE)
			return no_descriptors(err, descriptors_needed(ll));
		clean = ms_clean_dup(ms_live_says());
		snprintf(probe->why, sizeof(probe->why), "%s", clean && *clean ? clean : strerror(err));
		free(clean);
		bpf_link__destroy(probe->link[0]);
		probe->link[0] = NULL;
		return NULL;
	}
	return NULL;
}

static struct ms_err *go_on(const struct live_listener *ll)
{
	const struct ms_listen *listen = &ll->l.listen;
	size_t i, nr = 0;

	for (i = 0; i < ms_nr_probe_descs; i++)
		nr += attaches(&ll->probes[i]) || ll->probes[i].link[0];
	if (!listen->progress || listen->progress(listen->progress_ctx, (u32)nr))
		return NULL;
	return ms_err_new(MS_ERR_TARGET, "live: interrupted while probes were attached");
}

static struct ms_err *attach_all(struct live_listener *ll)
{
	struct ms_err *err = NULL;
	size_t i;

	for (i = 0; i < ms_nr_probe_descs && !err; i++) {
		if (!attaches(&ll->probes[i]))
			continue;
		err = go_on(ll);
		if (!err)
			err = attach_one(ll, i);
	}
	return err;
}

static enum ms_probe_status status_of(const struct live_listener *ll, size_t i)
{
	size_t k;

	if (!ll->probes[i].wanted)
		return MS_PROBE_IDLE;
	if (ll->probes[i].link[0])
		return MS_PROBE_ON;
	for (k = 0; k < ms_nr_probe_descs; k++)
		if (ll->probes[k].link[0] && ms_probe_replaces(&ms_probe_descs[k], &ms_probe_descs[i]))
			return MS_PROBE_SPARE;
	return MS_PROBE_OFF;
}

static void show_probes(struct live_listener *ll)
{
	size_t i;

	for (i = 0; i < ms_nr_probe_descs; i++) {
		const struct ms_probe_desc *desc = &ms_probe_descs[i];
		enum ms_probe_status status = status_of(ll, i);

		ll->shown[i] = (struct ms_probe){
			.name = desc->name,
			.status = status,
			.events = desc->events,
			.explains = desc->is_operation,
			.lost = desc->lost,
			.why = status == MS_PROBE_OFF ? ll->probes[i].why : "",
		};
	}
}

struct ms_err *ms_live_load(struct live_listener *ll)
{
	struct ms_err *err;

	err = look_at_kernel(ll);
	if (err)
		return err;
	choose(ll);
	find_drain(ll);
	err = allow_descriptors(ll);
	if (!err)
		err = go_on(ll);
	return err ? err : load_programs(ll);
}

struct ms_err *ms_live_attach(struct live_listener *ll)
{
	struct ms_err *err = attach_all(ll);

	if (!err)
		show_probes(ll);
	return err;
}

/* --- detaching --- */

/* So many links are closed at once by whoever had them. */
#define CLOSE_AT_ONCE 16u

static u32 nr_links(const struct live_listener *ll)
{
	u32 nr = 0;
	size_t i;

	for (i = 0; ll->probes && i < ms_nr_probe_descs; i++)
		nr += (ll->probes[i].link[0] != NULL) + (ll->probes[i].link[1] != NULL);
	return nr;
}

static bool is_link(const struct live_listener *ll, int fd)
{
	size_t i;
	int k;

	for (i = 0; i < ms_nr_probe_descs; i++)
		for (k = 0; k < 2; k++)
			if (ll->probes[i].link[k] && bpf_link__fd(ll->probes[i].link[k]) == fd)
				return true;
	return false;
}

/* Whoever waits for the end of a pipe or for a lock does not wait for the kernel. */
static void close_others(const struct live_listener *ll)
{
	int fd, max = (int)sysconf(_SC_OPEN_MAX);

	for (fd = 0; fd < max && fd < 4096; fd++)
		if (!is_link(ll, fd))
			close(fd);
}

/*
 * The last link of a function's is only closed after a grace period of RCU tasks, under a lock that all share
 * (ftrace_shutdown(): measured 60 to 100 ms each, so that threads do not help). The links' descriptors are left to a
 * process whose parent is init: it ends at once, and with it they are closed. It holds no memory meanwhile, and no
 * other descriptor. When it cannot be made we close them ourselves.
 */
static void leave_links(const struct live_listener *ll)
{
	pid_t pid = fork();

	if (pid < 0)
		return;
	if (!pid) {
		setsid();
		if (fork() <= 0)
			close_others(ll);
		_exit(0);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void ms_live_detach(struct live_listener *ll)
{
	size_t i;

	if (nr_links(ll) > CLOSE_AT_ONCE)
		leave_links(ll);
	for (i = 0; ll->probes && i < ms_nr_probe_descs; i++) {
		bpf_link__destroy(ll->probes[i].link[1]);
		bpf_link__destroy(ll->probes[i].link[0]);
	}
	events_bpf__destroy(ll->skel);
	for (i = 0; i < 3; i++) {
		if (ll->handler[i])
			libbpf_unregister_prog_handler(ll->handler[i]);
		if (ll->btf_fd[i])
			close(ll->btf_fd[i]);
	}
}
