/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ui/listen.h"
#include "ui_rig.h"

struct rig *rig_create(unsigned int nr_vms, unsigned int nr_extra, rig_command_fn *command, bool listens)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	ui_machine_init(&rig->machine, nr_vms);
	rig->machine.nr_extra = nr_extra;
	rig->machine.events = rig->events;
	rig->listens = listens;
	rig->opts.charset = MS_UI_CHARSET_UTF8;
	rig->opts.command = command;
	rig->opts.command_ctx = rig;
	assert_null(ms_ui_create(&rig->machine.target, &rig->opts, NULL, NULL, &rig->ui));
	assert_null(ms_grid_resize(&rig->grid, 80, 24));
	look(rig);
	return rig;
}

void rig_end(struct rig *rig)
{
	ms_ui_destroy(rig->ui);
	assert_null(rig->machine.listener);
	ms_grid_deinit(&rig->grid);
	free(rig);
}

void look(struct rig *rig)
{
	struct ms_buf buf = { 0 };

	if (rig->listens) {
		ms_ui_listen_sync(rig->ui);
		ms_ui_listen_poll(rig->ui);
	}
	ms_ui_draw(rig->ui, &rig->grid);
	ms_grid_text(&rig->grid, &buf);
	snprintf(rig->text, sizeof(rig->text), "%s", ms_buf_str(&buf));
	ms_buf_deinit(&buf);
}

void type(struct rig *rig, const char *keys)
{
	for (; *keys; keys++) {
		ms_ui_key(rig->ui, (u32)*keys);
		look(rig);
	}
}

void sees(struct rig *rig, const char *text)
{
	if (!strstr(rig->text, text))
		fail_msg("'%s' is not on the screen:\n%s", text, rig->text);
}

void misses(struct rig *rig, const char *text)
{
	if (strstr(rig->text, text))
		fail_msg("'%s' is on the screen:\n%s", text, rig->text);
}
