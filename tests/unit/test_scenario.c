/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The language of scenarios: numbers, comparisons, what is counted and bounded, one step after the other, one
 * action inside another, and that doc/scenarios.md has every statement. What the engine does is for the
 * scenarios themselves; messages with line and column are in tests/cli/errors.sh.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "scenario/lang.h"

#define HEAD "machine vmx ad vcpus=2\nslot 0 gfn=0 pages=0x400\n"

static struct ms_scenario *parse(const char *text)
{
	struct ms_scenario *scenario = NULL;
	struct ms_err *err = ms_scenario_parse("t", text, strlen(text), &scenario);

	if (err)
		fail_msg("%s", ms_err_text(err));
	return scenario;
}

/* Play it. "" when all is so, else what was found; the line goes to *line_ret. */
static const char *play(const char *text, u32 *line_ret)
{
	struct ms_scenario *scenario = parse(text);
	const struct ms_play_opts opts = { 0 };
	static char found[400];
	struct ms_step_result result;
	struct ms_play *p = NULL;

	assert_null(ms_play_create(scenario, &opts, &p));
	ms_play_run(p, &result);
	snprintf(found, sizeof(found), "%s", result.text);
	assert_int_equal(result.step == MS_STEP_FAILED, *found != 0);
	if (line_ret)
		*line_ret = result.line;
	ms_play_destroy(p);
	ms_scenario_destroy(scenario);
	return found;
}

static void assert_so(const char *text)
{
	u32 line = 0;
	const char *found = play(text, &line);

	if (*found)
		fail_msg("line %u: %s", line, found);
}

static void assert_not_so(const char *text, u32 line, const char *part)
{
	u32 at = 0;
	const char *found = play(text, &at);

	if (at != line || !strstr(found, part))
		fail_msg("line %u, not %u: %s", at, line, found);
}

/* It fails because of its own text, there. */
static void assert_wrong(const char *text, u32 line, u32 column)
{
	struct ms_scenario *scenario = parse(text);
	const struct ms_play_opts opts = { 0 };
	struct ms_step_result result;
	struct ms_play *p = NULL;

	assert_null(ms_play_create(scenario, &opts, &p));
	ms_play_run(p, &result);
	if (result.step != MS_STEP_FAILED || !result.wrong || result.line != line || result.column != column)
		fail_msg("%s%u:%u: %d: %s", text, result.line, result.column, result.wrong, result.text);
	ms_play_destroy(p);
	ms_scenario_destroy(scenario);
}

static void test_numbers(void **state)
{
	(void)state;
	assert_so(HEAD "let A = 0x10\nlet B=A*2+1\nlet C =(A+B)*2|0x1_000\nlet D= C-1\n"
		       "poke 0x3000 value=C\nexpect memory 0x3000 value = 0x1062\n"
		       "poke 0x3000 value=D+0x10-0x10\nexpect memory 0x3000 value=4193\n"
		       "poke 0x3000 value=none\nexpect memory 0x3000 bytes=4 value=0xffffffff\n"
		       "expect memory 0x3000 value>=0xffffffffffffffff\n");
	/* Tables: the root, and the entry at a level. */
	assert_so(HEAD "table t ept4 pool=0x100+8\nmap t 0x40001000 -> 0x5000 r\n"
		       "expect memory t[0x40001000] value=0x5031\n"
		       "expect memory t[0x40001000@4] bytes=1 value=7\n"
		       "poke t value=0x1234\nexpect memory 0x100000 value=0x1234\n");
	assert_not_so(HEAD "table t ept4 pool=0x100+8\npoke t[0x40000000] value=1\n", 4, "table on the way");
	assert_not_so(HEAD "table t ept4 pool=0x100+8\npoke t[0@5] value=1\n", 4, "no entry at level 5");
}

static void test_comparisons(void **state)
{
	(void)state;
	assert_so(HEAD "poke 0 value=7\nexpect memory 0 value!=8 value <= 7 value>= 7 value>=1 value<=100\n");
	assert_not_so(HEAD "poke 0 value=7\nexpect memory 0 value!=7\n", 4,
		      "is 7, expected was other than 7");
	assert_not_so(HEAD "poke 0 value=7\nexpect memory 0 value<=6\n", 4, "expected was <= 6");
	assert_not_so(HEAD "poke 0 value=7\nexpect memory 0 value>=8\n", 4, "expected was >= 8");
}

