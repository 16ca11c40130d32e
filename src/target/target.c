/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding and opening targets: see target.h. What a backend does is in its own file. */
#include "config.h"

#include "target/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static const struct ms_target_ops *target_find(const char *name, size_t len)
{
	size_t i;

	for (i = 0; ms_target_list[i]; i++)
		if (strlen(ms_target_list[i]->name) == len && !memcmp(ms_target_list[i]->name, name, len))
			return ms_target_list[i];
	return NULL;
}

static struct ms_err *target_unknown(const char *spec)
{
	struct ms_buf names = { 0 };
	struct ms_err *err;
	size_t i;

	for (i = 0; ms_target_list[i]; i++)
		ms_buf_printf(&names, "%s%s", i ? ", " : "", ms_target_list[i]->name);
	err = ms_err_new(MS_ERR_USAGE, "target '%s': no such target", spec);
	err = ms_err_hint(err, "this build has: %s", ms_buf_str(&names));
	ms_buf_deinit(&names);
	return err;
}

struct ms_err *ms_target_open(const char *spec, const struct ms_target_opts *opts, struct ms_target **ret)
{
	static const struct ms_target_opts defaults;
	const struct ms_target_ops *ops;
	struct ms_target *target;
	struct ms_err *err;
	const char *colon;
	char *clean;

	if (!spec)
		spec = "live";
	colon = strchr(spec, ':');
	ops = target_find(spec, colon ? (size_t)(colon - spec) : strlen(spec));
	if (!ops)
		return target_unknown(spec);
	target = calloc(1, sizeof(*target));
	clean = ms_clean_dup(spec);
	if (!target || !clean) {
		free(target);
		free(clean);
		return ms_err_nomem();
	}
	target->ops = ops;
	snprintf(target->spec, sizeof(target->spec), "%s", clean);
	free(clean);
	err = ops->open(target, colon ? colon + 1 : NULL, opts ? opts : &defaults);
	if (err) {
		free(target);
		return err;
	}
	*ret = target;
	return NULL;
}

void ms_target_close(struct ms_target *target)
{
	if (!target)
		return;
	target->ops->close(target);
	free(target);
}

struct ms_err *ms_target_read(struct ms_target *target, const struct ms_want *want,
			      const struct ms_sink *sink)
{
	return target->ops->read(target, want, sink);
}

struct ms_err *ms_target_kread(struct ms_target *target, struct ms_kread *reqs, size_t nr)
{
	if (!target->ops->kread)
		return ms_err_new(MS_ERR_USAGE, "target '%s' holds no kernel memory to read", target->spec);
	return target->ops->kread(target, reqs, nr);
}

/* What this build can do and this target cannot: one sentence for all. */
static struct ms_err *target_lacks(const struct ms_target *target, const char *what)
{
	return ms_err_hint(ms_err_new(MS_ERR_USAGE, "target '%s' %s", target->spec, what),
			   "target sim does: -T sim");
}

struct ms_err *ms_target_events(struct ms_target *target, u64 kvm, size_t max, struct ms_event_log *ret)
{
	if (!target->ops->events)
		return target_lacks(target, "keeps no events");
	return target->ops->events(target, kvm, max, ret);
}

struct ms_err *ms_target_translate(struct ms_target *target, const struct ms_trace_req *req,
				   struct ms_trace *ret)
{
	if (!target->ops->translate)
		return target_lacks(target, "does not walk the tables of a guest");
	return target->ops->translate(target, req, ret);
}

struct ms_err *ms_target_frames(struct ms_target *target, u64 kvm, u32 as_id, struct ms_frame *frames,
				size_t nr)
{
	if (!target->ops->frames)
		return ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "target '%s' has no guest memory to read", target->spec),
			"targets live and sim have");
	return target->ops->frames(target, kvm, as_id, frames, nr);
}

/* FNV-1a over words. */
u64 ms_frame_digest(const u8 *bytes)
{
	u64 hash = 0xcbf29ce484222325ull, word;
	u32 i;

	for (i = 0; i < 4096; i += 8) {
		memcpy(&word, bytes + i, 8);
		hash = (hash ^ word) * 0x100000001b3ull;
		hash ^= hash >> 29;
	}
	return hash;
}

const struct ms_target_ops *const ms_target_list[] = {
#ifdef WITH_BPF
	&ms_target_live, &ms_target_exact, /* the first is the one that is taken without a word */
#endif
	&ms_target_snap, &ms_target_sim,   &ms_target_kmod, NULL,
};
