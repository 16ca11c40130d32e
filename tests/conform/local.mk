# SPDX-License-Identifier: GPL-2.0-or-later
# The engine against traces and snapshots of the real KVM (tests/lab/60-conform.sh). Nothing is installed.
check_PROGRAMS += tests/conform/replay
tests_conform_replay_SOURCES = \
	tests/conform/compare.c \
	tests/conform/host.c \
	tests/conform/host.h \
	tests/conform/replay.c \
	tests/conform/replay.h \
	tests/conform/spoil.c \
	tests/conform/spoil.h \
	tests/conform/trace.c \
	tests/conform/trace.h
tests_conform_replay_LDADD = libmmuscope.a $(LIBBPF_LIBS) $(LIBDW_LIBS) -lz

EXTRA_DIST += tests/conform/take.sh tests/conform/trace.md tests/lab/60-conform.sh