static void test_outcome_must_be_claimed(void **state)
{
	(void)state;
	assert_not_so(HEAD "read 0x12345678\nkick\n", 3, "nobody expected: mmio gpa=0x12345678");
	assert_not_so(HEAD "read 0x12345678\nexpect clean 0 1\n", 4, "does not log");
	assert_not_so(HEAD "read 0x12345678\n", 3, "nobody expected");
	assert_so(HEAD "read 0x12345678\nexpect mmio\nkick\n");
	assert_not_so(HEAD "slot 1 gfn=0 pages=1\nkick\n", 3,
		      "nobody expected: refused: another slot has frames of it");
	assert_so(HEAD "fail alloc 1\nslot 1 gfn=0x1000 pages=1\nexpect nomem\n");
	assert_not_so(HEAD "probe read 0\n", 3, "nobody expected: probe violation");
}

static void test_loops(void **state)
{
	(void)state;
	assert_so(HEAD "slot 0 log=on\nrepeat 3\nrepeat 2\nwrite 0x3000 times=4\nend\nend\n"
		       "expect dirty 0 3-6\nexpect clean 0 0-2\nexpect clean 0 7\n");
	assert_not_so(HEAD "repeat 16777216\nrepeat 16777216\nend\nend\n", 5, "more than 4194304 steps");
	/* An access repeated is as many steps. */
	assert_not_so(HEAD "repeat 100\nread 0 times=0x100000 step=0\nend\n", 4, "more than 4194304 steps");
	/* So are the pages, or the events, that one statement is about. */
	assert_not_so(HEAD "write 0 times=0x400\nrepeat 1000000\nexpect event spte_set sp=0 count=0\nend\n",
		      5, "more than 4194304 steps");
	assert_not_so(HEAD "repeat 1000\nhost discard 0 pages=0x200000\nend\n", 4, "more than 4194304 steps");
	assert_not_so(HEAD "repeat 1000\nslot 1 gfn=0x1000 pages=0x200000 host=none\nslot 1 delete\nend\n", 5,
		      "more than 4194304 steps");
}

static void test_logs(void **state)
{
	(void)state;
	assert_so(
		HEAD
		"slot 0 log=on\nwrite 0x3000 times=2\nlog get 0\nexpect log 0 3-4\nlog get 0\nexpect log 0 none\n");
	assert_not_so(HEAD "slot 0 log=on\nwrite 0x3000\nlog get 0\nexpect log 0 3-4\n", 6, "the log was: 3");
	assert_not_so(HEAD "slot 0 log=on\nwrite 0x3000\nlog get 0\nexpect log 0 none\n", 6,
		      "the log was: 3");
	assert_not_so(HEAD "slot 0 log=on\nwrite 0x3000\nexpect dirty 0 4\n", 5, "marked are: 3");
	assert_not_so(HEAD "slot 0 log=on\nexpect dirty 0 1024\n", 4, "not in the slot");
	assert_not_so(HEAD "expect log 0 3\n", 3, "not got last");
}

/* Not a scenario: the error begins so. */
static void assert_error(const char *text, const char *begin)
{
	struct ms_scenario *scenario = NULL;
	struct ms_err *err = ms_scenario_parse("t", text, strlen(text), &scenario);

	if (!err)
		fail_msg("taken: %s", text);
	if (strncmp(ms_err_text(err), begin, strlen(begin)))
		fail_msg("%s\nis: %s\nnot: %s", text, ms_err_text(err), begin);
	ms_err_free(err);
}

