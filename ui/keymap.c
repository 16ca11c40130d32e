// SPDX-License-Identifier: GPL-2.0-or-later
/* Keys and requests: see keymap.h. */
#include "ui/keymap.h"

#include <stdio.h>

struct request_text {
	const char *group, *label, *help;
};

static const struct request_text requests[MS_NR_REQUESTS] = {
	[MS_REQ_NONE] = { "", "", "" },
#define MS_REQUEST(id, group, label, help) [MS_REQ_##id] = { group, label, help },
#include "ui/request.def"
#undef MS_REQUEST
};

const struct ms_key_binding ms_keymap[] = {
#define MS_KEY(context, key, request) { MS_CTX_##context, key, MS_REQ_##request },
#include "ui/keymap.def"
#undef MS_KEY
};
const size_t ms_keymap_nr = sizeof(ms_keymap) / sizeof(*ms_keymap);

enum ms_request ms_key_request(enum ms_key_context context, u32 key)
{
	size_t i;

	for (i = 0; i < ms_keymap_nr; i++)
		if (ms_keymap[i].key == key &&
		    (ms_keymap[i].context == MS_CTX_GLOBAL || ms_keymap[i].context == context))
			return ms_keymap[i].request;
	return MS_REQ_NONE;
}

u32 ms_request_key(enum ms_key_context context, enum ms_request request)
{
	size_t i;

	for (i = 0; i < ms_keymap_nr; i++)
		if (ms_keymap[i].request == request &&
		    (ms_keymap[i].context == MS_CTX_GLOBAL || ms_keymap[i].context == context))
			return ms_keymap[i].key;
	return 0;
}

static const struct request_text *request_text(enum ms_request request)
{
	return &requests[(unsigned int)request < MS_NR_REQUESTS ? request : MS_REQ_NONE];
}

const char *ms_request_group(enum ms_request request)
{
	return request_text(request)->group;
}

const char *ms_request_label(enum ms_request request)
{
	return request_text(request)->label;
}

const char *ms_request_help(enum ms_request request)
{
	return request_text(request)->help;
}

const char *ms_key_name(u32 key, char *buf)
{
	static const struct {
		u32 key;
		const char *name;
	} names[] = {
		{ MS_KEY_TAB, "Tab" },	      { MS_KEY_ENTER, "Enter" }, { MS_KEY_ESC, "Esc" },
		{ MS_KEY_BACKSPACE, "Bksp" }, { MS_KEY_UP, "Up" },	 { MS_KEY_DOWN, "Down" },
		{ MS_KEY_LEFT, "Left" },      { MS_KEY_RIGHT, "Right" }, { MS_KEY_PAGE_UP, "PgUp" },
		{ MS_KEY_PAGE_DOWN, "PgDn" }, { MS_KEY_HOME, "Home" },	 { MS_KEY_END, "End" },
		{ MS_KEY_DELETE, "Del" },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (names[i].key == key) {
			snprintf(buf, MS_KEY_NAME_MAX, "%s", names[i].name);
			return buf;
		}
	}
	if (key > MS_KEY_F0 && key <= MS_KEY_F(12))
		snprintf(buf, MS_KEY_NAME_MAX, "F%u", key - MS_KEY_F0);
	else if (key < 0x20)
		snprintf(buf, MS_KEY_NAME_MAX, "^%c", (int)(key + '@'));
	else if (key < 0x7f)
		snprintf(buf, MS_KEY_NAME_MAX, "%c", (int)key);
	else
		snprintf(buf, MS_KEY_NAME_MAX, "U+%04X", key);
	return buf;
}
