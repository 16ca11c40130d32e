# SPDX-License-Identifier: GPL-2.0-or-later
libmmuscope_a_SOURCES += \
	src/audit/again.c \
	src/audit/audit.c src/audit/audit.h \
	src/audit/changed.c \
	src/audit/entry.c \
	src/audit/events.c \
	src/audit/guest.c \
	src/audit/invariants.def \
	src/audit/logs.c \
	src/audit/needs.def \
	src/audit/page.c \
	src/audit/pins.c \
	src/audit/private.h \
	src/audit/rmap.c
