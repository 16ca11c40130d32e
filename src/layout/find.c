/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The debug file of a kernel or module, by its build-id, as debuggers find it: .build-id/xx/yyyy.debug below
 * /usr/lib/debug, then where distributions put it by name (Debian's packages of kernels have nothing else), then by
 * the debug link of the stripped file, and last debuginfod's, if the user has named servers. What is found by name
 * is taken with that build-id only.
 */
#include "config.h"
#include "layout/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/guard.h"

#define NOTES_MAX 65536
#define NT_BUILD_ID 3 /* NT_GNU_BUILD_ID of elf.h */

bool build_id_read(const char *path, struct build_id *ret)
{
	MS_FREE uint8_t *notes = malloc(NOTES_MAX);
	MS_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t len = 0, at = 0;
	ssize_t got = 1;

	ret->len = 0;
	if (!notes || fd < 0)
		return false;
	while (len < NOTES_MAX && got > 0) {
		got = read(fd, notes + len, NOTES_MAX - len);
		if (got < 0)
			return false;
		len += (size_t)got;
	}
	/* Name and descriptor are padded to four bytes. */
	while (len - at >= 12) {
		uint32_t head[3];
		size_t name, desc;

		memcpy(head, notes + at, sizeof(head));
		at += sizeof(head);
		name = ((size_t)head[0] + 3) & ~(size_t)3;
		desc = ((size_t)head[1] + 3) & ~(size_t)3;
		if (name > len - at || desc > len - at - name)
			return false;
		if (head[2] == NT_BUILD_ID && head[0] == 4 && !memcmp(notes + at, "GNU", 4) && head[1] &&
		    head[1] <= sizeof(ret->byte)) {
			ret->len = head[1];
			memcpy(ret->byte, notes + at + name, ret->len);
			return true;
		}
		at += name + desc;
	}
	return false;
}

const char *build_id_text(const struct build_id *id, char text[BUILD_ID_TEXT])
{
	size_t i;

	text[0] = '\0';
	for (i = 0; i < id->len; i++)
		sprintf(text + 2 * i, "%02x", id->byte[i]);
	return text;
}

#ifdef WITH_LIBDW
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>

static bool same_id(const struct build_id *a, const void *byte, ssize_t len)
{
	return len > 0 && a->len == (size_t)len && !memcmp(a->byte, byte, a->len);
}

/* Of an open ELF file; has_dwarf_ret may be NULL. */
static void elf_ask(int fd, struct build_id *id_ret, bool *has_dwarf_ret)
{
	const void *bits;
	Elf_Scn *scn = NULL;
	size_t names;
	ssize_t len;
	Elf *elf;

	id_ret->len = 0;
	if (has_dwarf_ret)
		*has_dwarf_ret = false;
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!elf)
		return;
	len = elf_kind(elf) == ELF_K_ELF ? dwelf_elf_gnu_build_id(elf, &bits) : -1;
	if (len > 0 && (size_t)len <= sizeof(id_ret->byte)) {
		memcpy(id_ret->byte, bits, (size_t)len);
		id_ret->len = (size_t)len;
	}
	if (has_dwarf_ret && !elf_getshdrstrndx(elf, &names)) {
		while ((scn = elf_nextscn(elf, scn))) {
			GElf_Shdr mem, *shdr = gelf_getshdr(scn, &mem);
			const char *name = shdr ? elf_strptr(elf, names, shdr->sh_name) : NULL;

			if (name && shdr->sh_type == SHT_PROGBITS &&
			    (!strcmp(name, ".debug_info") || !strcmp(name, ".zdebug_info")))
				*has_dwarf_ret = true;
		}
	}
	elf_end(elf);
}

static int open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	return fd;
}

struct ms_err *build_id_of_file(const char *path, struct build_id *id_ret)
{
	MS_CLOSE int fd = open_regular(path);

	id_ret->len = 0;
	if (fd < 0)
		return ms_err_errno(MS_ERR_TARGET, errno, "debug file %s", path);
	elf_ask(fd, id_ret, NULL);
	return NULL;
}

/* A file that may be it; why not is added to tried. */
static bool by_name(const struct debug_wanted *wanted, const char *path, struct ms_buf *tried)
{
	MS_CLOSE int fd = open_regular(path);
	char text[BUILD_ID_TEXT];
	struct build_id id;
	bool has_dwarf;

	ms_buf_printf(tried, ", %s", path);
	if (fd < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			ms_buf_printf(tried, " (%s)", errno == EINVAL ? "not a file" : strerror(errno));
		return false;
	}
	elf_ask(fd, &id, &has_dwarf);
	if (!same_id(&wanted->id, id.byte, (ssize_t)id.len))
		ms_buf_printf(tried, " (of another build: %s)",
			      id.len ? build_id_text(&id, text) : "no build-id");
	else if (!has_dwarf)
		ms_buf_puts(tried, " (without DWARF)");
	else
		return true;
	return false;
}

