# SPDX-License-Identifier: GPL-2.0-or-later
# What scripts/bench measures with, inside the lab. It reads the live kernel, so that it needs the BPF programs.
if WITH_BPF
check_PROGRAMS += tests/lab/bench/bench
tests_lab_bench_bench_SOURCES = tests/lab/bench/bench.c
tests_lab_bench_bench_LDADD = libmmuscope.a $(LIBBPF_LIBS) $(LIBDW_LIBS) -lz
endif
