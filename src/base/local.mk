# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libmmuscope.a
libmmuscope_a_CFLAGS = $(AM_CFLAGS)
libmmuscope_a_CPPFLAGS = $(AM_CPPFLAGS)
libmmuscope_a_SOURCES = \
	src/base/buf.c src/base/buf.h \
	src/base/err.c src/base/err.h \
	src/base/guard.h \
	src/base/map.c src/base/map.h
