/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An engine behind a device (src/scenario/remote.c, mirror.c) is the one in process: every scenario, as each kernel and
 * with each of its bugs, raises the same events, ends the same way, and shows the same records. The device is the
 * module's own code in this process (kmoddev.h).
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "abi/event_desc.h"
#include "base/buf.h"
#include "kmoddev.h"
#include "nmmu/image.h"
#include "scenario/machine_private.h"
#include "scenario/scenario.h"
#include "target/sim.h"

/* What a play leaves behind. */
struct left {
	struct ms_play *play;
	struct ms_buf events, records;
	struct ms_step_result end;
	char text[600];
	u64 steps, expects;
};

static void on_event(void *ctx, const struct ms_event *event)
{
	ms_buf_put(ctx, (const char *)event, sizeof(*event));
}

static struct ms_err *on_record(void *ctx, enum ms_rec_type type, const void *rec,
				const struct ms_sp_tables *tables)
{
	struct left *left = ctx;
	struct ms_rec_host host;
	struct ms_rec_walk walk;
	struct ms_rec_rmaps rmaps;
	u32 head = type;

	ms_buf_put(&left->records, (const char *)&head, sizeof(head));
	if (type == MS_REC_HOST) {
		memcpy(&host, rec, sizeof(host));
		host.time_ns = 0;
		ms_buf_put(&left->records, (const char *)&host, sizeof(host));
	} else if (type == MS_REC_WALK) {
		memcpy(&walk, rec, sizeof(walk));
		walk.start_ns = walk.end_ns = 0;
		ms_buf_put(&left->records, (const char *)&walk, sizeof(walk));
	} else if (type == MS_REC_RMAPS) {
		memcpy(&rmaps, rec, sizeof(rmaps));
		rmaps.start_ns = rmaps.end_ns = 0;
		ms_buf_put(&left->records, (const char *)&rmaps, sizeof(rmaps));
	} else {
		ms_buf_put(&left->records, rec, ms_rec_size(type));
	}
	if (tables && type == MS_REC_SP)
		ms_buf_put(&left->records, (const char *)tables->sptes, sizeof(tables->sptes[0]) * 512);
	return NULL;
}

static void play(const struct ms_scenario *scenario, enum nmmu_kernel kernel, u32 bugs,
		 const struct ms_device *device, struct left *left)
{
	struct ms_play_opts opts = { .kernel = kernel,
				     .bugs = bugs,
				     .event = on_event,
				     .event_ctx = &left->events,
				     .device = device };
	struct ms_want want = { .what = MS_WANT_ALL };
	struct ms_sink sink = { .put = on_record, .ctx = left };
	struct ms_sim_shown shown = { .owner = "test", .target = "test" };
	struct ms_err *err;

	memset(left, 0, sizeof(*left));
	err = ms_play_create(scenario, &opts, &left->play);
	assert_null(err);
	ms_play_run(left->play, &left->end);
	snprintf(left->text, sizeof(left->text), "%s", left->end.text);
	left->steps = ms_play_nr_steps(left->play);
	left->expects = ms_play_nr_expects(left->play);
	shown.machine = ms_play_machine(left->play);
	if (!shown.machine)
		return;
	shown.m = ms_machine_nmmu(shown.machine);
	err = ms_sim_records(&shown, &want, &sink);
	if (err)
		fail_msg("%s", ms_err_text(err));
	assert_false(left->records.oom || left->events.oom);
}

static void left_end(struct left *left)
{
	ms_play_destroy(left->play);
	ms_buf_deinit(&left->events);
	ms_buf_deinit(&left->records);
}

static const char *event_name(const struct ms_buf *events, size_t i)
{
	struct ms_event_desc desc;
	struct ms_event event;

	if ((i + 1) * sizeof(event) > events->len)
		return "none";
	memcpy(&event, events->data + i * sizeof(event), sizeof(event));
	return ms_event_desc(event.id, &desc) ? desc.name : "no event";
}

