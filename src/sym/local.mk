# SPDX-License-Identifier: GPL-2.0-or-later
libmmuscope_a_SOURCES += \
	src/sym/addr.c \
	src/sym/kallsyms.c \
	src/sym/lines.c \
	src/sym/sym.h
