/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mksnap [ept|npt] [6.1|6.12] [passthrough] [owner=NAME] [extra=N] [raw] FILE: the made-up host of fake.h as
 * a snapshot file, which is replaced; `raw' leaves it unpacked, as fuzz_snap takes it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/snapfile.h"
#include "target/snapfmt.h"
#include "tests/unit/fake.h"

static struct ms_err *raw_write(void *ctx, const void *buf, size_t len)
{
	return fwrite(buf, 1, len, ctx) == len ? NULL : ms_err_new(MS_ERR_TARGET, "write");
}

static struct ms_err *raw_put(void *ctx, enum ms_rec_type type, const void *rec,
			      const struct ms_sp_tables *tables)
{
	return ms_snap_encode_put(ctx, type, rec, tables);
}

static struct ms_err *save_raw(struct ms_target *target, const struct ms_want *want, FILE *file)
{
	struct ms_snap_encoder encoder = { .drain = { .write = raw_write, .ctx = file } };
	const struct ms_sink sink = { .put = raw_put, .ctx = &encoder };
	struct ms_err *err = ms_snap_encode_begin(&encoder);

	if (!err)
		err = ms_target_read(target, want, &sink);
	if (!err)
		err = ms_snap_encode_end(&encoder);
	ms_snap_order_deinit(&encoder.order);
	return err;
}

static struct ms_err *save(struct ms_target *target, const struct ms_want *want, const char *path)
{
	struct ms_snap_writer *writer = NULL;
	u64 nr_records, nr_bytes;
	struct ms_sink sink;
	struct ms_err *err = ms_snap_create(path, true, &writer);

	if (err)
		return err;
	sink = ms_snap_sink(writer);
	err = ms_target_read(target, want, &sink);
	if (err) {
		ms_snap_abort(writer);
		return err;
	}
	err = ms_snap_commit(writer, &nr_records, &nr_bytes);
	if (!err)
		printf("%llu records, %llu bytes\n", (unsigned long long)nr_records,
		       (unsigned long long)nr_bytes);
	return err;
}

int main(int argc, char **argv)
{
	const struct ms_want want = { .what = MS_WANT_ALL };
	struct fake_opts opts = { .ept = true };
	struct ms_target *target = NULL;
	struct ms_err *err;
	bool raw = false;
	int i, status = 0;

	for (i = 1; i < argc - 1; i++) {
		if (!strcmp(argv[i], "ept") || !strcmp(argv[i], "npt"))
			opts.ept = argv[i][0] == 'e';
		else if (!strcmp(argv[i], "6.1") || !strcmp(argv[i], "6.12"))
			opts.v61 = !argv[i][3];
		else if (!strcmp(argv[i], "passthrough"))
			opts.passthrough = true;
		else if (!strncmp(argv[i], "owner=", 6))
			opts.owner = argv[i] + 6;
		else if (!strncmp(argv[i], "extra=", 6))
			opts.extra_pages = (u32)strtoul(argv[i] + 6, NULL, 0);
		else if (!strcmp(argv[i], "raw"))
			raw = true;
		else
			argc = 0;
	}
	if (argc < 2) {
		fprintf(stderr,
			"usage: mksnap [ept|npt] [6.1|6.12] [passthrough] [owner=NAME] [extra=N] [raw] "
			"FILE\n");
		return 2;
	}
	err = fake_open(&opts, &target);
	if (!err && raw) {
		FILE *file = fopen(argv[argc - 1], "wb");

		err = file ? save_raw(target, &want, file)
			   : ms_err_new(MS_ERR_TARGET, "%s: cannot be written", argv[argc - 1]);
		if (file && fclose(file) && !err)
			err = ms_err_new(MS_ERR_TARGET, "%s: write", argv[argc - 1]);
	} else if (!err) {
		err = save(target, &want, argv[argc - 1]);
	}
	if (err) {
		fprintf(stderr, "mksnap: %s\n", ms_err_text(err));
		status = ms_err_exit_status(err);
	}
	ms_err_free(err);
	ms_target_close(target);
	return status;
}
