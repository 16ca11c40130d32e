/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernel symbols from the records of an iterator: see live.h. */
#include "target/live.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define RECORDS 256

void ms_ksyms_want(const struct ms_sym *syms, size_t nr, u64 *bitmap)
{
	size_t i;

	memset(bitmap, 0, MS_KSYM_BITS / 8);
	for (i = 0; i < nr; i++) {
		size_t len = strlen(syms[i].name) + 1;
		u64 key = 0;
		u32 bit;

		/* What follows a shorter name in the kernel's buffer is anything: let every symbol through.
		 */
		if (len < MS_KSYM_KEY_BYTES) {
			memset(bitmap, 0xff, MS_KSYM_BITS / 8);
			return;
		}
		memcpy(&key, syms[i].name, MS_KSYM_KEY_BYTES);
		bit = ms_ksym_bit(key);
		bitmap[bit / 64] |= 1ull << bit % 64;
	}
}

struct ms_err *ms_ksyms_read(int fd, struct ms_sym *syms, size_t nr)
{
	struct ms_ksym recs[RECORDS];
	size_t have = 0, i;
	bool any = false;
	ssize_t got;

	for (i = 0; i < nr; i++)
		syms[i].addr = 0;
	/* Records are written whole, but a read may end within one: what is left over stays for the next. */
	while ((got = read(fd, (char *)recs + have, sizeof(recs) - have)) != 0) {
		size_t whole;

		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0)
			return ms_err_errno(MS_ERR_TARGET, errno, "reading the kernel's symbols");
		have += (size_t)got;
		whole = have / sizeof(recs[0]);
		for (i = 0; i < whole; i++) {
			recs[i].name[sizeof(recs[i].name) - 1] = '\0';
			recs[i].module[sizeof(recs[i].module) - 1] = '\0';
			any |= recs[i].addr != 0;
			ms_sym_offer(syms, nr, recs[i].name, recs[i].module, recs[i].addr);
		}
		have -= whole * sizeof(recs[0]);
		memmove(recs, recs + whole, have);
	}
	if (have)
		return ms_err_new(MS_ERR_TARGET, "reading the kernel's symbols: they end within one");
	return any ? NULL : ms_sym_hidden_err("of the running kernel");
}
