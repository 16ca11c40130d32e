# SPDX-License-Identifier: GPL-2.0-or-later
libmmuscope_a_SOURCES += \
	src/layout/apart.c \
	src/layout/build.c \
	src/layout/dwarf.c \
	src/layout/fields.def \
	src/layout/find.c \
	src/layout/layout.c src/layout/layout.h \
	src/layout/private.h \
	src/layout/running.c
if WITH_BPF
libmmuscope_a_SOURCES += src/layout/btf.c
endif
