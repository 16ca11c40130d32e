# SPDX-License-Identifier: GPL-2.0-or-later
# What scripts/bench measures the engine with; runs anywhere.
check_PROGRAMS += tests/bench/nmmu
tests_bench_nmmu_SOURCES = tests/bench/nmmu.c
tests_bench_nmmu_LDADD = libmmuscope.a -lz
