/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys and requests as data (keymap.def, request.def), and the questions the interface has about them. No
 * state, no drawing.
 */
#ifndef UI_KEYMAP_H
#define UI_KEYMAP_H

#include "abi/types.h"

/* A key: a Unicode code point, a control character, or one of these, which lie above Unicode. */
enum {
	MS_KEY_TAB = 9,
	MS_KEY_ENTER = 13,
	MS_KEY_ESC = 27,
	MS_KEY_BACKSPACE = 127,
	MS_KEY_SPECIAL = 0x110000,
	MS_KEY_UP,
	MS_KEY_DOWN,
	MS_KEY_LEFT,
	MS_KEY_RIGHT,
	MS_KEY_PAGE_UP,
	MS_KEY_PAGE_DOWN,
	MS_KEY_HOME,
	MS_KEY_END,
	MS_KEY_DELETE,
	MS_KEY_F0,
};
#define MS_KEY_F(n) (MS_KEY_F0 + (n))
#define MS_CTRL(c) ((c)&0x1f)

enum ms_request {
	MS_REQ_NONE,
#define MS_REQUEST(id, group, label, help) MS_REQ_##id,
#include "ui/request.def"
#undef MS_REQUEST
	MS_NR_REQUESTS
};

enum ms_key_context {
	MS_CTX_GLOBAL,
	MS_CTX_TREE,
	MS_CTX_SP,
	MS_CTX_EVENTS,
	MS_CTX_DIRTY,
	MS_CTX_VMS,
	MS_NR_CONTEXTS
};

struct ms_key_binding {
	enum ms_key_context context;
	u32 key;
	enum ms_request request;
};

extern const struct ms_key_binding ms_keymap[];
extern const size_t ms_keymap_nr;

/* What a key asks for in a view of this context; MS_REQ_NONE when nothing. */
enum ms_request ms_key_request(enum ms_key_context context, u32 key);
/* The first key of a request in this context or globally, 0 when it has none there. */
u32 ms_request_key(enum ms_key_context context, enum ms_request request);
/* Static strings, "" for MS_REQ_NONE. */
const char *ms_request_group(enum ms_request request);
const char *ms_request_label(enum ms_request request);
const char *ms_request_help(enum ms_request request);

#define MS_KEY_NAME_MAX 12
/*
 * The key as the user knows it ("PgUp", "F10", "^L", "q") into buf of MS_KEY_NAME_MAX bytes, which it
 * returns.
 */
const char *ms_key_name(u32 key, char *buf);

#endif
