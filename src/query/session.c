/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session: one target, what was read from it, and the running of commands on it. */
#include "query/private.h"

#include <stdlib.h>
#include <string.h>

void ms_session_drop(struct ms_session *session)
{
	ms_model_destroy(session->model);
	session->model = NULL;
	session->loaded = (struct ms_want){ 0 };
}

void ms_session_deinit(struct ms_session *session)
{
	ms_session_drop(session);
	query_unlisten(session);
	wp_state_destroy(session->wp);
	session->wp = NULL;
	ms_target_close(session->target);
	free(session->spec);
	session->target = NULL;
	session->spec = NULL;
}

struct ms_err *ms_session_open(struct ms_session *session, const struct ms_args *args)
{
	struct ms_target_opts opts = { .buffer_pages = args->buffer_pages, .types = args->types };
	const char *spec = args->target;
	char *copy = NULL;
	struct ms_err *err;

	if (session->target && (!spec || (session->spec && !strcmp(spec, session->spec))))
		return NULL;
	if (spec) {
		copy = strdup(spec);
		if (!copy)
			return ms_err_nomem();
	}
	ms_session_deinit(session);
	err = ms_target_open(spec, &opts, &session->target);
	if (err) {
		session->target = NULL;
		free(copy);
		/* Nobody asked for this one: there is another. */
		if (!spec && ms_err_hint_text(err))
			err = ms_err_hint(err, "%s; -T sim looks at a simulated VM", ms_err_hint_text(err));
		return err;
	}
	session->spec = copy;
	return NULL;
}

static bool is_loaded(const struct ms_session *session, u32 what, u64 kvm)
{
	return session->model && (session->loaded.what & what) == what &&
	       (!session->loaded.kvm || session->loaded.kvm == kvm);
}

static struct ms_err *load(struct ms_session *session, u32 what, u64 kvm)
{
	struct ms_want want = {
		.what = what, .kvm = kvm, .progress = session->progress, .progress_ctx = session->progress_ctx
	};
	struct ms_model *model;
	struct ms_err *err;

	err = ms_model_load(session->target, &want, &model);
	if (err)
		return err;
	ms_session_drop(session);
	session->model = model;
	session->loaded = want;
	return NULL;
}

/* What a live VM holds is read for that VM only; a file is read once and whole. */
struct ms_err *ms_session_load(struct ms_session *session, u32 what, const char *vm_words,
			       const struct ms_model **model_ret, const struct ms_vm **vm_ret)
{
	bool live = session->target->caps & MS_CAP_LIVE;
	struct ms_vm *vm = NULL;
	struct ms_err *err;
	u64 kvm;

	if (live && !session->hold)
		ms_session_drop(session);
	if (!session->model || !(vm_ret || session->hold || is_loaded(session, what, 0))) {
		/* With vCPUs come the files, and with them every pid that a VM can be named by. */
		err = load(session, live && vm_ret ? MS_WANT_VCPUS : what, 0);
		if (err)
			return err;
	}
	if (vm_ret) {
		err = ms_model_find_vm(session->model, vm_words, &vm);
		if (err)
			return err;
		kvm = vm->rec.kvm;
		if (!is_loaded(session, what, kvm)) {
			err = load(session, what, live ? kvm : 0);
			if (err)
				return err;
			for (vm = session->model->vms; vm < session->model->vms + session->model->nr_vms;
			     vm++)
				if (vm->rec.kvm == kvm)
					break;
			if (vm == session->model->vms + session->model->nr_vms)
				return ms_err_hint(
					ms_err_new(MS_ERR_TARGET, "the VM ended while it was read"),
					"`mmuscope vms' lists those that are there");
		}
		*vm_ret = vm;
	}
	*model_ret = session->model;
	return NULL;
}

/* --- provenance --- */

