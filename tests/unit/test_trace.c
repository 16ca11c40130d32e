// SPDX-License-Identifier: GPL-2.0-or-later
/* src/render/trace.c: what lasts and for how long, whose an end is, many at once, and where it is written to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "query/events.h"
#include "render/trace.h"

#define VM1 0xffff888100000000ull
#define VM2 0xffff888200000000ull
#define NONE MS_EV_NO_VCPU

#define EV(ns, vm, of, name, ...)                                                                  \
	{                                                                                          \
		.seq = (ns), .time_ns = (ns), .kvm = vm, .vcpu = of, .id = MS_EV_##name, .tid = 7, \
		.stack = MS_EV_NO_STACK, .u.name = {                                               \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static const struct ms_model model;
static struct ms_event_table table;
static const struct ms_event *rows;

static void row(const struct ms_section *section, size_t at, struct ms_cell *cells)
{
	const struct ms_event_show show = { .model = &model };

	ms_event_cells(&table, &show, &rows[at], cells);
}

static void put(struct ms_tracefile *file, const struct ms_event *events, size_t nr)
{
	struct ms_section section = { .key = "events", .table = true, .nr_rows = nr, .row = row };
	struct ms_result result = { .command = "events", .sections = &section, .nr_sections = 1 };

	if (!table.nr)
		ms_event_columns(true, &table);
	section.cols = table.cols;
	section.nr_cols = table.nr;
	rows = events;
	assert_null(ms_tracefile_put(file, &result, events, nr));
}

/* Of all of them, in one go; written to a stream that is somebody else's. */
static char *trace(const struct ms_event *events, size_t nr)
{
	struct ms_tracefile *file = NULL;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_null(ms_tracefile_create("-", false, out, &file));
	put(file, events, nr);
	assert_null(ms_tracefile_close(file));
	/* It is open still. */
	assert_int_equal(fputc('\n', out), '\n');
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text + len - 5, "\n]}\n\n");
	return text;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in %s", part, text);
}

static size_t times(const char *text, const char *part)
{
	size_t len = strlen(part), left = strlen(text), nr = 0;

	/* Not by strstr() or strncmp(): a sanitizer's look at the whole rest of the text each time. */
	for (; left >= len; text++, left--)
		nr += !memcmp(text, part, len);
	return nr;
}

/* From several CPUs an end may come with an earlier time than its beginning: nothing lasts less than no time. */
static void test_backwards(void **state)
{
	static const struct ms_event events[] = {
		EV(5000, VM1, 0, fault, .addr = 0x1000),
		EV(4000, VM1, 0, fault_done, .addr = 0x1000, .ret = MS_RET_FIXED),
		EV(9000, VM1, NONE, invalidate, .start = 0x1000, .end = 0x2000),
		EV(8000, VM1, NONE, invalidate_end, .start = 0x1000, .end = 0x2000),
	};
	char *text = trace(events, 4);

	has(text, "\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":5.000,\"dur\":0.000,");
	has(text, "\"ph\":\"b\",\"pid\":1,\"tid\":100001,\"ts\":9.000,\"id\":1,");
	has(text, "\"ph\":\"e\",\"pid\":1,\"tid\":100001,\"ts\":9.000,\"id\":1,");
	free(text);
}

/* Of a fault whose end was not heard that is said, and of no other. */
static void test_unfinished(void **state)
{
	static const struct ms_event events[] = {
		EV(1000, VM1, 0, fault, .addr = 0x1000),
		EV(2000, VM1, 0, fault_done, .addr = 0x1000, .ret = MS_RET_FIXED),
		EV(3000, VM1, 0, fault, .addr = 0x2000),
		EV(4000, VM1, 1, fault, .addr = 0x3000),
		EV(5000, VM1, 0, dirty, .gfn = 1),
	};
	char *text;
	size_t nr;

	(void)state;
	for (nr = 2; nr <= 5; nr++) {
		text = trace(events, nr);
		assert_int_equal(times(text, "\"unfinished\""), nr < 4 ? nr - 2 : 2);
		assert_int_equal(times(text, "\"unfinished\":true}"), nr < 4 ? nr - 2 : 2);
		free(text);
	}
}

/*
 * A drain is told of before its entries by the engine, after them by a live host; either way it is as long as it
 * took.
 */
