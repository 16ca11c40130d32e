/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interface on the machine of ui_machine.h, for tests that type keys and look at a screen of 80x24. */
#ifndef TESTS_UI_RIG_H
#define TESTS_UI_RIG_H

#include "ui/core.h"
#include "ui_machine.h"

#define RIG_EVENTS 10000u

struct rig {
	struct ui_machine machine;
	struct ms_ui_opts opts;
	struct ms_grid grid;
	struct ms_ui *ui;
	bool listens; /* each look is preceded by what the interface's loop does about its listener */
	u32 runs; /* the test's own, as nr is */
	size_t nr;
	struct ms_event events[RIG_EVENTS]; /* the machine's */
	char text[1 << 16]; /* as it was looked at last */
};

typedef struct ms_err *rig_command_fn(void *ctx, struct ms_target *target, const struct ms_ui_command *cmd,
				      struct ms_buf *out);

/* command's ctx is the rig; NULL: there is no `:'. */
struct rig *rig_create(unsigned int nr_vms, unsigned int nr_extra, rig_command_fn *command, bool listens);
/* Nobody may listen any more. */
void rig_end(struct rig *rig);
void look(struct rig *rig);
/* A look after each key. */
void type(struct rig *rig, const char *keys);
void sees(struct rig *rig, const char *text);
void misses(struct rig *rig, const char *text);

#endif