static const struct ms_column prov_cols[] = {
	{ "target", "target", MS_V_TEXT },
	{ "live", "live", MS_V_BOOL, .flags = MS_COL_SKIP },
	{ "time", "time", MS_V_TEXT },
	{ "kernel", "kernel", MS_V_TEXT },
	{ "hypervisor", "hypervisor", MS_V_TEXT },
	{ "tdp", "two-dimensional paging", MS_V_BOOL },
	{ "tdp_mmu", "TDP MMU", MS_V_BOOL },
	{ "nx_huge_pages", "nx_huge_pages", MS_V_INT },
	{ "phys_bits", "physical address bits", MS_V_COUNT },
	{ "profile", "SPTE profile", MS_V_TEXT },
	{ "profile_by", "chosen", MS_V_TEXT },
	{ "roles_by", "role bits", MS_V_TEXT },
	{ "vm_pid", "VM's pid", MS_V_INT, MS_SECRET_PID },
	{ "vm_name", "VM's process", MS_V_TEXT, MS_SECRET_NAME },
	{ "vm_kvm", "VM", MS_V_HEX, MS_SECRET_KVM },
	{ "walk", "walk", MS_V_WORDS },
	{ "pages", "pages", MS_V_COUNT },
	{ "confirmed", "confirmed", MS_V_COUNT },
	{ "torn", "torn", MS_V_COUNT },
	{ "unlinked", "unlinked", MS_V_COUNT },
	{ "unreadable", "unreadable", MS_V_COUNT },
};

static void prov_row(const struct ms_section *section, size_t row, struct ms_cell *cells)
{
	const struct ms_provenance *prov = section->ctx;
	const struct ms_rec_host *host = prov->host;
	const struct ms_vm *vm = prov->vm;
	struct ms_cell *words;

	(void)row;
	cell_text(&cells, prov->target);
	cell_bool(&cells, prov->live);
	cell_time(&cells, prov->time_ns);
	cell_text(&cells, *host->release ? host->release : NULL);
	cell_text(&cells, hv_name(host->hv));
	cell_opt(&cells, host->have & MS_HOST_HAVE_TDP_ENABLED, MS_V_BOOL, host->tdp_enabled);
	cell_opt(&cells, host->have & MS_HOST_HAVE_TDP_MMU, MS_V_BOOL, host->tdp_mmu_enabled);
	cell_opt(&cells, host->have & MS_HOST_HAVE_NX_HUGE, MS_V_INT, (u64)(s64)host->nx_huge_pages);
	cell_opt(&cells, host->have & MS_HOST_HAVE_PHYS_BITS, MS_V_COUNT, host->phys_bits);
	cell_text(&cells, prov->profile);
	cell_text(&cells, prov->profile_note);
	cell_text(&cells, *section->model->roles_note ? section->model->roles_note : "the host's own");
	cell_opt(&cells, vm && vm->rec.have & MS_VM_HAVE_OWNER, MS_V_INT, vm ? (u64)(s64)vm->rec.pid : 0);
	if (vm && vm->rec.have & MS_VM_HAVE_OWNER)
		cell_textn(&cells, vm->rec.comm, strnlen(vm->rec.comm, sizeof(vm->rec.comm)));
	else
		cell_none(&cells);
	cell_opt(&cells, vm, MS_V_HEX, vm ? vm->rec.kvm : 0);
	words = prov->walked ? cell_words(&cells) : cell_none(&cells);
	if (prov->walk_flags & MS_WALK_LEGACY)
		word_add(words, "legacy");
	if (prov->walk_flags & MS_WALK_TDP)
		word_add(words, "tdp");
	if (prov->walk_flags & MS_WALK_BROKEN)
		word_add(words, "broken");
	if (prov->walk_flags & MS_WALK_VM_GONE)
		word_add(words, "vm-gone");
	if (prov->walk_flags & MS_WALK_CHANGED)
		word_add(words, "changed");
	if (prov->walked && vm && vm->exact.kvm)
		word_add(words, "exact");
	if (prov->walked && vm && vm->exact.flags & MS_EXACT_ONE_MOMENT)
		word_add(words, "one-moment");
	cell_opt(&cells, prov->walked, MS_V_COUNT, prov->nr_pages);
	cell_opt(&cells, prov->walked, MS_V_COUNT, prov->nr_confirmed);
	cell_opt(&cells, prov->walked, MS_V_COUNT, prov->nr_torn);
	cell_opt(&cells, prov->walked, MS_V_COUNT, prov->nr_unlinked);
	cell_opt(&cells, prov->walked, MS_V_COUNT, prov->nr_unreadable);
}

