/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Source lines of addresses, out of DWARF by libdwfl: see sym.h. */
#include "config.h"
#include "sym/sym.h"

#include <stdlib.h>
#include <string.h>

#ifdef WITH_LIBDW
#include <elfutils/libdwfl.h>

struct ms_lines {
	Dwfl *dwfl;
	Dwfl_Callbacks callbacks;
	char *debuginfo_path; /* NULL: where the system has it */
};

static struct ms_err *dwfl_err(const char *what)
{
	const char *msg = dwfl_errmsg(-1);

	return ms_err_hint(
		ms_err_new(MS_ERR_TARGET, "%s: %s", what, msg ? msg : "no debug information"),
		"the distribution has it in a package of its own (Debian: linux-image-VERSION-dbg)");
}

static struct ms_err *lines_new(bool kernel, struct ms_lines **ret)
{
	struct ms_lines *lines = calloc(1, sizeof(*lines));

	if (!lines)
		return ms_err_nomem();
	lines->callbacks = (Dwfl_Callbacks){
		.find_elf = kernel ? dwfl_linux_kernel_find_elf : dwfl_build_id_find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
		.section_address =
			kernel ? dwfl_linux_kernel_module_section_address : dwfl_offline_section_address,
		.debuginfo_path = &lines->debuginfo_path,
	};
	lines->dwfl = dwfl_begin(&lines->callbacks);
	if (!lines->dwfl) {
		free(lines);
		return ms_err_nomem();
	}
	*ret = lines;
	return NULL;
}

struct ms_err *ms_lines_open_kernel(struct ms_lines **ret)
{
	struct ms_lines *lines;
	struct ms_err *err = lines_new(true, &lines);

	if (err)
		return err;
	if (dwfl_linux_kernel_report_kernel(lines->dwfl) || dwfl_linux_kernel_report_modules(lines->dwfl) ||
	    dwfl_report_end(lines->dwfl, NULL, NULL)) {
		err = dwfl_err("the kernel's debug information");
		ms_lines_close(lines);
		return err;
	}
	*ret = lines;
	return NULL;
}

struct ms_err *ms_lines_open_file(const char *path, uint64_t base, struct ms_lines **ret)
{
	struct ms_lines *lines;
	struct ms_err *err = lines_new(false, &lines);

	if (err)
		return err;
	if (!dwfl_report_elf(lines->dwfl, path, path, -1, base, true) ||
	    dwfl_report_end(lines->dwfl, NULL, NULL)) {
		err = dwfl_err(path);
		ms_lines_close(lines);
		return err;
	}
	*ret = lines;
	return NULL;
}

void ms_lines_close(struct ms_lines *lines)
{
	if (!lines)
		return;
	dwfl_end(lines->dwfl);
	free(lines);
}

bool ms_lines_find(struct ms_lines *lines, uint64_t addr, const char **file_ret, int *line_ret)
{
	Dwfl_Module *module = dwfl_addrmodule(lines->dwfl, addr);
	Dwfl_Line *line = module ? dwfl_module_getsrc(module, addr) : NULL;
	const char *file = line ? dwfl_lineinfo(line, NULL, line_ret, NULL, NULL, NULL) : NULL;

	if (!file)
		return false;
	*file_ret = file;
	return true;
}

#else

static struct ms_err *without(void)
{
	return ms_err_new(MS_ERR_TARGET, "this build reads no DWARF (configure --with-libdw)");
}

struct ms_err *ms_lines_open_kernel(struct ms_lines **ret)
{
	(void)ret;
	return without();
}

struct ms_err *ms_lines_open_file(const char *path, uint64_t base, struct ms_lines **ret)
{
	(void)path;
	(void)base;
	(void)ret;
	return without();
}

void ms_lines_close(struct ms_lines *lines)
{
	(void)lines;
}

bool ms_lines_find(struct ms_lines *lines, uint64_t addr, const char **file_ret, int *line_ret)
{
	(void)lines;
	(void)addr;
	(void)file_ret;
	(void)line_ret;
	return false;
}

#endif
