/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the types of the running kernel come from: its BTF, and what that lacks from debug files with the build-ids
 * that the kernel tells of itself and of its modules.
 */
#include "config.h"
#include "layout/private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/guard.h"

#define DEBUG_DIR "/usr/lib/debug"
/* CPU time. DWARF of a whole vmlinux takes 3 s, and 20 s in the lab. */
#define FIND_SECONDS 60
#define LOAD_SECONDS 300

#define MAX_CANDIDATES 12

struct plan_in {
	const char *root, *spec;
	bool network;
};

struct planner {
	const struct plan_in *in;
	struct ms_layout_plan *plan;
	char release[80];
	const char *dirs; /* of debug files */
	bool builtin; /* kvm is part of the kernel */
	bool try_btf, try_dwarf;
};

/* A part of the kernel with types of its own. */
struct piece {
	const char *name; /* as messages have it */
	const char *module; /* as /sys has it; NULL: the kernel itself */
	const char *file; /* of kernel/arch/x86/kvm */
};

static const struct piece piece_kernel = { "vmlinux", NULL, NULL }, piece_kvm = { "kvm", "kvm", "kvm" },
			  /* kvm_amd has no type that fields.def names. */
	piece_vendor = { "kvm_intel", "kvm_intel", "kvm-intel" };

static void path_of(const struct planner *p, char out[PATH_MAX], const char *fmt, const char *a)
{
	int len = snprintf(out, PATH_MAX, "%s", p->in->root);

	if (len >= 0 && len < PATH_MAX)
		snprintf(out + len, PATH_MAX - (size_t)len, fmt, a);
}

static bool exists(const struct planner *p, const char *fmt, const char *a)
{
	char path[PATH_MAX];

	path_of(p, path, fmt, a);
	return !access(path, F_OK);
}

static void notes_path(const struct planner *p, const struct piece *piece, char out[PATH_MAX])
{
	if (piece->module)
		path_of(p, out, "/sys/module/%s/notes/.note.gnu.build-id", piece->module);
	else
		path_of(p, out, "/sys/kernel/notes", NULL);
}

static void read_release(struct planner *p)
{
	char path[PATH_MAX];
	MS_FCLOSE FILE *f = NULL;

	path_of(p, path, "/proc/sys/kernel/osrelease", NULL);
	f = fopen(path, "re");
	if (!f || !fgets(p->release, sizeof(p->release), f))
		p->release[0] = '\0';
	p->release[strcspn(p->release, "\n/")] = '\0';
}

static struct ms_err *part_add(struct planner *p, enum ms_layout_from from, const char *name,
			       const char *path)
{
	struct ms_layout_part *part = &p->plan->part[p->plan->nr];

	if (p->plan->nr == MS_LAYOUT_FILES)
		return ms_err_new(MS_ERR_USAGE, "more than %d files of types", MS_LAYOUT_FILES);
	if (strlen(path) >= sizeof(part->path))
		return ms_err_new(MS_ERR_USAGE, "file of types %.40s...: its path is longer than %zu bytes",
				  path, sizeof(part->path) - 1);
	part->from = from;
	snprintf(part->name, sizeof(part->name), "%s", name);
	strcpy(part->path, path);
	p->plan->nr++;
	return NULL;
}

/* Where distributions have debug files by name, below each directory of dirs, and what is not stripped. */
struct candidates {
	char path[MAX_CANDIDATES][PATH_MAX];
	const char *list[MAX_CANDIDATES + 1];
	size_t nr;
};

static void MS_PRINTF(2, 3) candidate(struct candidates *c, const char *fmt, ...)
{
	va_list ap;

	if (c->nr == MAX_CANDIDATES)
		return;
	va_start(ap, fmt);
	vsnprintf(c->path[c->nr], PATH_MAX, fmt, ap);
	va_end(ap);
	c->list[c->nr] = c->path[c->nr];
	c->nr++;
}