static void prov_count_pages(struct ms_provenance *prov, const struct ms_vm *vm)
{
	u64 *const by_state[] = {
		[MS_SP_CONFIRMED] = &prov->nr_confirmed,
		[MS_SP_TORN] = &prov->nr_torn,
		[MS_SP_UNLINKED] = &prov->nr_unlinked,
		[MS_SP_UNREADABLE] = &prov->nr_unreadable,
	};
	size_t i;

	prov->walked = true;
	prov->walk_flags = vm->walks[0].flags | vm->walks[1].flags;
	prov->nr_pages = vm->nr_sps;
	for (i = 0; i < vm->nr_sps; i++)
		++*by_state[vm->sps[i].rec.state];
}

static struct ms_err *note_exact(struct ms_result *result, const struct ms_rec_exact *exact)
{
	return note_add(result, "exact: mmu_lock was held %u times, for %llu us at the longest; %s",
			exact->holds, (unsigned long long)(exact->longest_ns + 999) / 1000,
			exact->flags & MS_EXACT_ONE_MOMENT
				? "all of it was so at one moment"
				: "each page and list is of one moment, not of the same");
}

static struct ms_err *prov_notes(struct ms_result *result, const struct ms_model *model,
				 const char *target_note)
{
	const struct ms_provenance *prov = &result->prov;
	struct ms_err *err = NULL;

	if (*target_note)
		err = note_add(result, "%s", target_note);
	if (!err && *model->roles_note)
		err = note_add(result, "roles: %s", model->roles_note);
	if (!err && strstr(model->profile_note, "doubt"))
		err = note_add(result, "SPTEs: %s", model->profile_note);
	/* Half an answer is a finding: a script must not take it for a whole one. */
	if (prov->walk_flags & (MS_WALK_VM_GONE | MS_WALK_BROKEN))
		result->status = 1;
	if (!err && prov->walk_flags & MS_WALK_VM_GONE)
		err = note_add(result, "the VM was gone when the walk ended: what follows is not complete");
	if (!err && prov->walk_flags & MS_WALK_BROKEN)
		err = note_add(result, "the walk of the page list did not close: pages may be missing");
	if (!err && prov->walk_flags & MS_WALK_CHANGED)
		err = note_add(result, "pages came or went while they were read: some may be missing");
	if (!err && prov->walked && prov->vm && prov->vm->exact.kvm)
		err = note_exact(result, &prov->vm->exact);
	if (!err && prov->nr_torn)
		err = note_add(result,
			       "torn: %llu pages changed while they were copied, their entries may be of two "
			       "moments",
			       (unsigned long long)prov->nr_torn);
	if (!err && prov->nr_unlinked)
		err = note_add(result,
			       "unlinked: %llu pages were no longer this VM's when they had been copied",
			       (unsigned long long)prov->nr_unlinked);
	if (!err && prov->nr_unreadable)
		err = note_add(result, "unreadable: %llu pages could not be read in full",
			       (unsigned long long)prov->nr_unreadable);
	return err;
}

static struct ms_err *prov_fill(struct query *q)
{
	struct ms_provenance *prov = &q->result->prov;
	const struct ms_model *model = q->model;

	prov->present = true;
	if (q->args->redact)
		snprintf(prov->target, sizeof(prov->target), "%s", q->session->target->ops->name);
	else
		snprintf(prov->target, sizeof(prov->target), "%s", model->target);
	prov->live = model->caps & MS_CAP_LIVE;
	prov->time_ns = model->host.time_ns;
	prov->host = &model->host;
	prov->profile = model->profile.name;
	prov->profile_note = model->profile_note;
	prov->vm = q->vm;
	if (q->vm && query_want(q->args) & MS_WANT_SPS)
		prov_count_pages(prov, q->vm);
	q->result->prov_section = (struct ms_section){
		.key = "provenance",
		.title = "Provenance",
		.cols = prov_cols,
		.nr_cols = MS_LEN(prov_cols),
		.nr_rows = 1,
		.row = prov_row,
		.model = model,
		.vm = q->vm,
		.ctx = prov,
	};
	return prov_notes(q->result, model, q->session->target->note);
}