static const char *first_event(const struct left *here, const struct left *there)
{
	static char text[200];
	const size_t size = sizeof(struct ms_event);
	size_t i;

	for (i = 0; (i + 1) * size <= here->events.len && (i + 1) * size <= there->events.len; i++)
		if (memcmp(here->events.data + i * size, there->events.data + i * size, size))
			break;
	snprintf(text, sizeof(text), "the %zuth of %zu is %s, of %zu there it is %s", i + 1,
		 here->events.len / size, event_name(&here->events, i), there->events.len / size,
		 event_name(&there->events, i));
	return text;
}

/* The first record that is another one: its type, and where in it. */
static const char *first_difference(const struct left *here, const struct left *there)
{
	static char text[200];
	size_t at = 0, first = 0, i;
	u32 type = 0, other = 0;

	while (at < here->records.len && at < there->records.len) {
		memcpy(&type, here->records.data + at, sizeof(type));
		memcpy(&other, there->records.data + at, sizeof(other));
		first = at;
		at += sizeof(type) + ms_rec_size(type);
		if (type == MS_REC_SP &&
		    ((const struct ms_rec_sp *)(here->records.data + first + 4))->have & MS_SP_HAVE_SPTES)
			at += 512 * sizeof(u64);
		if (type != other ||
		    memcmp(here->records.data + first, there->records.data + first, at - first))
			break;
	}
	for (i = first; i < at && here->records.data[i] == there->records.data[i]; i++)
		;
	snprintf(text, sizeof(text), "record at %zu of type %u (%u there), byte %zu of it, 0x%x and 0x%x",
		 first, type, other, i - first, here->records.data[i], there->records.data[i]);
	return text;
}

static void compare(const char *name, const struct ms_scenario *scenario, enum nmmu_kernel kernel, u32 bugs)
{
	struct left here, there;
	u64 traced = kmoddev_knobs.traced;

	play(scenario, kernel, bugs, NULL, &here);
	play(scenario, kernel, bugs, &kmoddev, &there);
	if (strcmp(here.text, there.text) || here.steps != there.steps || here.expects != there.expects)
		fail_msg("%s: in process %u:%u '%s', behind a device %u:%u '%s'", name, here.end.line,
			 here.end.column, here.text, there.end.line, there.end.column, there.text);
	assert_int_equal(here.end.step, there.end.step);
	/* Frames that were given back are, there as well. */
	if (ms_play_machine(here.play))
		assert_int_equal(hostmem_bytes(ms_machine_mem(ms_play_machine(here.play))),
				 hostmem_bytes(ms_machine_mem(ms_play_machine(there.play))));
	if (here.events.len != there.events.len ||
	    memcmp(ms_buf_str(&here.events), ms_buf_str(&there.events), here.events.len))
		fail_msg("%s: events differ: %s", name, first_event(&here, &there));
	if (here.records.len != there.records.len ||
	    memcmp(ms_buf_str(&here.records), ms_buf_str(&there.records), here.records.len))
		fail_msg("%s: records differ: %s", name, first_difference(&here, &there));
	assert_true(kmoddev_knobs.traced - traced >= there.events.len / sizeof(struct ms_event));
	left_end(&here);
	left_end(&there);
	assert_int_equal(kmoddev_knobs.live, 0);
}

static struct ms_scenario *parse(const char *path)
{
	struct ms_scenario *scenario = NULL;
	struct ms_buf text = { 0 };
	FILE *file = fopen(path, "r");
	struct ms_err *err;
	char part[4096], *points, *end;
	size_t n;

	assert_non_null(file);
	while ((n = fread(part, 1, sizeof(part), file)))
		ms_buf_put(&text, part, n);
	fclose(file);
	ms_buf_putc(&text, '\0');
	/* Eight thousand orders of two are played in the lab. */
	points = strstr(text.data, "points=enter,lock,");
	if (points) {
		points += strlen("points=enter,lock");
		end = strchr(points, '\n');
		memset(points, ' ', (size_t)(end - points));
	}
	err = ms_scenario_parse(path, text.data, text.len - 1, &scenario);
	if (err)
		fail_msg("%s", ms_err_text(err));
	ms_buf_deinit(&text);
	return scenario;
}