static void candidates_make(const struct planner *p, const struct piece *piece, struct candidates *c)
{
	const char *dir, *root = p->in->root, *rel = p->release;
	size_t len;

	for (dir = p->dirs; *dir; dir += len + (dir[len] == ':')) {
		len = strcspn(dir, ":");
		if (!len)
			continue;
		if (piece->module) {
			candidate(c, "%.*s/lib/modules/%s/kernel/arch/x86/kvm/%s.ko", (int)len, dir, rel,
				  piece->file);
			candidate(c, "%.*s/lib/modules/%s/kernel/arch/x86/kvm/%s.ko.debug", (int)len, dir,
				  rel, piece->file);
			candidate(c, "%.*s/usr/lib/modules/%s/kernel/arch/x86/kvm/%s.ko.debug", (int)len, dir,
				  rel, piece->file);
		} else {
			candidate(c, "%.*s/boot/vmlinux-%s", (int)len, dir, rel);
			candidate(c, "%.*s/lib/modules/%s/vmlinux", (int)len, dir, rel);
			candidate(c, "%.*s/usr/lib/modules/%s/vmlinux.debug", (int)len, dir, rel);
		}
	}
	if (piece->module) {
		candidate(c, "%s/lib/modules/%s/kernel/arch/x86/kvm/%s.ko", root, rel, piece->file);
	} else {
		candidate(c, "%s/boot/vmlinux-%s", root, rel);
		candidate(c, "%s/lib/modules/%s/vmlinux", root, rel);
		candidate(c, "%s/lib/modules/%s/build/vmlinux", root, rel);
	}
}

/* The stripped file of a module, as it was installed. */
static bool stripped(const struct planner *p, const struct piece *piece, char path[PATH_MAX])
{
	static const char *const ends[] = { "", ".xz", ".zst", ".gz" };
	size_t i;

	for (i = 0; piece->module && i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(path, PATH_MAX, "%s/lib/modules/%s/kernel/arch/x86/kvm/%s.ko%s", p->in->root,
			 p->release, piece->file, ends[i]);
		if (!access(path, F_OK))
			return true;
	}
	return false;
}

static struct ms_err *add_dwarf(struct planner *p, const struct piece *piece)
{
	char elf[PATH_MAX], path[PATH_MAX], notes[PATH_MAX];
	MS_FREE struct candidates *c = calloc(1, sizeof(*c));
	struct debug_wanted wanted = { .name = piece->name, .dirs = p->dirs, .network = p->in->network };
	struct ms_err *err;

	if (!c)
		return ms_err_nomem();
	notes_path(p, piece, notes);
	if (!build_id_read(notes, &wanted.id))
		return ms_err_hint(ms_err_new(MS_ERR_TARGET,
					      "types of %s: %s has no build-id to find a debug file by",
					      piece->name, notes),
				   "name a debug file of this kernel with --types");
	candidates_make(p, piece, c);
	wanted.files = c->list;
	if (stripped(p, piece, elf))
		wanted.elf = elf;
	err = debug_find(&wanted, path);
	return err ? err : part_add(p, MS_LAYOUT_DWARF, piece->name, path);
}

static bool has_btf(const struct planner *p, const struct piece *piece)
{
#ifdef WITH_BPF
	return exists(p, "/sys/kernel/btf/%s", piece->module ? piece->module : "vmlinux");
#else
	(void)p;
	(void)piece;
	return false;
#endif
}

/* Debug files were only looked for because BTF is lacking: whoever has neither is told of both. */
static struct ms_err *without_btf(const struct planner *p, const struct piece *piece, struct ms_err *err)
{
#ifdef WITH_BPF
	const struct piece *lacks = has_btf(p, &piece_kernel) ? piece : &piece_kernel;

	return err ? ms_err_wrap(err, "no BTF %s/sys/kernel/btf/%s", p->in->root,
				 lacks->module ? lacks->module : "vmlinux")
		   : NULL;
#else
	(void)p;
	(void)piece;
	return err;
#endif
}

/* One piece: by BTF where there is some, else by DWARF. */
static struct ms_err *add_piece(struct planner *p, const struct piece *piece)
{
	/* A module's BTF is split from the kernel's. */
	bool btf = has_btf(p, piece) && has_btf(p, &piece_kernel);
	char path[PATH_MAX];

