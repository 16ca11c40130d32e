# SPDX-License-Identifier: GPL-2.0-or-later
# Machines in process, and the text format that drives them.
libmmuscope_a_SOURCES += \
	src/scenario/act.c \
	src/scenario/act_host.c \
	src/scenario/act_tables.c \
	src/scenario/check.c \
	src/scenario/engine.c \
	src/scenario/events.c \
	src/scenario/expect.c \
	src/scenario/expect_mmu.c \
	src/scenario/expr.c \
	src/scenario/hostmem.c \
	src/scenario/hostmem.h \
	src/scenario/interleave.c \
	src/scenario/keys.def \
	src/scenario/lang.h \
	src/scenario/lex.c \
	src/scenario/machine.c \
	src/scenario/machine.h \
	src/scenario/machine_private.h \
	src/scenario/mirror.c \
	src/scenario/names.c \
	src/scenario/parse.c \
	src/scenario/parse.h \
	src/scenario/parse_args.c \
	src/scenario/pinhost.c \
	src/scenario/pinhost.h \
	src/scenario/pins.c \
	src/scenario/play.c \
	src/scenario/play.h \
	src/scenario/scenario.h \
	src/scenario/remote.c \
	src/scenario/sched.c \
	src/scenario/sched.h \
	src/scenario/tables.c \
	src/scenario/verbs.def \
	src/scenario/words.c \
	src/scenario/workload.c \
	src/scenario/workload.h \
	src/scenario/workload_check.c \
	src/scenario/workload_l1.c \
	src/scenario/workload_l2.c \
	src/scenario/workload_private.h \
	src/scenario/workload_t12.c \
	src/scenario/written.c
