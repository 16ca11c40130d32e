/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers and ranges of frames, as they are written in words: strictly. */
#include "query/private.h"

#include <string.h>

bool ms_parse_u64(const char *str, u64 max, u64 *ret)
{
	bool hex = !strncmp(str, "0x", 2) || !strncmp(str, "0X", 2);
	const char *digits = hex ? str + 2 : str;
	u64 base = hex ? 16 : 10, value = 0, digit;

	if (!*digits)
		return false;
	for (; *digits; digits++) {
		if (*digits >= '0' && *digits <= '9')
			digit = (u64)(*digits - '0');
		else if (hex && *digits >= 'a' && *digits <= 'f')
			digit = (u64)(*digits - 'a' + 10);
		else if (hex && *digits >= 'A' && *digits <= 'F')
			digit = (u64)(*digits - 'A' + 10);
		else
			return false;
		if (value > (~0ull - digit) / base)
			return false;
		value = value * base + digit;
	}
	if (value > max)
		return false;
	*ret = value;
	return true;
}

/* Frames have at most 40 bits (52 address bits). */
bool ms_parse_gfns(const char *word, u64 *start_ret, u64 *end_ret)
{
	const u64 max = 1ull << 40;
	size_t at = strcspn(word, "-+");
	char first[24];
	u64 a, b;

	if (at >= sizeof(first))
		return false;
	memcpy(first, word, at);
	first[at] = '\0';
	if (!ms_parse_u64(first, max - 1, &a))
		return false;
	b = a + 1;
	if (word[at] && !ms_parse_u64(word + at + 1, max, &b))
		return false;
	if (word[at] == '+')
		b += a;
	if (b <= a || b > max)
		return false;
	*start_ret = a;
	*end_ret = b;
	return true;
}