static void compare_file(const char *path)
{
	struct ms_scenario *scenario = parse(path);
	enum nmmu_kernel kernel, last = ms_scenario_names_kernel(scenario) ? NMMU_6_1 : NMMU_6_12;
	u32 bugs = ms_scenario_bugs(scenario), bug;

	for (kernel = NMMU_6_1; kernel <= last; kernel++) {
		compare(path, scenario, kernel, 0);
		for (bug = 0; bug < NMMU_NR_BUGS; bug++)
			if (bugs & 1u << bug)
				compare(path, scenario, kernel, 1u << bug);
	}
	ms_scenario_destroy(scenario);
}

static void test_every_scenario_is_the_same(void **state)
{
	const char *srcdir = getenv("SRCDIR");
	char dir[4096], path[8192];
	struct dirent **names;
	int nr, i, played = 0;

	(void)state;
	snprintf(dir, sizeof(dir), "%s/tests/scenarios", srcdir ? srcdir : ".");
	nr = scandir(dir, &names, NULL, alphasort);
	assert_true(nr > 0);
	for (i = 0; i < nr; i++) {
		if (strstr(names[i]->d_name, ".scn") &&
		    (!getenv("ONLY") || strstr(names[i]->d_name, getenv("ONLY")))) {
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
			compare_file(path);
			played++;
		}
		free(names[i]);
	}
	free(names);
	assert_true(played > 50 || getenv("ONLY"));
	if (getenv("KMODDEV_COUNTS")) {
		for (i = 0; i < 5; i++)
			fprintf(stderr, "request %d: %llu\n", i,
				(unsigned long long)kmoddev_knobs.requests[i]);
		for (i = 0; i < MMUSCOPE_NMMU_NR_CALLS; i++)
			fprintf(stderr, "call %d: %llu\n", i, (unsigned long long)kmoddev_knobs.calls[i]);
		for (i = 0; i <= MMUSCOPE_NMMU_ASK_ROOM; i++)
			fprintf(stderr, "ended with %d: %llu\n", i,
				(unsigned long long)kmoddev_knobs.asked[i]);
	}
}

static struct ms_scenario *one(void)
{
	const char *srcdir = getenv("SRCDIR");
	char path[8192];

	snprintf(path, sizeof(path), "%s/tests/scenarios/01-dirty-two-aliases.scn", srcdir ? srcdir : ".");
	return parse(path);
}

/* How a play ends whose device does not do as it should. */
static void fails_with(const char *wanted)
{
	struct ms_scenario *scenario = one();
	struct left left;

	play(scenario, NMMU_6_12, 0, &kmoddev, &left);
	if (left.end.step != MS_STEP_FAILED || !strstr(left.text, wanted))
		fail_msg("'%s' is not '%s'", left.text, wanted);
	left_end(&left);
	ms_scenario_destroy(scenario);
	kmoddev_knobs.refuse_open = false;
	kmoddev_knobs.breaths = 0;
	kmoddev_knobs.fail_alloc = 0;
	kmoddev_knobs.spoil = NULL;
	assert_int_equal(kmoddev_knobs.live, 0);
}

static void spoil_lost(unsigned long nr, void *arg)
{
	if (nr == MMUSCOPE_NMMU_RUN)
		((struct mmuscope_nmmu_run *)arg)->lost = 1;
}

static void test_failures_are_told(void **state)
{
	u64 nth;

	(void)state;
	kmoddev_knobs.refuse_open = true;
	fails_with("no device");
	kmoddev_knobs.breaths = 3;
	fails_with("");
	kmoddev_knobs.spoil = spoil_lost;
	fails_with("the module has lost events");
	/* Wherever memory runs out: told, and nothing is left behind. */
	for (nth = 1; nth < 12; nth++) {
		kmoddev_knobs.fail_alloc = nth;
		fails_with("");
	}
}

/* Images with a word that is another: they are refused, or are a machine; nothing beside them is touched. */
static void spoil_image(unsigned long nr, void *arg)
{
	static u64 rng = 1;
	static const struct nmmu_ops ops;
	const struct mmuscope_nmmu_image *image = arg;
	struct mirror *mirror;
	u64 *words, kept, i;
	int k;

	if (nr != MMUSCOPE_NMMU_IMAGE || !image->to || !image->machine)
		return;
	words = malloc(image->bytes);
	assert_non_null(words);
	memcpy(words, (const void *)(uintptr_t)image->to, image->bytes);
	for (k = 0; k < 300; k++) {
		rng = rng * 6364136223846793005ull + 1442695040888963407ull;
		i = (rng >> 20) % (image->bytes / 8);
		kept = words[i];
		words[i] ^= k & 1 ? 1ull << (rng >> 58) : rng;
		if (!mirror_create((const u8 *)words, image->bytes - (k % 7 ? 0 : (rng >> 33) % 64),
				   image->machine, &ops, NULL, &mirror))
			mirror_destroy(mirror);
		words[i] = kept;
	}
	free(words);
}

