# SPDX-License-Identifier: GPL-2.0-or-later
# The layout table from BTF against that from DWARF (tests/scripts/dwarf.sh). Nothing is installed.
if WITH_BPF
if WITH_LIBDW
check_PROGRAMS += tests/layout/compare
tests_layout_compare_SOURCES = tests/layout/compare.c
tests_layout_compare_LDADD = libmmuscope.a $(LIBBPF_LIBS) $(LIBDW_LIBS) -lz
endif
endif
