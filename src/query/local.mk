# SPDX-License-Identifier: GPL-2.0-or-later
libmmuscope_a_SOURCES += \
	src/query/args.c \
	src/query/cmd_audit.c \
	src/query/cmd_diff.c \
	src/query/cmd_doctor.c \
	src/query/cmd_events.c \
	src/query/cmd_help.c \
	src/query/cmd_leaves.c \
	src/query/cmd_mmus.c \
	src/query/cmd_pins.c \
	src/query/cmd_rmap.c \
	src/query/cmd_run.c \
	src/query/cmd_save.c \
	src/query/cmd_sp.c \
	src/query/cmd_spte.c \
	src/query/cmd_sps.c \
	src/query/cmd_vms.c \
	src/query/cmd_walk.c \
	src/query/commands.def \
	src/query/diff.c \
	src/query/diff.def \
	src/query/diff.h \
	src/query/diff_entry.c \
	src/query/diff_members.c \
	src/query/event_row.c \
	src/query/events.h \
	src/query/filter.c \
	src/query/listen.c \
	src/query/options.def \
	src/query/private.h \
	src/query/query.h \
	src/query/redact.c \
	src/query/result.c \
	src/query/session.c \
	src/query/table.c \
	src/query/watch.c \
	src/query/why.c