static void test_a_damaged_image_is_harmless(void **state)
{
	struct ms_scenario *scenario = one();
	struct left left;

	(void)state;
	kmoddev_knobs.spoil = spoil_image;
	play(scenario, NMMU_6_12, 0, &kmoddev, &left);
	kmoddev_knobs.spoil = NULL;
	assert_int_equal(left.end.step, MS_STEP_END);
	left_end(&left);
	ms_scenario_destroy(scenario);
}

/* --- whoever means harm --- */

static u64 draw(void)
{
	static u64 rng = 7;

	rng += 0x9e3779b97f4a7c15ull;
	return (rng ^ rng >> 29) * 0xbf58476d1ce4e5b9ull >> 13;
}

#define FUZZ_PAGES 256

static struct mmuscope_nmmu_page fuzz_table[FUZZ_PAGES];
static u8 fuzz_memory[16][4096] __attribute__((aligned(4096)));

/* Numbers that mean something, now and then ones that do not. */
static u64 number(void)
{
	switch (draw() % 8) {
	case 0:
		return draw();
	case 1:
		return ~0ull >> draw() % 64;
	case 2:
		return 1ull << draw() % 64;
	case 3:
	case 4:
		return draw() % FUZZ_PAGES << 12 | draw() % 8;
	default:
		return draw() % 16;
	}
}

/* Guest tables that lead somewhere, and a host that changes its mind. */
static void shake(void)
{
	struct mmuscope_nmmu_page *page = &fuzz_table[draw() % FUZZ_PAGES];

	page->frame = draw() % 3 ? (draw() % 4096 << 12 | 1 | 2 | 1 << 2) : draw();
	page->at = draw() % 4 ? (uintptr_t)fuzz_memory[draw() % 16] : 0;
	if (page->frame >> 2 & 2)
		page->frame = (u64)(page - fuzz_table) << 12 | 3 | 2 << 2;
	((u64 *)fuzz_memory[draw() % 16])[draw() % 512] =
		draw() % 3 ? (draw() % FUZZ_PAGES << 12 | 0x37 | (draw() & 0x4c0)) : draw();
}

