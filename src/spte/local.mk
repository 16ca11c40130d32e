# SPDX-License-Identifier: GPL-2.0-or-later
# SPTE and role facts; portable C, also compiled into the kernel module.
libmmuscope_a_SOURCES += \
	src/spte/bits.def \
	src/spte/checks.def \
	src/spte/explain.c \
	src/abi/masks.def \
	src/spte/profile.c \
	src/spte/profile.h \
	src/spte/role.c \
	src/spte/role.def \
	src/spte/role.h \
	src/spte/spte.c \
	src/spte/spte.h \
	src/spte/str.h
