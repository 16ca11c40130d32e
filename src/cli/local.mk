# SPDX-License-Identifier: GPL-2.0-or-later
bin_PROGRAMS += mmuscope
mmuscope_CFLAGS = $(AM_CFLAGS)
mmuscope_CPPFLAGS = $(AM_CPPFLAGS)
mmuscope_LDADD = libmmuscope.a $(LIBBPF_LIBS) $(LIBDW_LIBS) $(NCURSES_LIBS) $(READLINE_LIBS) -lz
mmuscope_SOURCES = \
	src/cli/cli.h \
	src/cli/completion.c \
	src/cli/main.c \
	src/cli/out.c \
	src/cli/pipe.c \
	src/cli/prompt.c \
	src/cli/stop.c \
	src/cli/stream.c \
	src/cli/tui.c \
	src/cli/watch.c