static void fuzz_session(u32 steps, u64 *done)
{
	static struct ms_event events[MMUSCOPE_NMMU_EVENTS];
	static u64 notes[MMUSCOPE_NMMU_NOTES], frames[MMUSCOPE_NMMU_FRAMES], buffer[4096];
	struct mmuscope_nmmu_area area = { .bytes = FUZZ_PAGES << 12, .table = (uintptr_t)fuzz_table };
	u32 states[MMUSCOPE_NMMU_STRANDS] = { 0 }, step, i;
	struct mmuscope_nmmu_create create;
	void *session;
	int err;

	assert_null(kmoddev.open(NULL, &session));
	do {
		create = (struct mmuscope_nmmu_create){ .layout = nmmu_image_layout(),
							.flags = (u32)draw() &
								 ((1u << MMUSCOPE_NMMU_F_NR) - 1),
							.hv = (u8)(1 + draw() % 2),
							.kernel = (u8)(draw() % 2),
							.phys_bits = (u8)(36 + draw() % 17),
							.guest_phys_bits = 36,
							.max_pages = draw() % 2 ? 0 : 40 + (u32)(draw() % 50),
							.bugs = draw() % 8 ? 0 : (u32)draw() % 32,
							.max_bytes = draw() % 4 ? 0 : 1u << 20,
							.events = (u8)(draw() % 2) };
		err = kmoddev.request(session, MMUSCOPE_NMMU_CREATE, &create);
	} while (err);
	assert_int_equal(kmoddev.request(session, MMUSCOPE_NMMU_AREA, &area), 0);
	for (step = 0; step < steps; step++) {
		struct mmuscope_nmmu_run run = { .strand = (u32)(draw() % 3),
						 .vcpu = draw() % 4 ? 0 : (u32)(draw() % 3),
						 .watch = draw() % 3 ? 0 : (u32)draw(),
						 .events = (uintptr_t)events,
						 .notes = (uintptr_t)notes,
						 .frames = (uintptr_t)frames,
						 .nr_events = MMUSCOPE_NMMU_EVENTS,
						 .nr_notes = MMUSCOPE_NMMU_NOTES,
						 .nr_frames = (u32)(draw() % 17),
						 .fail_after = draw() % 30 ? 0 : draw() % 20 };
		struct mmuscope_nmmu_table table = { .pa = draw() % 4096 << 12 | (draw() % 512 * 8),
						     .op = (u32)(draw() % 4) };
		u32 strand = run.strand;

		shake();
		for (i = 0; i < MMUSCOPE_NMMU_FRAMES; i++)
			frames[i] = draw() % 4096 << 12;
		run.call = states[strand] ? MMUSCOPE_NMMU_ANSWER : (u32)(draw() % MMUSCOPE_NMMU_NR_CALLS);
		if (step < 2)
			run.call = step ? MMUSCOPE_NMMU_SLOT_SET : MMUSCOPE_NMMU_VCPU_CREATE,
			run.strand = strand = 0;
		for (i = 0; i < MMUSCOPE_NMMU_VALUES; i++)
			run.v[i] = number();
		if (run.call == MMUSCOPE_NMMU_SLOT_SET && draw() % 4)
			run.v[0] = run.v[2] = run.v[4] = 0, run.v[1] = draw() % 2, run.v[3] = FUZZ_PAGES,
			run.v[5] = draw() % 2;
		if (run.call == MMUSCOPE_NMMU_EXIT || run.call == MMUSCOPE_NMMU_EMULATE)
			run.v[4] = 1u << draw() % 4, run.v[3] &= ~7ull;
		if (run.call == MMUSCOPE_NMMU_TRANSLATE)
			run.v[0] = (uintptr_t)buffer;
		if (run.call == MMUSCOPE_NMMU_LOG_GET || run.call == MMUSCOPE_NMMU_LOG_CLEAR)
			run.v[2] = (uintptr_t)buffer, run.v[3] %= 4096;
		if (states[strand]) {
			run.v[0] = draw() % 16 == 0;
			run.v[1] = draw() % 4096 << 12;
		}
		err = kmoddev.request(session, MMUSCOPE_NMMU_RUN, &run);
		if (!err) {
			states[strand] = run.state;
			done[run.state]++;
		}
		for (i = 0; i < 4; i++)
			table.v[i] = table.old | 0x60 | 0x300;
		table.words = table.op == MMUSCOPE_NMMU_READ ? 1 + (u32)(draw() % 4) : 1;
		if (!kmoddev.request(session, MMUSCOPE_NMMU_TABLE, &table) &&
		    table.op == MMUSCOPE_NMMU_READ) {
			table.op = MMUSCOPE_NMMU_MARK;
			table.words = 1;
			table.old = table.v[0];
			table.v[0] |= draw() % 2 ? 0x60 : 0x300;
			kmoddev.request(session, MMUSCOPE_NMMU_TABLE, &table);
		}
	}
	kmoddev.close(session);
	assert_int_equal(kmoddev_knobs.live, 0);
}

static void test_hostile_requests_do_no_harm(void **state)
{
	u64 done[MMUSCOPE_NMMU_ASK_ROOM + 1] = { 0 };
	u32 i;

	(void)state;
	/* A call that is fed with nonsense may go on and on: as in the kernel, not for ever. */
	kmoddev_knobs.breaths = 20000;
	for (i = 0; i < 400; i++)
		fuzz_session(200, done);
	kmoddev_knobs.breaths = 0;
	assert_true(done[MMUSCOPE_NMMU_DONE] > 10000);
	assert_true(done[MMUSCOPE_NMMU_ASK_FAULT] > 100 && done[MMUSCOPE_NMMU_ASK_YIELD] > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_scenario_is_the_same),
		cmocka_unit_test(test_failures_are_told),
		cmocka_unit_test(test_a_damaged_image_is_harmless),
		cmocka_unit_test(test_hostile_requests_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
