# SPDX-License-Identifier: GPL-2.0-or-later
# The nested MMU; portable C, also compiled into the kernel module.
libmmuscope_a_SOURCES += \
	src/abi/causes.def \
	src/abi/event.h \
	src/abi/events.def \
	src/nmmu/bugs.def \
	src/nmmu/emulate.c \
	src/nmmu/gfmt.c \
	src/nmmu/mutants.def \
	src/nmmu/nested.c \
	src/nmmu/nmmu.h \
	src/nmmu/points.def \
	src/nmmu/port.h \
	src/nmmu/private.h \
	src/nmmu/role.c \
	src/nmmu/translate.c \
	src/nmmu/types.h \
	src/nmmu/walk.c
