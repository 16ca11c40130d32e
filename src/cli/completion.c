/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The completion script for bash, made from the tables. */
#include "cli/cli.h"

#include <string.h>

#include "spte/profile.h"

static void put_options(FILE *out, u64 which, bool with_arg_only)
{
	bool first = true;
	unsigned int i;

	for (i = 0; i < MS_NR_OPTS; i++) {
		if (!(which & 1ull << i) || (with_arg_only && !ms_options[i].arg))
			continue;
		fprintf(out, "%s--%s", first ? "" : with_arg_only ? "|" : " ", ms_options[i].name);
		if (with_arg_only && ms_options[i].letter)
			fprintf(out, "|-%c", ms_options[i].letter);
		first = false;
	}
}

static void put_values(FILE *out, enum ms_opt_id opt)
{
	const char *found[64];
	char line[64];
	size_t nr, start, i;

	snprintf(line, sizeof(line), "--%s ", ms_options[opt].name);
	nr = ms_query_complete(line, found, 64, &start);
	if (!nr)
		return;
	fprintf(out, "\t--%s", ms_options[opt].name);
	if (ms_options[opt].letter)
		fprintf(out, "|-%c", ms_options[opt].letter);
	fputs(") COMPREPLY=($(compgen -W '", out);
	for (i = 0; i < nr; i++)
		fprintf(out, "%s%s", i ? " " : "", found[i]);
	fputs("' -- \"$cur\")); return ;;\n", out);
}

int cli_completion(const char *shell)
{
	FILE *out = stdout;
	unsigned int i;

	if (strcmp(shell, "bash"))
		return cli_fail(ms_err_hint(
			ms_err_new(MS_ERR_USAGE, "completion: '%s' is no shell it knows", shell), "bash"));
	fputs("# bash completion for mmuscope; made by `mmuscope completion bash'\n"
	      "_mmuscope()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd= i\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\tcase ${COMP_WORDS[i]} in\n\t\t",
	      out);
	put_options(out, ~0ull, true);
	fputs(") ((i++)) ;;\n\t\t-*) ;;\n\t\t*) cmd=${COMP_WORDS[i]}; break ;;\n\t\tesac\n\tdone\n"
	      "\tcase $prev in\n",
	      out);
	for (i = 0; i < MS_NR_OPTS; i++)
		if (ms_options[i].arg)
			put_values(out, (enum ms_opt_id)i);
	fputs("\tesac\n\tcase $cmd in\n", out);
	for (i = 0; i < MS_NR_CMDS; i++) {
		fprintf(out, "\t%s) COMPREPLY=($(compgen -W '", ms_commands[i].name);
		put_options(out, ms_commands[i].opts, false);
		fputs("' -- \"$cur\")) ;;\n", out);
	}
	fputs("\t'') COMPREPLY=($(compgen -W '", out);
	for (i = 0; i < MS_NR_CMDS; i++)
		fprintf(out, "%s ", ms_commands[i].name);
	put_options(out, ~0ull, false);
	fputs("' -- \"$cur\")) ;;\n\tesac\n}\ncomplete -o default -F _mmuscope mmuscope\n", out);
	if (fflush(out) || ferror(out))
		return cli_fail(ms_err_new(MS_ERR_TARGET, "completion: the output cannot be written"));
	return 0;
}
