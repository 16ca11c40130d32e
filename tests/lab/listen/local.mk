# SPDX-License-Identifier: GPL-2.0-or-later
# What tests/lab/80-events.sh and 81-causes.sh listen with: the ops of target live, without a command around them.
if WITH_BPF
check_PROGRAMS += tests/lab/listen/listen
tests_lab_listen_listen_SOURCES = tests/lab/listen/listen.c
tests_lab_listen_listen_LDADD = libmmuscope.a $(LIBBPF_LIBS) $(LIBDW_LIBS) -lz
endif
