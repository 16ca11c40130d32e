// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The help screen: requests and keys from their tables, and the letters that views use. Nothing here is
 * written a second time.
 */
#include <stdio.h>
#include <string.h>

#include "ui/core.h"

/* Of the same key in two views one is enough. */
static bool is_named(size_t at)
{
	size_t i;

	for (i = 0; i < at; i++)
		if (ms_keymap[i].request == ms_keymap[at].request && ms_keymap[i].key == ms_keymap[at].key)
			return true;
	return false;
}

static void keys_put(struct ms_buf *buf, enum ms_request request)
{
	char name[MS_KEY_NAME_MAX];
	size_t start = buf->len, i;

	for (i = 0; i < ms_keymap_nr; i++) {
		if (ms_keymap[i].request != request || is_named(i))
			continue;
		if (buf->len > start)
			ms_buf_putc(buf, ' ');
		ms_buf_puts(buf, ms_key_name(ms_keymap[i].key, name));
	}
	if (buf->len - start < 16)
		ms_buf_pad(buf, ' ', 16 - (buf->len - start));
}

static void requests_put(struct ms_buf *buf)
{
	const char *group = "";
	unsigned int r;

	for (r = MS_REQ_NONE + 1; r < MS_NR_REQUESTS; r++) {
		if (strcmp(group, ms_request_group(r))) {
			group = ms_request_group(r);
			ms_buf_printf(buf, "%s%s\n", r > 1 ? "\n" : "", group);
		}
		ms_buf_puts(buf, "  ");
		keys_put(buf, r);
		ms_buf_printf(buf, "  %s\n", ms_request_help(r));
	}
}

/* A letter of the map, from the one place that gives it. */
static void entry_put(struct ms_buf *buf, enum spte_class cls, enum spte_wstate w, const char *text)
{
	const struct spte_info info = { .cls = cls, .wstate = w };

	ms_buf_printf(buf, "  %s  %s\n", spte_letter(&info), text);
}

static void legend_put(struct ms_buf *buf)
{
	ms_buf_puts(buf, "\nEntries of a table\n");
	entry_put(buf, SPTE_CLASS_TABLE, SPTE_W_NONE, "points to a child table");
	entry_put(buf, SPTE_CLASS_LEAF, SPTE_W_RW, "leaf, writable (RW)");
	entry_put(buf, SPTE_CLASS_LEAF, SPTE_W_DL, "leaf, write-protected for dirty logging (DL)");
	entry_put(buf, SPTE_CLASS_LEAF, SPTE_W_WP,
		  "leaf, write-protected: shadowed table, or the guest grants no write (WP)");
	entry_put(buf, SPTE_CLASS_LEAF, SPTE_W_RO, "leaf, read-only on the host (RO)");
	entry_put(buf, SPTE_CLASS_LEAF, SPTE_W_AT, "leaf, rights put aside to see accesses (AT)");
	entry_put(buf, SPTE_CLASS_MMIO, SPTE_W_NONE, "MMIO: each access exits");
	entry_put(buf, SPTE_CLASS_FROZEN, SPTE_W_NONE, "frozen: being changed, or in a removed table");
	entry_put(buf, SPTE_CLASS_NONPRESENT, SPTE_W_NONE, "empty");
	entry_put(buf, SPTE_CLASS_UNKNOWN, SPTE_W_NONE, "not explained by this kernel's masks, or illegal");
	ms_buf_puts(buf,
		    "  p  behind a leaf's state: its page is pinned; z: and zapped from L1's own mapping\n");
	ms_buf_puts(buf,
		    "  f  behind a leaf's state: a write-protect flip catches each store to its frame\n");
	ms_buf_puts(buf,
		    "\nMarks of a page\n"
		    "  T  torn: its header changed while it was copied, the entries may be of two pages\n"
		    "  L  unlinked: no longer reached from the VM after the copy\n"
		    "  E  unreadable in part\n"
		    "  U  unsync: the guest's table may have changed since\n"
		    "  u  has unsync children\n"
		    "  I  invalid: zapped while still a root\n"
		    "  O  obsolete: of an older generation than the VM's\n"
		    "  N  a huge page was refused here for the sake of NX\n"
		    "  p  holds leaves of pinned pages\n"
		    "  f  holds leaves of frames that are under a write-protect flip\n"
		    "  !  holds entries that are not explained, or illegal\n");
}

/* Lines that are too long go on below their own text, which is behind the last two blanks in a row. */
static void wrap(const char *text, u32 width, struct ms_buf *out)
{
	size_t len, room, hang, i;

	for (; *text; text += *text == '\n') {
		len = strcspn(text, "\n");
		for (hang = 0, i = 0; i + 2 < len && i < 40; i++)
			if (text[i] == ' ' && text[i + 1] == ' ' && text[i + 2] != ' ')
				hang = i + 2;
		for (room = width; len > room && hang + 16 < width; room = width - hang) {
			for (i = room; i && text[i] != ' '; i--)
				;
			if (i <= (room == width ? hang : 0))
				break;
			ms_buf_put(out, text, i);
			ms_buf_putc(out, '\n');
			ms_buf_pad(out, ' ', hang);
			text += i + 1;
			len -= i + 1;
		}
		ms_buf_put(out, text, len);
		ms_buf_putc(out, '\n');
		text += len;
	}
}

struct ms_err *ms_view_help_open(struct ms_ui *ui)
{
	u32 w = ms_ui_top(ui)->rect.w;
	struct ms_buf buf = { 0 }, wrapped = { 0 };
	struct ms_err *err;

	requests_put(&buf);
	legend_put(&buf);
	wrap(ms_buf_str(&buf), w > 2 ? w - 1 : MS_UI_MIN_WIDTH, &wrapped);
	if (buf.oom || wrapped.oom)
		err = ms_err_nomem();
	else
		err = ms_view_pager_open(ui, "Help", ms_buf_str(&wrapped));
	ms_buf_deinit(&buf);
	ms_buf_deinit(&wrapped);
	return err;
}
