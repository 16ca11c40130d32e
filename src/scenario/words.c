/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exit qualifications, error codes and errors in words, for messages. Bits: SDM 29.2.1, APM 15.25.6. */
#include "scenario/play.h"

#include <errno.h>

#include "nmmu/x86.h"

struct bit {
	u64 mask;
	const char *text;
};

static const struct bit pf_bits[] = {
	{ NMMU_PF_W, "W" }, { NMMU_PF_U, "U" },		{ NMMU_PF_RSVD, "reserved bit" },
	{ NMMU_PF_I, "X" }, { NMMU_PF_FINAL, "final" }, { NMMU_PF_PAGE, "guest table" },
};

void words_error(u64 code, struct ms_buf *to)
{
	u32 i;

	ms_buf_puts(to, code & NMMU_PF_P ? "present" : "not present");
	for (i = 0; i < LEN(pf_bits); i++)
		if (code & pf_bits[i].mask)
			ms_buf_printf(to, ", %s", pf_bits[i].text);
}

/* Of an EPT violation: what was done, what the entries allowed, whether an address led there, and how far. */
static void words_violation(u64 qual, struct ms_buf *to)
{
	ms_buf_printf(to, "%s%s%s, rights %c%c%c", qual & 1 ? "R" : "", qual & 2 ? "W" : "",
		      qual & 4 ? "X" : "", qual & 8 ? 'r' : '-', qual & 16 ? 'w' : '-',
		      qual & 32 ? 'x' : '-');
	if (qual & 1u << 7)
		ms_buf_printf(to, ", GVA valid, %s", qual & 1u << 8 ? "final" : "guest table");
}

bool words_qual(u64 reason, u64 qual, struct ms_buf *to)
{
	if (reason == 48)
		words_violation(qual, to);
	else if (reason == 0x400)
		words_error(qual, to);
	else
		return false;
	return true;
}

const char *words_errno(int error)
{
	switch (-error) {
	case EEXIST:
		return "refused: another slot has frames of it";
	case ENOENT:
		return "refused: the slot does not log, there is no slot or no such pin";
	case EBUSY:
		return "refused: a slot logs already, or pages are pinned";
	case ENOSPC:
		return "refused: all shadow pages have pinned pages";
	case EIO:
		return "refused: a pinned page has moved, if any are";
	case EAGAIN:
		return "refused: the host is taking the page away";
	case EOPNOTSUPP:
		return "refused: nothing to prefault, L1 is not mapped by TDP";
	case EINVAL:
		return "refused";
	case EFAULT:
		return "there is no memory there";
	case ENOMEM:
		return "nomem";
	default:
		return NULL;
	}
}