static void test_drains(void **state)
{
#define PML(t, id_, ...)                                                                         \
	(struct ms_event)                                                                        \
	{                                                                                        \
		.time_ns = (t), .kvm = VM1, .id = MS_EV_##id_, .cause = MS_CAUSE_PML, .u.id_ = { \
			__VA_ARGS__                                                              \
		}                                                                                \
	}
	const struct ms_event live[] = {
		PML(1000, pml, .gfn = 1),
		PML(2000, pml, .gfn = 2),
		PML(2500, dirty, .gfn = 2),
		PML(3000, pml_drain, 2),
		EV(4000, VM1, 0, sp_find, .gfn = 1),
		PML(9000, pml, .gfn = 1),
		PML(9500, pml_drain, 1),
	};
	const struct ms_event engine[] = {
		PML(1000, pml_drain, 2), PML(2000, pml, .gfn = 1), PML(3000, pml, .gfn = 2),
		PML(4000, pml_drain, 1), PML(5000, pml, .gfn = 1), EV(8000, VM1, 0, sp_find, .gfn = 1),
	};
	/* pml_drain is not listened to. */
	const struct ms_event without[] = { PML(1000, pml, .gfn = 1), EV(2000, VM1, 0, sp_find, .gfn = 1),
					    PML(5000, pml, .gfn = 1), PML(5500, pml, .gfn = 2) };
	char *text = trace(live, 7);

	has(text, "\"ts\":1.000,\"dur\":2.000,");
	has(text, "\"ts\":9.000,\"dur\":0.500,");
	assert_int_equal(times(text, "\"ph\":\"X\""), 2);
	free(text);
	text = trace(engine, 6);
	has(text, "\"ts\":1.000,\"dur\":2.000,");
	has(text, "\"ts\":4.000,\"dur\":1.000,");
	assert_int_equal(times(text, "\"ph\":\"X\""), 2);
	free(text);
	text = trace(without, 4);
	has(text, "\"ts\":1.000,\"dur\":0.000,");
	has(text, "\"ts\":5.000,\"dur\":0.500,");
	assert_int_equal(times(text, "\"ph\":\"X\""), 2);
	/* Nothing has to end it. */
	assert_int_equal(times(text, "unfinished"), 0);
	free(text);
#undef PML
}

/* An end is of its VM and its range, start and end; of two of one range, the one that began last. */
static void test_whose_end(void **state)
{
	static const struct ms_event events[] = {
		EV(1000, VM1, NONE, invalidate, .start = 0x1000, .end = 0x2000), /* 1 */
		EV(2000, VM2, NONE, invalidate, .start = 0x1000, .end = 0x2000), /* 2 */
		EV(3000, VM2, NONE, invalidate, .start = 0x1000, .end = 0x3000), /* 3 */
		EV(4000, VM2, NONE, invalidate, .start = 0x0000, .end = 0x2000), /* 4 */
		EV(5000, VM1, NONE, invalidate, .start = 0x1000, .end = 0x2000), /* 5 */
		EV(6000, VM1, NONE, invalidate_end, .start = 0x1000, .end = 0x2000), /* of 5 */
		EV(7000, VM1, NONE, invalidate_end, .start = 0x1000, .end = 0x2000), /* of 1 */
		EV(8000, VM1, NONE, invalidate_end, .start = 0x1000, .end = 0x2000), /* of none */
		EV(9000, VM2, NONE, invalidate_end, .start = 0x1000, .end = 0x2000), /* of 2 */
		EV(9500, VM1, NONE, invalidate, .start = 0x5000, .end = 0x6000), /* 6, where one was before */
		EV(9900, VM1, 0, dirty, .gfn = 1),
	};
	char *text = trace(events, sizeof(events) / sizeof(events[0]));

	has(text, "\"ph\":\"e\",\"pid\":1,\"tid\":100000,\"ts\":6.000,\"id\":5,");
	has(text, "\"ph\":\"e\",\"pid\":1,\"tid\":100000,\"ts\":7.000,\"id\":1,");
	has(text,
	    "{\"name\":\"invalidate_end\",\"cat\":\"mmu\",\"ph\":\"i\",\"pid\":1,\"tid\":100000,\"ts\":8.000,");
	has(text, "\"ph\":\"e\",\"pid\":2,\"tid\":100001,\"ts\":9.000,\"id\":2,");
	/* What nobody ended ends with the trace, once. */
	has(text, "\"ph\":\"e\",\"pid\":2,\"tid\":100001,\"ts\":9.900,\"id\":3,");
	has(text, "\"ph\":\"e\",\"pid\":2,\"tid\":100001,\"ts\":9.900,\"id\":4,");
	has(text, "\"ph\":\"e\",\"pid\":1,\"tid\":100000,\"ts\":9.900,\"id\":6,");
	assert_int_equal(times(text, "\"ph\":\"b\""), 6);
	assert_int_equal(times(text, "\"ph\":\"e\""), 6);
	free(text);
}

/* vCPUs and threads of one number are told apart, by VM too; each is named once. */
static void test_tracks(void **state)
{
	enum { VCPUS = 300, VMS = 3 };
	static struct ms_event events[2 * VCPUS * VMS * 2];
	char part[64], *text;
	size_t nr = 0, i;
	u32 vm, round;

	for (round = 0; round < 2; round++)
		for (vm = 0; vm < VMS; vm++)
			for (i = 0; i < VCPUS; i++) {
				events[nr++] = (struct ms_event)EV(nr, vm ? VM1 + vm * 4096 : 0, (u16)i,
								   dirty, .gfn = 1);
				events[nr] = (struct ms_event)EV(nr, vm ? VM1 + vm * 4096 : 0, NONE, dirty,
								 .gfn = 1);
				events[nr++].tid = (u32)i;
			}
	text = trace(events, nr);
	assert_int_equal(times(text, "\"thread_name\""), 2 * VCPUS * VMS);
	assert_int_equal(times(text, "\"process_name\""), VMS);
	assert_int_equal(times(text, "\"name\":\"no VM\""), 1);
	assert_int_equal(times(text, "\"name\":\"host\""), VMS);
	assert_int_equal(times(text, "\"ph\":\"i\""), nr);
	for (vm = 1; vm <= VMS; vm++) {
		snprintf(part, sizeof(part), "\"ph\":\"i\",\"pid\":%u,", vm);
		assert_int_equal(times(text, part), nr / VMS);
		snprintf(part, sizeof(part), "\"ph\":\"i\",\"pid\":%u,\"tid\":300,", vm);
		assert_int_equal(times(text, part), 2);
	}
	assert_int_equal(times(text, "\"name\":\"vCPU 299\""), VMS);
	assert_int_equal(times(text, "\"name\":\"thread 299\""), VMS);
	free(text);
}

