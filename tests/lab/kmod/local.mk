# SPDX-License-Identifier: GPL-2.0-or-later
# What the tests of the kernel module (tests/lab/9*.sh) make requests with.
if X86_64
check_PROGRAMS += tests/lab/kmod/ctl
tests_lab_kmod_ctl_SOURCES = tests/lab/kmod/ctl.c tests/lab/kmod/ctl_nmmu.c tests/lab/kmod/ctl_nmmu.h
tests_lab_kmod_ctl_LDFLAGS = $(AM_LDFLAGS) $(QUICK_START_LDFLAGS)
tests_lab_kmod_ctl_LDADD =
if WITH_BPF
check_PROGRAMS += tests/lab/kmod/exact tests/lab/kmod/fuzz
tests_lab_kmod_fuzz_SOURCES = tests/lab/kmod/fuzz.c
tests_lab_kmod_fuzz_LDADD = libmmuscope.a $(LIBBPF_LIBS) -lz -lpthread
tests_lab_kmod_exact_SOURCES = tests/lab/kmod/exact.c
tests_lab_kmod_exact_LDADD = libmmuscope.a $(LIBBPF_LIBS) $(LIBDW_LIBS) -lz
endif
check_PROGRAMS += tests/lab/kmod/limits
tests_lab_kmod_limits_SOURCES = tests/lab/kmod/limits.c
tests_lab_kmod_limits_LDFLAGS = $(AM_LDFLAGS) $(QUICK_START_LDFLAGS)
tests_lab_kmod_limits_LDADD =
check_PROGRAMS += tests/lab/kmod/wp
tests_lab_kmod_wp_SOURCES = tests/lab/kmod/wp.c
tests_lab_kmod_wp_LDFLAGS = $(AM_LDFLAGS) $(QUICK_START_LDFLAGS)
tests_lab_kmod_wp_LDADD =
endif
