# SPDX-License-Identifier: GPL-2.0-or-later
# Machines in process, and the text format that drives them.
libmmuscope_a_SOURCES += \
	src/scenario/hostmem.c \
	src/scenario/hostmem.h \
	src/scenario/machine.c \
	src/scenario/machine.h \
	src/scenario/sched.c \
	src/scenario/sched.h \
	src/scenario/tables.c \
	src/scenario/workload.c \
	src/scenario/workload.h \
	src/scenario/workload_l1.c \
	src/scenario/workload_l2.c \
	src/scenario/workload_private.h \
	src/scenario/workload_t12.c