/* More ranges under way at once than are followed: all are told, those beyond as instants; each end finds its own. */
static void test_many_taken(void **state)
{
	enum { NR = 65536 + 10 };
	struct ms_event *events = calloc(2 * NR, sizeof(*events));
	char *text;
	size_t i;

	for (i = 0; i < NR; i++) {
		events[i] =
			(struct ms_event)EV(i, VM1, NONE, invalidate, .start = i << 12, .end = (i + 1) << 12);
		events[NR + i] = (struct ms_event)EV(NR + i, VM1, NONE, invalidate_end, .start = i << 12,
						     .end = (i + 1) << 12);
	}
	text = trace(events, 2 * NR);
	assert_int_equal(times(text, "\"ph\":\"b\""), 65536);
	assert_int_equal(times(text, "\"ph\":\"e\""), 65536);
	assert_int_equal(times(text, "{\"name\":\"invalidate\",\"cat\":\"mmu\",\"ph\":\"i\""), 10);
	assert_int_equal(times(text, "{\"name\":\"invalidate_end\",\"cat\":\"mmu\",\"ph\":\"i\""), 10);
	has(text, "\"ph\":\"e\",\"pid\":1,\"tid\":100000,\"ts\":65.546,\"id\":1,");
	free(text);
	free(events);
}

/* Those that end are followed by others in their place; and of thousands each end is its own, by VM, start and end. */
static void test_each_its_own(void **state)
{
	enum { NR = 40000, WAVES = 2 };
	struct ms_event *events = calloc(2 * NR * WAVES, sizeof(*events)), *ev = events;
	char *text, *at, *next, *stop;
	size_t i, wave, kind;
	u64 start, end, id;

	for (wave = 0; wave < WAVES; wave++)
		for (kind = 0; kind < 2; kind++)
			for (i = 0; i < NR; i++) {
				start = i % 3 == 0 ? i << 12 : 0;
				end = i % 3 == 1 ? (i + 1) << 12 : ~0ull;
				*ev = (struct ms_event)EV(1000, i % 3 == 2 ? VM1 + i : VM1, NONE, invalidate,
							  .start = start, .end = end);
				if (kind) {
					ev->id = MS_EV_invalidate_end;
					ev->u.invalidate_end.start = start;
					ev->u.invalidate_end.end = end;
				}
				ev++;
			}
	text = trace(events, 2 * NR * WAVES);
	assert_int_equal(times(text, "\"ph\":\"b\""), NR * WAVES);
	/* A line each, and each a string of its own. */
	for (id = 0, at = text, stop = text + strlen(text); at < stop; at = next + 1) {
		next = memchr(at, '\n', (size_t)(stop - at));
		if (!next)
			break;
		*next = '\0';
		if (strstr(at, "\"ph\":\"e\""))
			assert_int_equal(strtoull(strstr(at, "\"id\":") + 5, NULL, 10), ++id);
	}
	assert_int_equal(id, NR * WAVES);
	free(text);
	free(events);
}

/* It is written as it comes: what was put is in the file before the end, whatever may happen to us. */
static void test_as_it_comes(void **state)
{
	struct ms_event event = EV(1000, VM1, 0, dirty, .gfn = 1);
	char path[] = "/tmp/test_trace.XXXXXX";
	struct ms_tracefile *file = NULL;
	struct stat before, after;
	struct ms_err *err;
	int fd = mkstemp(path), i;

	assert_true(fd >= 0);
	close(fd);
	err = ms_tracefile_create(path, false, NULL, &file);
	assert_non_null(err);
	assert_non_null(strstr(ms_err_hint_text(err), "--force"));
	ms_err_free(err);
	assert_null(ms_tracefile_create(path, true, NULL, &file));
	for (i = 0; i < 4000; i++)
		put(file, &event, 1);
	assert_int_equal(stat(path, &before), 0);
	assert_true(before.st_size > 256 * 1024);
	assert_null(ms_tracefile_close(file));
	assert_int_equal(stat(path, &after), 0);
	assert_true(after.st_size > before.st_size);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backwards),   cmocka_unit_test(test_drains),
		cmocka_unit_test(test_whose_end),   cmocka_unit_test(test_tracks),
		cmocka_unit_test(test_many_taken),  cmocka_unit_test(test_each_its_own),
		cmocka_unit_test(test_as_it_comes), cmocka_unit_test(test_unfinished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
