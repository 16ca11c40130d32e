# SPDX-License-Identifier: GPL-2.0-or-later
# The hardware model.
libmmuscope_a_SOURCES += \
	src/hw/cpu.c \
	src/hw/hw.h \
	src/hw/private.h \
	src/hw/second.c \
	src/hw/x86.c