	path_of(p, path, "/sys/kernel/btf/%s", piece->module ? piece->module : "vmlinux");
	if (p->try_btf && (btf || !p->try_dwarf)) {
#ifdef WITH_BPF
		return btf ? part_add(p, MS_LAYOUT_BTF, piece->name, path)
			   : ms_err_hint(
				     ms_err_new(MS_ERR_TARGET, "BTF %s: %s", path, strerror(ENOENT)),
				     "the kernel needs CONFIG_DEBUG_INFO_BTF and the kvm module loaded, or debug files "
				     "(--types dwarf)");
#else
		return ms_err_hint(ms_err_new(MS_ERR_TARGET, "BTF %s: this build reads no BTF", path),
				   "build with libbpf");
#endif
	}
	return p->try_btf ? without_btf(p, piece, add_dwarf(p, piece)) : add_dwarf(p, piece);
}

/* What the table can do without: why it is not there is kept. */
static void add_optional(struct planner *p, const struct piece *piece)
{
	struct ms_err *err = add_piece(p, piece);

	if (err && !p->plan->lacking[0])
		snprintf(p->plan->lacking, sizeof(p->plan->lacking), "%s", ms_err_text(err));
	ms_err_free(err);
}

/* Files that the user names: of this kernel, as far as they say of which they are. */
static struct ms_err *add_files(struct planner *p, const char *spec)
{
	static const struct piece *const pieces[] = { &piece_kernel, &piece_kvm, &piece_vendor };
	char path[PATH_MAX], notes[PATH_MAX], text[BUILD_ID_TEXT];
	struct build_id id, ours;
	struct ms_err *err;
	bool known, same;
	size_t len, i;

	for (; *spec; spec += len + (spec[len] == ',')) {
		len = strcspn(spec, ",");
		if (!len)
			continue;
		if (snprintf(path, sizeof(path), "%.*s", (int)len, spec) >= PATH_MAX)
			return ms_err_errno(MS_ERR_USAGE, ENAMETOOLONG, "debug file %.40s...", spec);
		err = build_id_of_file(path, &id);
		if (err)
			return err;
		known = same = false;
		for (i = 0; id.len && i < sizeof(pieces) / sizeof(pieces[0]); i++) {
			notes_path(p, pieces[i], notes);
			if (!build_id_read(notes, &ours))
				continue;
			known = true;
			same |= ours.len == id.len && !memcmp(ours.byte, id.byte, id.len);
		}
		if (known && !same)
			return ms_err_hint(
				ms_err_new(
					MS_ERR_TARGET,
					"debug file %s is of another kernel: its build-id %s is not that of vmlinux, "
					"kvm or kvm_intel",
					path, build_id_text(&id, text)),
				"--types dwarf looks for those of this kernel");
		err = part_add(p, MS_LAYOUT_DWARF, id.len ? "debug file" : "debug file without build-id",
			       path);
		if (err)
			return err;
	}
	return p->plan->nr ? NULL : ms_err_new(MS_ERR_USAGE, "--types: no file is named");
}

static struct ms_err *plan_make(const void *in, void *out)
{
	const struct plan_in *pi = in;
	struct planner p = { .in = pi, .plan = out, .try_btf = true, .try_dwarf = true };
	const char *spec = pi->spec ? pi->spec : "auto";
	char dirs[PATH_MAX];
	struct ms_err *err;
	struct stat st;

	memset(p.plan, 0, sizeof(*p.plan));
	snprintf(dirs, sizeof(dirs), "%s%s", pi->root, DEBUG_DIR);
	p.dirs = dirs;
	read_release(&p);
	p.builtin = !exists(&p, "/sys/module/%s/initstate", "kvm");
	if (!strcmp(spec, "btf")) {
		p.try_dwarf = false;
	} else if (!strcmp(spec, "dwarf")) {
		p.try_btf = false;
	} else if (strcmp(spec, "auto")) {
		p.try_btf = false;
		/* debuginfo_path is separated by ':'. */
		if (stat(spec, &st) || !S_ISDIR(st.st_mode))
			return add_files(&p, spec);
		if (strchr(spec, ':') || !realpath(spec, dirs))
			return ms_err_new(MS_ERR_USAGE,
					  "--types %s: not a directory of debug files that can be named",
					  spec);
	}
	/* Types of the module go before namesakes of the kernel. */
	err = add_piece(&p, p.builtin ? &piece_kernel : &piece_kvm);
	if (err)
		return err;
	if (!p.builtin)
		add_optional(&p, &piece_kernel);
	if (exists(&p, "/sys/module/%s/initstate", piece_vendor.module))
		add_optional(&p, &piece_vendor);
	return NULL;
}

