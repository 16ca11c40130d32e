/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Growing strings and the cleaning of text that others wrote: see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void ms_buf_deinit(struct ms_buf *buf)
{
	free(buf->data);
	*buf = (struct ms_buf){ 0 };
}

void ms_buf_reset(struct ms_buf *buf)
{
	buf->len = 0;
	buf->oom = false;
	if (buf->data)
		buf->data[0] = '\0';
}

static bool buf_grow(struct ms_buf *buf, size_t more)
{
	size_t cap = buf->cap ? buf->cap : 64;
	char *data;

	if (buf->oom)
		return false;
	if (more > SIZE_MAX / 2 - buf->len) {
		buf->oom = true;
		return false;
	}
	while (cap < buf->len + more + 1)
		cap *= 2;
	data = realloc(buf->data, cap);
	if (!data) {
		buf->oom = true;
		return false;
	}
	buf->data = data;
	buf->cap = cap;
	return true;
}

/* Nearly always there is room: what is not is left out of line. */
static inline bool buf_reserve(struct ms_buf *buf, size_t more)
{
	return (more < buf->cap - buf->len && !buf->oom) || buf_grow(buf, more);
}

void ms_buf_put(struct ms_buf *buf, const char *data, size_t len)
{
	if (!buf_reserve(buf, len))
		return;
	if (len)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void ms_buf_puts(struct ms_buf *buf, const char *str)
{
	ms_buf_put(buf, str, strlen(str));
}

void ms_buf_putc(struct ms_buf *buf, char c)
{
	if (!buf_reserve(buf, 1))
		return;
	buf->data[buf->len++] = c;
	buf->data[buf->len] = '\0';
}

void ms_buf_pad(struct ms_buf *buf, char c, size_t count)
{
	if (!buf_reserve(buf, count))
		return;
	memset(buf->data + buf->len, c, count);
	buf->len += count;
	buf->data[buf->len] = '\0';
}

void ms_buf_printf(struct ms_buf *buf, const char *fmt, ...)
{
	va_list ap;
	size_t room = buf->oom ? 0 : buf->cap - buf->len;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(room ? buf->data + buf->len : NULL, room, fmt, ap);
	va_end(ap);
	if (len >= 0 && (size_t)len < room) {
		buf->len += (size_t)len;
		return;
	}
	/* Nothing of it stays when there is no room for all. */
	if (room)
		buf->data[buf->len] = '\0';
	if (len < 0 || !buf_reserve(buf, (size_t)len))
		return;
	va_start(ap, fmt);
	vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, ap);
	va_end(ap);
	buf->len += (size_t)len;
}

void ms_buf_put_number(struct ms_buf *buf, unsigned long long value, unsigned int base, unsigned int digits)
{
	char num[32], *end = num + sizeof(num), *p = end;

	if (digits > sizeof(num))
		digits = sizeof(num);
	if (base == 16) {
		do
			*--p = "0123456789abcdef"[value & 15];
		while (value >>= 4);
	} else {
		do
			*--p = (char)('0' + value % 10);
		while (value /= 10);
	}
	while ((unsigned int)(end - p) < digits)
		*--p = '0';
	ms_buf_put(buf, p, (size_t)(end - p));
}

const char *ms_buf_str(const struct ms_buf *buf)
{
	return buf->len ? buf->data : "";
}

size_t ms_utf8_next(const char *s, size_t len, unsigned int *cp_ret)
{
	static const unsigned int least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c;
	unsigned int cp;
	size_t n, i;

	if (!len)
		return 0;
	c = (unsigned char)s[0];
	if (c < 0x80) {
		*cp_ret = c;
		return 1;
	}
	n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 0;
	if (!n || c > 0xf4 || n > len)
		return 0;
	cp = c & (0xffu >> (n + 1));
	for (i = 1; i < n; i++) {
		c = (unsigned char)s[i];
		if ((c & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (c & 0x3f);
	}
	/* Overlong forms, surrogates and values past the last plane are not UTF-8. */
	if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	*cp_ret = cp;
	return n;
}

bool ms_cp_is_printable(unsigned int cp)
{
	if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
		return false;
	/* Bidirectional and invisible format controls can make a line read as another one. */
	if (cp == 0x061c || (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
	    (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff || (cp >= 0xfff9 && cp <= 0xfffb) || cp >= 0xe0000)
		return false;
	return true;
}

void ms_buf_put_clean(struct ms_buf *buf, const char *str, size_t len)
{
	size_t i = 0, n;
	unsigned int cp = 0;

	while (i < len) {
		/* Plain ASCII, which is nearly all there is, goes over in one piece. */
		for (n = i; n < len && str[n] >= ' ' && str[n] <= '~';)
			n++;
		if (n > i) {
			ms_buf_put(buf, str + i, n - i);
			i = n;
			continue;
		}
		n = ms_utf8_next(str + i, len - i, &cp);
		if (n && ms_cp_is_printable(cp)) {
			ms_buf_put(buf, str + i, n);
			i += n;
			continue;
		}
		ms_buf_printf(buf, "\\x%02x", (unsigned char)str[i]);
		i++;
	}
}

char *ms_clean_dup(const char *str)
{
	struct ms_buf buf = { 0 };

	ms_buf_put_clean(&buf, str, strlen(str));
	if (!buf.data && !buf.oom)
		return strdup("");
	if (buf.oom) {
		ms_buf_deinit(&buf);
		return NULL;
	}
	return buf.data;
}

void *ms_grow(void *array, size_t *cap, size_t need, size_t elem_bytes)
{
	size_t want = *cap ? *cap : 16;
	void *grown;

	if (need <= *cap)
		return array;
	while (want < need) {
		if (want > SIZE_MAX / 2 / elem_bytes)
			return NULL;
		want *= 2;
	}
	grown = realloc(array, want * elem_bytes);
	if (grown)
		*cap = want;
	return grown;
}
