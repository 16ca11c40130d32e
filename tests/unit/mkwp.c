/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mkwp WORDS...: what `mmuscope wp WORDS...' prints, on the made-up host of fake.h and with a made-up module in
 * place of target/wp.c: one write of each kind and of each guest, then the VM is gone.
 */
#include <stdio.h>
#include <string.h>

#include "query/query.h"
#include "render/render.h"
#include "target/wp.h"
#include "tests/unit/fake.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ms_wp_*() have no context but this, and nothing of it is looked at. */
struct ms_wp {
	u64 kvm;
};

static struct ms_wp the_wp;

struct ms_err *ms_wp_open(u64 kvm, const struct ms_rec_fd *fds, size_t nr_fds, struct ms_wp **ret)
{
	(void)fds;
	(void)nr_fds;
	the_wp.kvm = kvm;
	*ret = &the_wp;
	return NULL;
}

void ms_wp_close(struct ms_wp *wp)
{
	(void)wp;
}

u64 ms_wp_kvm(const struct ms_wp *wp)
{
	return wp->kvm;
}

struct ms_err *ms_wp_on(struct ms_wp *wp, u64 start, u64 end, bool may_kill)
{
	(void)wp;
	(void)start;
	(void)end;
	(void)may_kill;
	return NULL;
}

struct ms_err *ms_wp_off(struct ms_wp *wp, u64 start, u64 end, u64 *nr_ret)
{
	(void)wp;
	*nr_ret = end - start;
	return NULL;
}

struct ms_err *ms_wp_list(struct ms_wp *wp, struct mmuscope_wp_flip **ret, size_t *nr_ret)
{
	(void)wp;
	*ret = NULL;
	*nr_ret = 0;
	return NULL;
}

struct ms_err *ms_wp_info(struct ms_wp *wp, struct mmuscope_wp_info *ret)
{
	(void)wp;
	*ret = (struct mmuscope_wp_info){ .seq = 6, .gfns = 1, .flags = MMUSCOPE_WP_GUARDED };
	return NULL;
}

size_t ms_wp_marks(u64 kvm, const struct ms_rec_fd *fds, size_t nr_fds, u64 **ret)
{
	(void)kvm;
	(void)fds;
	(void)nr_fds;
	*ret = NULL;
	return 0;
}

struct ms_err *ms_wp_read(struct ms_wp *wp, int timeout_ms, struct mmuscope_wp_write *writes, size_t max,
			  size_t *nr_ret, bool *gone_ret)
{
	static const struct mmuscope_wp_write all[] = {
		{ .kind = MMUSCOPE_WP_STORE, .level = 1, .bytes = 8, .value_bytes = 8, .value = { 0x11 } },
		{ .kind = MMUSCOPE_WP_THROUGH, .level = 2, .bytes = 32, .value_bytes = 16 },
		{ .kind = MMUSCOPE_WP_WALK, .level = 2, .bytes = 8, .value_bytes = 8 },
		{ .kind = MMUSCOPE_WP_LOST, .vcpu = -1 },
		{ .kind = MMUSCOPE_WP_EVENT, .level = 1, .bytes = 8, .value_bytes = 8 },
		{ .kind = MMUSCOPE_WP_UNFINISHED, .level = 1 },
	};
	size_t i;

	(void)wp;
	(void)timeout_ms;
	*nr_ret = max < LEN(all) ? max : LEN(all);
	*gone_ret = true;
	for (i = 0; i < *nr_ret; i++) {
		writes[i] = all[i];
		writes[i].seq = i;
		writes[i].gpa = 0x10008;
		writes[i].rip = 0xffffffff81000000;
		writes[i].count = i + 1;
	}
	return NULL;
}

static struct ms_err *stream(struct ms_session *session, const struct ms_args *args)
{
	const struct ms_render_opts opts = { .json = args->json };
	struct ms_stream stream = { .cells = args->json ? MS_STREAM_DATA : MS_STREAM_TEXT };
	struct ms_result *result = NULL;
	struct ms_rows rows = { 0 };
	struct ms_err *err = NULL;
	int write_errno;

	while (!err && !stream.over) {
		err = ms_stream_round(session, args, &stream, &result);
		if (!err)
			err = ms_render_rows(result, &opts, &rows, stdout, &write_errno);
		ms_result_destroy(result);
		result = NULL;
	}
	if (!err)
		err = ms_stream_summary(session, args, &stream, &result);
	if (!err)
		err = ms_render(result, &opts, stdout, &write_errno);
	ms_result_destroy(result);
	ms_stream_deinit(session, &stream);
	return err;
}

int main(int argc, char **argv)
{
	const struct fake_opts opts = { .ept = true };
	struct ms_session session = { 0 };
	const char *words[32] = { "wp" };
	struct ms_args args = { 0 };
	struct ms_err *err;
	int i, status = 0;

	for (i = 1; i < argc && i < (int)LEN(words); i++)
		words[i] = argv[i];
	err = ms_args_parse((size_t)i, words, NULL, &args);
	if (!err)
		err = fake_open(&opts, &session.target);
	if (!err) {
		session.target->caps |= MS_CAP_LIVE;
		err = stream(&session, &args);
	}
	if (err) {
		fprintf(stderr, "mkwp: %s\n", ms_err_text(err));
		status = ms_err_exit_status(err);
	}
	ms_err_free(err);
	ms_session_deinit(&session);
	ms_args_deinit(&args);
	return status;
}