struct ms_err *ms_layout_plan(const char *root, const char *spec, bool network, struct ms_layout_plan *ret)
{
	struct plan_in in = { .root = root, .spec = spec, .network = network };
	bool btf = false;
	struct ms_err *err;
	size_t i;

#ifdef WITH_BPF
	/* Without DWARF nothing that others wrote is read here. */
	in.spec = spec ? spec : "auto";
	if (!strcmp(in.spec, "auto") || !strcmp(in.spec, "btf")) {
		struct ms_layout_plan plan;

		in.spec = "btf";
		err = plan_make(&in, &plan);
		btf = !err && !plan.lacking[0];
		for (i = 0; btf && i < plan.nr; i++)
			btf = plan.part[i].from == MS_LAYOUT_BTF;
		if (btf)
			*ret = plan;
		if (spec && !strcmp(spec, "btf")) {
			if (!err)
				*ret = plan;
			return err;
		}
		ms_err_free(err);
		if (btf)
			return NULL;
	}
#else
	(void)btf;
	(void)i;
#endif
	in.spec = spec;
	err = layout_apart(plan_make, &in, ret, sizeof(*ret), FIND_SECONDS, "looking for debug files");
	return err;
}

struct load_in {
	const struct ms_layout_plan *plan;
};

static struct ms_err *load(const void *in, void *out)
{
	const struct ms_layout_plan *plan = ((const struct load_in *)in)->plan;
	struct layout_source *sources[MS_LAYOUT_FILES] = { 0 };
	const struct ms_layout_part *part;
	struct layout_source *base = NULL;
	struct ms_err *err = NULL;
	bool has_dwarf = false;
	char text[1024];
	size_t i, nr = 0;

	ms_layout_plan_text(plan, text, sizeof(text));
	for (i = 0; i < plan->nr; i++)
		has_dwarf |= plan->part[i].from == MS_LAYOUT_DWARF;
#ifdef WITH_BPF
	for (i = 0; i < plan->nr && !err; i++)
		if (plan->part[i].from == MS_LAYOUT_BTF && !strcmp(plan->part[i].name, piece_kernel.name))
			err = layout_btf_open(plan->part[i].path, &base);
#endif
	for (i = 0; i < plan->nr && !err; i++) {
		part = &plan->part[i];
		if (part->from == MS_LAYOUT_DWARF) {
			err = layout_dwarf_open(part->path, NULL, &sources[nr]);
			nr += !err;
#ifdef WITH_BPF
		} else if (!strcmp(part->name, piece_kernel.name)) {
			sources[nr++] = base;
		} else {
			err = layout_btf_open_module(part->path, base, &sources[nr]);
			nr += !err;
			/* Its fields are absent then. */
			if (err && !strcmp(part->name, piece_vendor.name)) {
				ms_err_free(err);
				err = NULL;
			}
#endif
		}
	}
	if (!err)
		err = layout_build(sources, nr, has_dwarf ? text : "BTF of this kernel",
				   has_dwarf
					   ? "see 'mmuscope doctor': it takes debug files of kvm and vmlinux"
					   : "load kvm first; the kernel needs CONFIG_DEBUG_INFO_BTF_MODULES",
				   out);
	for (i = 0; i < nr; i++)
		if (sources[i] != base)
			sources[i]->close(sources[i]);
	if (base)
		base->close(base);
	return err;
}

struct ms_err *ms_layout_load(const struct ms_layout_plan *plan, struct ms_layout *ret)
{
	struct load_in in = { plan };
	size_t i;

	for (i = 0; i < plan->nr; i++)
		if (plan->part[i].from == MS_LAYOUT_DWARF)
			return layout_apart(load, &in, ret, sizeof(*ret), LOAD_SECONDS, plan->part[i].path);
	return load(&in, ret);
}

void ms_layout_plan_text(const struct ms_layout_plan *plan, char *text, size_t size)
{
	size_t at = 0, i;
	int len;

	text[0] = '\0';
	for (i = 0; i < plan->nr && at < size; i++) {
		const struct ms_layout_part *part = &plan->part[i];

		len = snprintf(text + at, size - at, "%s%s %s", i ? ", " : "",
			       part->from == MS_LAYOUT_BTF ? "BTF" : "DWARF", part->path);
		at += len > 0 ? (size_t)len : 0;
	}
}
