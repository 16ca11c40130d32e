# SPDX-License-Identifier: GPL-2.0-or-later
libmmuscope_a_SOURCES += \
	src/model/decode.c \
	src/model/frame.c \
	src/model/gpte.c src/model/gpte.h \
	src/model/model.c \
	src/model/model.h \
	src/model/private.h \
	src/model/rmap.c \
	src/model/walk.c
