/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libFuzzer target: scenarios, parsed and played. Nothing may crash, and whatever a text makes of a machine,
 * the engine's invariants hold behind it: a play that ends with a broken one aborts.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scenario/lang.h"

/* A play of more is no news, only slow. */
#define MAX_STEPS 400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct ms_play_opts opts = { .max_steps = MAX_STEPS };
	struct ms_scenario *scenario = NULL;
	struct ms_step_result result;
	struct ms_play *play = NULL;
	struct ms_err *err;

	err = ms_scenario_parse("fuzz", (const char *)data, size, &scenario);
	if (!err)
		err = ms_play_create(scenario, &opts, &play);
	if (!err) {
		ms_play_run(play, &result);
		if (result.step == MS_STEP_FAILED && !strncmp(result.text, "invariant", 9))
			abort();
	}
	ms_play_destroy(play);
	ms_scenario_destroy(scenario);
	ms_err_free(err);
	return 0;
}

/* --- mutation by lines and words: changed bytes alone seldom make another statement --- */

static unsigned int next(unsigned int *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 8;
}

struct span {
	size_t at, len;
};

/* The n-th piece between separators. */
static struct span piece(const uint8_t *data, size_t size, const char *separators, unsigned int n)
{
	struct span span = { 0 };
	size_t i;

	for (i = 0; i <= size; i++) {
		if (i < size && !memchr(separators, data[i], strlen(separators)))
			continue;
		span.len = i - span.at;
		if (!n--)
			return span;
		span.at = i + 1 > size ? size : i + 1;
	}
	span.len = size - span.at;
	return span;
}

static unsigned int count(const uint8_t *data, size_t size, char c)
{
	unsigned int nr = 1;
	size_t i;

	for (i = 0; i < size; i++)
		nr += data[i] == (uint8_t)c;
	return nr;
}

/* Put text in the place of a span. Returns the new size; unchanged when there is no room. */
static size_t put(uint8_t *data, size_t size, size_t max_size, struct span span, const void *text, size_t len)
{
	if (size - span.len + len > max_size)
		return size;
	memmove(data + span.at + len, data + span.at + span.len, size - span.at - span.len);
	memcpy(data + span.at, text, len);
	return size - span.len + len;
}

static size_t put_copy(uint8_t *data, size_t size, size_t max_size, struct span to, struct span from)
{
	uint8_t *copy = malloc(from.len + 1);

	if (!copy)
		return size;
	memcpy(copy, data + from.at, from.len);
	size = put(data, size, max_size, to, copy, from.len);
	free(copy);
	return size;
}

/* A word of the language, or a number that matters. */
static const char *some_word(unsigned int *seed, char *buf, size_t len)
{
	static const char *const numbers[] = { "0",	   "1",	     "2",     "511",
					       "512",	   "0x1000", "0xfff", "0xfffff",
					       "0x200000", "-1",     "~0",    "0xffffffffffffffff",
					       "npf",	   "none",   "0-63",  "0x7f0" };
	const struct key *key;
	struct word choice;

	switch (next(seed) % 4) {
	case 0:
		return ms_verbs[next(seed) % NR_VERBS].words;
	case 1:
		return numbers[next(seed) % LEN(numbers)];
	default:
		key = &ms_keys[next(seed) % NR_KEYS];
		if (key->type == TYPE_FLAG)
			return key->name;
		if (key->type == TYPE_CHOICE && list_at(key->what, '|', next(seed) % 4, &choice))
			snprintf(buf, len, "%s=%.*s", key->name, (int)choice.len, choice.s);
		else
			snprintf(buf, len, "%s=%s", key->name, numbers[next(seed) % LEN(numbers)]);
		return buf;
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	unsigned int lines = count(data, size, '\n'), words;
	struct span line, other, word;
	const char *text;
	char buf[64];

	if (!size || next(&seed) % 6 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	line = piece(data, size, "\n", next(&seed) % lines);
	switch (next(&seed) % 5) {
	case 0: /* out with it */
		line.len += line.at + line.len < size;
		return put(data, size, max_size, line, "", 0);
	case 1: /* once more, before another */
		line.len += line.at + line.len < size;
		other = piece(data, size, "\n", next(&seed) % lines);
		other.len = 0;
		return put_copy(data, size, max_size, other, line);
	case 2: /* a word becomes one of another place */
		words = count(data, size, ' ');
		return put_copy(data, size, max_size,
				piece(data, size, " \n=", next(&seed) % (words + lines)),
				piece(data, size, " \n=", next(&seed) % (words + lines)));
	default: /* a word is replaced by, or followed by, one of the language */
		words = count(data + line.at, line.len, ' ');
		word = piece(data + line.at, line.len, " ", next(&seed) % words);
		word.at += line.at;
		text = some_word(&seed, buf + 1, sizeof(buf) - 1);
		if (next(&seed) % 2)
			return put(data, size, max_size, word, text, strlen(text));
		word = (struct span){ .at = word.at + word.len };
		size = put(data, size, max_size, word, text, strlen(text));
		return put(data, size, max_size, word, " ", 1);
	}
}
