# SPDX-License-Identifier: GPL-2.0-or-later
libmmuscope_a_SOURCES += \
	src/render/json.c \
	src/render/private.h \
	src/render/render.c \
	src/render/render.h \
	src/render/text.c \
	src/render/trace.c \
	src/render/trace.h