/* --- running --- */

/* Those that only the command line can carry out are refused before they get here. */
#define query_run_prompt NULL
#define query_run_completion NULL
static const query_run_fn runs[MS_NR_CMDS] = {
#define MS_COMMAND(id, args, min, max, want, flags, opts, summary, detail) [MS_CMD_ID_##id] = query_run_##id,
#include "query/commands.def"
#undef MS_COMMAND
};
#undef query_run_prompt
#undef query_run_completion

u32 query_want(const struct ms_args *args)
{
	return args->command == &ms_commands[MS_CMD_ID_audit] ? query_audit_want(args) : args->command->want;
}

/* A watch does not go over to another VM when its own is gone. */
static const char *vm_words(const struct query *q)
{
	return q->session->watch && *q->session->watch->vm ? q->session->watch->vm : q->args->vm;
}

static struct ms_err *prepare(struct query *q)
{
	const struct ms_command *command = q->args->command;
	struct ms_err *err;

	if (!(command->flags & MS_CMD_TARGET) || (command->flags & MS_CMD_LIST && q->args->list))
		return NULL;
	err = ms_session_open(q->session, q->args);
	if (!err)
		err = ms_session_load(q->session, query_want(q->args), vm_words(q), &q->model,
				      command->flags & MS_CMD_VM ? &q->vm : NULL);
	/* The candidates that a hint lists are names and pids. */
	if (err && q->args->redact && ms_err_kind(err) == MS_ERR_USAGE)
		err = ms_err_hint(err, "what there is to choose from is not shown with --redact");
	if (!err)
		err = prov_fill(q);
	return err;
}

static struct ms_err *redactor_take(struct query *q)
{
	struct ms_redactor **kept = q->session->watch	 ? &q->session->watch->redactor
				    : q->session->stream ? stream_redactor(q->session->stream)
							 : NULL;

	if (kept && !*kept)
		*kept = redactor_create();
	q->result->redactor = kept ? *kept : redactor_create();
	q->result->redactor_lent = kept;
	if (!q->result->redactor)
		return ms_err_nomem();
	redactor_model(q->result->redactor, q->model);
	return NULL;
}

static struct ms_err *run_command(struct query *q, struct ms_result **ret)
{
	const struct ms_args *args = q->args;
	struct ms_err *err;

	q->result = calloc(1, sizeof(*q->result));
	if (!q->result)
		return ms_err_nomem();
	q->result->command = args->command->name;
	err = prepare(q);
	if (!err && args->redact) {
		err = redactor_take(q);
	}
	if (!err)
		err = runs[args->command - ms_commands](q);
	if (err) {
		ms_result_destroy(q->result);
		return err;
	}
	*ret = q->result;
	return NULL;
}

struct ms_err *ms_query_run(struct ms_session *session, const struct ms_args *args, struct ms_result **ret)
{
	struct query q = { .session = session, .args = args };
	struct ms_args about;

	/* With --help or --version the other words were not checked: they only say what help is about. */
	if (args->given & (1ull << MS_OPT_HELP | 1ull << MS_OPT_VERSION)) {
		about = (struct ms_args){ .redact = args->redact,
					  .json = args->json,
					  .pretty = args->pretty };
		about.command = ms_command_find(args->given & 1ull << MS_OPT_HELP ? "help" : "version");
		if (args->given & 1ull << MS_OPT_HELP && args->command) {
			about.args[0] = args->command->name;
			about.nr_args = 1;
		}
		q.args = &about;
		return run_command(&q, ret);
	}
	if (!args->command)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "no command"), "see `help'");
	if (args->command->flags & MS_CMD_CLI)
		return ms_err_hint(ms_err_new(MS_ERR_USAGE, "%s: not possible here", args->command->name),
				   "start it from a shell");
	return run_command(&q, ret);
}