/* What can be known is known before anything is played. */
static void test_bounds(void **state)
{
	static const struct {
		const char *text, *begin;
	} bad[] = {
		{ "prefault 0\n", "t:1:1: there is no machine yet" },
		{ "machine vmx pins\nprefault 0 vcpu=1\n", "t:2:17: there is no vCPU 1: the machine has 1" },
		{ "machine vmx pins\nexpect pin 0 mapped=2\n", "t:2:21: mapped: 2 is neither 0 nor 1" },
		{ "machine vmx gen=524288\n", "t:1:17: gen: 524288 is not 0 to 524284" },
		{ "machine vmx vcpus=99\n", "t:1:19: vcpus: 99 is not 1 to 8" },
		{ "machine vmx tlb=3\n", "t:1:17: tlb: 3 is no power of two" },
		{ "machine vmx phys=0x100000024\n", "t:1:18: phys: 4294967332 is not 36 to 52" },
		{ HEAD "read 1 vcpu=5\n", "t:3:13: there is no vCPU 5: the machine has 2" },
		{ HEAD "read 1 bytes=3\n", "t:3:14: bytes: 3 is none of" },
		{ HEAD "write 1 value=0x1ff bytes=1\n", "t:3:15: value: 0x1ff does not fit into 1 byte" },
		{ HEAD "poke 1 value=0x1ff bytes=1\n", "t:3:14: value: 0x1ff does not fit into 1 byte" },
		{ HEAD "expect memory 1 value=0x10000 bytes=2\n", "t:3:23: value: 0x10000 does not fit" },
		{ HEAD "read 0xffd\n", "t:3:6: 8 bytes at 0xffd cross a page" },
		{ HEAD "read 1 times=99999999999\n", "t:3:14: times: 99999999999 is not 1 to 1048576" },
		{ HEAD "repeat 0\nend\n", "t:3:8: repeat: 0 is not 1 to 16777216" },
		{ HEAD "repeat 1000000000\nend\n", "t:3:8: repeat: 1000000000 is not" },
		{ HEAD "table t ept4 pool=0x100+0\n", "t:3:25: pool: 0 is not 1 to" },
		{ HEAD "table t ept4 pool=1+9\nmap t 0 -> 0 level=9\n", "t:4:20: level: 9 is not 1 to 3" },
		{ HEAD "table t ept4 pool=1+9\nmap t 0x1000000000000 -> 0\n",
		  "t:4:7: 0x1000000000000 is no" },
		{ HEAD "table t pt32 pool=1+9\nmap t 0xfffff000 -> 0 pages=2\n", "t:4:7: 2 pages from" },
		{ HEAD "table t ept4 pool=1+9\nmap t 0 -> 0x5001\n", "t:4:12: gpa: 0x5001 is no address" },
		{ HEAD "slot 65536 delete\n", "t:3:6: slot: 65536 is not 0 to 65535" },
		{ HEAD "log get 0 as=2\n", "t:3:14: as: 2 is neither 0 nor 1" },
		{ HEAD "kick\nexpect done fast=2\n", "t:4:18: fast: 2 is neither" },
		{ HEAD "expect done\n", "t:3:1: no action comes before it" },
		{ HEAD "kick\nexpect inner done\n", "t:4:1: no action `at" },
		{ HEAD "expect root\n", "t:3:12: `expect root' is not complete" },
		{ HEAD "expect root mmu=guest\n", "t:3:22: `expect root' is not complete" },
		{ "bug pml-l2\n" HEAD "with no-flush kick\n", "t:4:1: it is never played with no-flush" },
		{ HEAD "kick\n\x01\n", "t:4:1: this is no text" },
		{ "machine foo\n", "t:1:9: machine: 'foo' is none of vmx|svm" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < LEN(bad); i++)
		assert_error(bad[i].text, bad[i].begin);
}

/* Never cut, never left out: what does not fit is an error of the text, at its column. */
static void test_never_cut(void **state)
{
	(void)state;
	assert_wrong(HEAD "write 0x900003000 value=7\n", 3, 7);
	assert_wrong(HEAD "slot 1 gfn=0xfffff pages=1\nwrite 0xfffff000 times=2\n", 4, 7);
	assert_wrong(HEAD "l1 paging=64 root=0\nread 0x800000000000\n", 4, 6);
	assert_wrong(HEAD "table t ept4 pool=0x1000+16\n", 3, 19);
	assert_wrong(HEAD "table t ept4 pool=0x3f8+16\n", 3, 19);
	assert_wrong(HEAD "kick\nexpect young\n", 4, 1);
	assert_wrong(HEAD "kick\nexpect probe done\n", 4, 1);
	assert_wrong(HEAD "poke 0 value=1\nexpect done exits=0\n", 4, 1);
	/* Refused in words, and refused is what can be expected. */
	assert_not_so(HEAD "log get 0\n", 3, "the slot does not log");
	assert_not_so(HEAD "poke 0x99999000 value=1\n", 3, "there is no memory there");
	assert_so(HEAD "slot 1 gfn=0 pages=1\nexpect refused\nlog get 0\nexpect refused\n");
	assert_not_so(HEAD "read 0\nexpect done exits=0\n", 4, "the number of exits is 1, expected was 0");
}

static void test_words(void **state)
{
	(void)state;
	assert_not_so(HEAD "table t ept4 pool=0x100+8\nmap t 0x40000000 -> 0x5000 r\nenter t\n"
			   "write 0x40000000\nexpect exit 48 qual=0x182\n",
		      7, "(W, rights r--, GVA valid, final), expected was 0x182 (W, rights ---, GVA valid");
}

#define LOGGED HEAD "slot 0 log=on\nwrite 0x5000\nlog get 0\n"
#define BOTH "interleave\nwrite 0x5000\nlog get 0\nend\n"

static void test_interleave(void **state)
{
	static const struct {
		const char *text, *begin;
	} bad[] = {
		{ HEAD "interleave\nkick\nend\n", "t:5:1: `interleave' takes two actions, these are 1" },
		{ HEAD "interleave\nkick\nkick vcpu=1\nread 0\nend\n", "t:6:1: `interleave' takes two" },
		{ HEAD "interleave\nkick\nread 0\nend\n", "t:5:1: both are of vCPU 0" },
		{ HEAD "interleave\nlog get 0\nslot 0 log=on\nend\n", "t:5:1: both hold the slots" },
		{ HEAD "interleave\nkick\nexpect done\nend\n", "t:5:1: `interleave' takes two actions, not" },
		{ HEAD "repeat 2\ninterleave\nend\nend\n", "t:4:1: `interleave' cannot be in a loop" },
		{ HEAD "interleave\nkick\nlog get 0\n", "t:3:1: `interleave' without `end'" },
		{ HEAD "interleave schedule=01x\n", "t:3:23: schedule: digits" },
		{ HEAD "interleave points=lock,foo\n", "t:3:24: 'foo' is no yield point" },
		{ HEAD "kick\nthen\n", "t:4:1: `then' stands behind" },
		{ HEAD BOTH "kick\nexpect some done\n", "t:8:1: `expect some' is about" },
		{ HEAD "kick\nexpect schedules count=1\n", "t:4:1: no `interleave'" },
	};
	const char *found, *given;
	char text[400];
	size_t i;

	(void)state;
	for (i = 0; i < LEN(bad); i++)
		assert_error(bad[i].text, bad[i].begin);
	assert_so(LOGGED BOTH "expect schedules count>=10\nexpect some dirty 0 5\nexpect some clean 0 5\n");
	assert_not_so(LOGGED BOTH "expect some memory 0x5000 value=1\n", 10, "after none of");
	assert_not_so(LOGGED BOTH "expect schedules count=1\n", 10, "the number of schedules is");
	/* What goes on is the order of the text: the write is in the log. */
	assert_so(LOGGED BOTH "kick\nexpect log 0 5\nexpect clean 0 5\n");
	/* A failure prints its schedule; given back, it fails as it did. */
	found = play(LOGGED BOTH "expect log 0 5\n", NULL);
	given = strstr(found, "with schedule=");
	assert_non_null(given);
	snprintf(text, sizeof(text), "%sinterleave %.*s\nwrite 0x5000\nlog get 0\nend\nexpect log 0 5\n",
		 LOGGED, (int)strcspn(given + 5, " "), given + 5);
	assert_not_so(text, 10, "the log was: none");
	assert_so(LOGGED "interleave schedule=0\nwrite 0x5000\nlog get 0\nend\nexpect log 0 5\n");
	/* Without turns there are the two orders of the whole. */
	assert_so(LOGGED
		  "interleave points=slots-swap\nwrite 0x5000\nlog get 0\nend\nexpect schedules count=2\n"
		  "expect some log 0 5\nexpect some log 0 none\n");
	/* Schedules are steps. */
	assert_not_so(LOGGED "repeat 200000\nread 0x5000\nkick\nend\n" BOTH, 10, "more than 4194304 steps");
}

static void test_events(void **state)
{
	(void)state;
	assert_so(HEAD "read 0\nexpect event spte_set cause=fault level=1 count=1\n"
		       "expect no event sp_zap\nexpect event fault_done ret=fixed fast=0\n"
		       "zap all\nexpect event sp_zap cause!=fault\nexpect no event fault\n");
	assert_not_so(HEAD "read 0\nexpect event sp_zap\n", 4, "no such event among");
	assert_not_so(HEAD "read 0\nexpect no event fault\n", 4, "there are 1 such events");
}

/* One action inside another: where it stops, that it waits for the lock, and that it must come to pass. */
static void test_at(void **state)
{
	(void)state;
	/* Lock-free, it runs at once: the log is got between the SPTE and the mark. */
	assert_so(HEAD "slot 0 log=on\nwrite 0x5000\nlog get 0\nat fast-cmpxchg do log get 0\nwrite 0x5000\n"
		       "expect done\nexpect log 0 none\nexpect dirty 0 5\n");
	/* Under the lock it has to wait, and finds the fault done. */
	assert_so(HEAD
		  "slot 0 log=on\nat spte-stored do log get 0\nwrite 0x5000\nexpect done\nexpect inner done\n"
		  "expect log 0 5\n");
	/* The third time: in the third access, which the log's flush sends round once more. */
	assert_so(HEAD "slot 0 log=on\nwrite 0x5000 times=4\nlog get 0\nat fast-done 3 do log get 0\n"
		       "write 0x5000 times=4\nexpect log 0 5-7\nexpect dirty 0 7-8\nexpect clean 0 5-6\n");
	/* Two at one point, in their order. */
	assert_so(
		HEAD
		"slot 0 log=on\nat pfn-resolved do poke 0x7000 value=1\nat pfn-resolved do poke 0x7000 value=2\n"
		"write 0x5000\nexpect memory 0x7000 value=2\n");
	assert_not_so(HEAD "at slots-swap do kick\nread 0\n", 3, "not reached");
	assert_not_so(HEAD "at slots-swap do kick\n", 3, "no action follows");
	assert_not_so(HEAD "at pfn-resolved do read 0x12345678 vcpu=1\nread 0\nkick\n", 3,
		      "nobody expected: mmio");
}

/* What the engine forbids those who call it: two at once for one vCPU, two memslot ioctls at once. */
static void test_at_excluded(void **state)
{
	(void)state;
	assert_not_so(HEAD "at lock do read 0x5000\nread 0x3000\n", 3, "vCPU 0 is in the middle");
	assert_not_so(HEAD "at pfn-resolved do invlpg 0x5000\nread 0x3000\n", 3, "vCPU 0 is in the middle");
	assert_not_so(HEAD "table t pt64 pool=0x100+8\nmap t 0 -> 0\nat lock do edit t 0 none\nread 0x3000\n",
		      5, "vCPU 0 is in the middle");
	assert_not_so(HEAD "at slots-swap do slot 1 gfn=0x1000 pages=1\nslot 2 gfn=0x2000 pages=1\n", 3,
		      "holds the slots");
	assert_not_so(HEAD "slot 0 log=on\nat slots-swap do log get 0\nslot 0 log=off\n", 4,
		      "holds the slots");
	assert_so(HEAD "slot 0 log=on\nwrite 0x3000\nat clear-dirty do write 0x5000\nlog get 0\n"
		       "slot 2 gfn=0x2000 pages=1\n");
	assert_so(HEAD "at lock do slot 1 gfn=0x1000 pages=1\nread 0x3000\n");
}

static void test_steps(void **state)
{
	struct ms_scenario *scenario = parse("# one\n" HEAD "bug no-flush\nwith no-flush kick\n"
					     "without no-flush read 0\nexpect done\n");
	const struct {
		u32 bugs, lines[6];
	} plays[] = { { 0, { 2, 3, 4, 6, 7 } }, { 1u << NMMU_BUG_NO_FLUSH, { 2, 3, 4, 5, 7 } } };
	struct ms_step_result result;
	u32 i, k;

	(void)state;
	assert_int_equal(ms_scenario_bugs(scenario), 1u << NMMU_BUG_NO_FLUSH);
	assert_int_equal(ms_scenario_nr_expects(scenario), 1);
	for (i = 0; i < LEN(plays); i++) {
		const struct ms_play_opts opts = { .bugs = plays[i].bugs };
		struct ms_play *p = NULL;

		assert_null(ms_play_create(scenario, &opts, &p));
		assert_null(ms_play_machine(p));
		for (k = 0; plays[i].lines[k]; k++) {
			ms_play_step(p, &result);
			assert_int_equal(result.line, plays[i].lines[k]);
			assert_non_null(ms_play_machine(p));
			if (result.step == MS_STEP_FAILED)
				break;
		}
		/* A play that failed stands still; so does one at its end. */
		assert_int_equal(result.step, plays[i].bugs ? MS_STEP_FAILED : MS_STEP_DONE);
		for (k = 0; k < 2; k++) {
			ms_play_step(p, &result);
			assert_int_equal(result.step, MS_STEP_END);
		}
		ms_play_destroy(p);
	}
	ms_scenario_destroy(scenario);
}

static void test_grant(void **state)
{
	(void)state;
	/* L1 adds what it was told, and stores nothing when it has that. */
	assert_so(
		HEAD
		"table t ept4 pool=0x100+8\nmap t 0x40000000 -> 0x5000 none\nenter t ad\n"
		"write 0x40000000\nexpect exit 48 qual=0x182\ngrant t 0x40000000 -> 0x5000\n"
		"expect gpte t 0x40000000 R=0 W=1 X=0\ngrant t 0x40000000 -> 0x5000\nexpect no event fault\n");
}

/*
 * KVM's emulator does not walk for the device page it met last, so that a store there sets no D; a CPU would
 * walk. CR0.WP is off: with it the first write is one that the page met before did not allow.
 */
static void test_known_device(void **state)
{
#define DEVICE(flags, d)                                                                        \
	"scenario x\nmachine svm shadow kernel=6.12 mmio-cache=on phys=46 " flags               \
	"\nslot 0 gfn=0 pages=0x400\n"                                                          \
	"table t pt64 pool=0x100+16\nmap t 0x5000 -> 0x20000000 rw a\nl1 paging=64 root=t nx\n" \
	"read 0x5000\nexpect mmio gpa=0x20000000\nexpect gpte t 0x5000 A=1 D=0\n"               \
	"write 0x5008\nexpect mmio gpa=0x20000008\nexpect gpte t 0x5000 D=" d "\n"
	(void)state;
	assert_so(DEVICE("compat", "0"));
	assert_so(DEVICE("", "1"));
#undef DEVICE
}

static char *read_all(const char *name)
{
	const char *src = getenv("SRCDIR");
	char path[512], *text = calloc(1, 1 << 17);
	FILE *stream;

	assert_non_null(text);
	snprintf(path, sizeof(path), "%s/%s", src ? src : ".", name);
	stream = fopen(path, "r");
	assert_non_null(stream);
	assert_true(fread(text, 1, (1 << 17) - 1, stream) > 0);
	fclose(stream);
	return text;
}

static void test_doc(void **state)
{
	char *doc = read_all("doc/scenarios.md"), words[64], name[64];
	u32 i;

	(void)state;
	for (i = 0; i < NR_VERBS; i++) {
		snprintf(words, sizeof(words), "`%s", ms_verbs[i].words);
		if (!strstr(doc, words))
			fail_msg("doc/scenarios.md: no `%s'", ms_verbs[i].words);
	}
	for (i = 0; i < NR_KEYS; i++) {
		snprintf(name, sizeof(name), ms_keys[i].type == TYPE_FLAG ? "%s" : "%s=", ms_keys[i].name);
		/* Those with a place of their own are named in capitals. */
		if (ms_keys[i].type != TYPE_FLAG && !strstr(doc, name)) {
			u32 verb, only_pos = 1;

			for (verb = 0; verb < NR_VERBS; verb++)
				only_pos &= !list_has(ms_verbs[verb].keys, ms_keys[i].id);
			if (!only_pos)
				fail_msg("doc/scenarios.md: no '%s'", name);
		} else if (!strstr(doc, name)) {
			fail_msg("doc/scenarios.md: no '%s'", name);
		}
	}
	free(doc);
}

/* Every statement's own words are taken by the parser, and its usage begins with them. */
static void test_usage(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < NR_VERBS; i++)
		assert_memory_equal(ms_verbs[i].usage, ms_verbs[i].words, strlen(ms_verbs[i].words));
}

/* Each beginning of a text is a text. */
static void test_cut_short(void **state)
{
	char *text = read_all("tests/scenarios/23-fast-fault-races.scn");
	struct ms_scenario *scenario;
	size_t len, good = 0;
	struct ms_err *err;

	(void)state;
	for (len = 0; len <= strlen(text); len++) {
		char *copy = malloc(len ? len : 1);

		assert_non_null(copy);
		memcpy(copy, text, len);
		scenario = NULL;
		err = ms_scenario_parse("t", copy, len, &scenario);
		assert_int_equal(!err, scenario != NULL);
		good += !err;
		ms_err_free(err);
		ms_scenario_destroy(scenario);
		free(copy);
	}
	assert_true(good > 100);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_comparisons),
		cmocka_unit_test(test_outcome_must_be_claimed),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_logs),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_never_cut),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_interleave),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_at),
		cmocka_unit_test(test_at_excluded),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_grant),
		cmocka_unit_test(test_known_device),
		cmocka_unit_test(test_doc),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_cut_short),
	};

	return cmocka_run_group_tests_name("scenario", tests, NULL, NULL);
}