static bool by_build_id(const struct debug_wanted *wanted, struct ms_buf *tried, char path[PATH_MAX])
{
	const char *dir = wanted->dirs;
	char id[BUILD_ID_TEXT];

	build_id_text(&wanted->id, id);
	while (*dir) {
		size_t len = strcspn(dir, ":");

		if (len &&
		    snprintf(path, PATH_MAX, "%.*s/.build-id/%.2s/%s.debug", (int)len, dir, id, id + 2) <
			    PATH_MAX &&
		    by_name(wanted, path, tried))
			return true;
		dir += len + (dir[len] == ':');
	}
	return false;
}

/*
 * libdwfl's own search: of what stands in elf, by its debug link, and last debuginfod's. The stripped file may be
 * compressed, which libdwfl takes. Without it there is a build-id to ask debuginfod for.
 */
static bool by_libdwfl(const struct debug_wanted *wanted, const char *elf, struct ms_buf *tried,
		       char path[PATH_MAX])
{
	char *dirs = NULL, *name = NULL;
	const Dwfl_Callbacks callbacks = { .find_elf = dwfl_build_id_find_elf,
					   .find_debuginfo = dwfl_standard_find_debuginfo,
					   .section_address = dwfl_offline_section_address,
					   .debuginfo_path = &dirs };
	Dwfl *dwfl = asprintf(&dirs, ":.debug:%s", wanted->dirs) < 0 ? NULL : dwfl_begin(&callbacks);
	const char *main_file = NULL, *debug_file = NULL;
	const unsigned char *bits;
	char link[64];
	Dwfl_Module *module;
	bool found = false;
	GElf_Addr at;
	MS_CLOSE int fd = -1;
	ssize_t len;

	if (!dwfl)
		goto out;
	if (elf) {
		ms_buf_printf(tried, ", the debug link of %s", elf);
		module = dwfl_report_offline(dwfl, wanted->name, elf, -1);
		if (!module || dwfl_report_end(dwfl, NULL, NULL))
			goto out;
		len = dwfl_module_build_id(module, &bits, &at);
		if (!same_id(&wanted->id, bits, len)) {
			ms_buf_puts(tried, " (of another build)");
			goto out;
		}
		if (!dwfl_module_getdwarf(module, &at))
			goto out;
		dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, &main_file, &debug_file);
		if (!debug_file || access(debug_file, R_OK))
			debug_file = elf;
		found = snprintf(path, PATH_MAX, "%s", debug_file) < PATH_MAX;
	} else {
		/* Where it lies does not matter for types. */
		module = dwfl_report_module(dwfl, wanted->name, 0x10000, 0x20000);
		if (!module || dwfl_module_report_build_id(module, wanted->id.byte, wanted->id.len, 0) ||
		    dwfl_report_end(dwfl, NULL, NULL))
			goto out;
		fd = dwfl_standard_find_debuginfo(module, NULL, wanted->name, 0, NULL, NULL, 0, &name);
		if (fd < 0)
			goto out;
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		len = name ? snprintf(path, PATH_MAX, "%s", name) : readlink(link, path, PATH_MAX - 1);
		if (len > 0 && len < PATH_MAX) {
			path[len] = '\0';
			found = by_name(wanted, path, tried);
		}
	}
out:
	if (dwfl)
		dwfl_end(dwfl);
	free(name);
	free(dirs);
	return found;
}

struct ms_err *debug_find(const struct debug_wanted *wanted, char path[PATH_MAX])
{
	const char *urls = getenv("DEBUGINFOD_URLS");
	struct ms_buf tried = { 0 };
	char text[BUILD_ID_TEXT];
	struct ms_err *err;
	bool found;
	size_t i;

	found = by_build_id(wanted, &tried, path);
	for (i = 0; !found && wanted->files[i]; i++) {
		if (!by_name(wanted, wanted->files[i], &tried))
			continue;
		found = snprintf(path, PATH_MAX, "%s", wanted->files[i]) < PATH_MAX;
	}
	if (!found && (!wanted->network || !urls || !*urls))
		unsetenv("DEBUGINFOD_URLS");
	if (!found && wanted->elf && !access(wanted->elf, R_OK))
		found = by_libdwfl(wanted, wanted->elf, &tried, path);
	if (!found && wanted->network && urls && *urls) {
		ms_buf_printf(&tried, ", debuginfod at %s", getenv("DEBUGINFOD_URLS"));
		found = by_libdwfl(wanted, NULL, &tried, path);
	}
	if (found) {
		ms_buf_deinit(&tried);
		return NULL;
	}
	err = ms_err_new(MS_ERR_TARGET, "no debug file of %s with build-id %s: looked for %s", wanted->name,
			 build_id_text(&wanted->id, text),
			 tried.len > 2 ? ms_buf_str(&tried) + 2 : "nothing");
	ms_buf_deinit(&tried);
	return ms_err_hint(
		err,
		"install it (Debian: linux-image-VERSION-dbg), set DEBUGINFOD_URLS, or name one with --types");
}

#else

struct ms_err *build_id_of_file(const char *path, struct build_id *id_ret)
{
	(void)path;
	id_ret->len = 0;
	return NULL;
}

struct ms_err *debug_find(const struct debug_wanted *wanted, char path[PATH_MAX])
{
	(void)path;
	return ms_err_hint(ms_err_new(MS_ERR_TARGET, "types of %s: this build reads no DWARF", wanted->name),
			   "configure --with-libdw");
}

#endif
