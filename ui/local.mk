# SPDX-License-Identifier: GPL-2.0-or-later
# The state machine and the views need no terminal; only term.c and run.c do.
libmmuscope_a_SOURCES += \
	ui/core.c ui/core.h \
	ui/flip.c ui/flip.h \
	ui/grid.c ui/grid.h \
	ui/keymap.c ui/keymap.def ui/keymap.h \
	ui/list.c ui/list.h \
	ui/listen.c ui/listen.h \
	ui/load.c \
	ui/look.def \
	ui/rates.c ui/rates.h \
	ui/request.def \
	ui/tree.c ui/tree.h \
	ui/ui.h \
	ui/view_audit.c \
	ui/view_dirty.c \
	ui/view_entry.c \
	ui/view_events.c \
	ui/view_help.c \
	ui/view_pager.c \
	ui/view_sp.c ui/view_sp.h \
	ui/view_tree.c \
	ui/view_vms.c
libmmuscope_a_CPPFLAGS += $(NCURSES_CFLAGS)
if WITH_TUI
libmmuscope_a_SOURCES += ui/run.c ui/term.c ui/term.h
endif
