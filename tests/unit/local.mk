# SPDX-License-Identifier: GPL-2.0-or-later
# One program a file, test_*.c, speaking TAP through cmocka. A test of one file needs one line here, no more.
unit_tests = \
	tests/unit/test_base \
	tests/unit/test_read \
	tests/unit/test_role \
	tests/unit/test_spte \
	tests/unit/test_spte_exhaustive \
	tests/unit/test_spte_profile \
	tests/unit/test_sym \
	tests/unit/test_walk

if WITH_BPF
unit_tests += tests/unit/test_layout
endif

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
LDADD = libmmuscope.a $(CMOCKA_LIBS) $(LIBBPF_LIBS) -lz

tests_unit_test_read_SOURCES = tests/unit/test_read.c tests/unit/fakemem.c tests/unit/fakemem.h
tests_unit_test_walk_SOURCES = tests/unit/test_walk.c tests/unit/fakemem.c tests/unit/fakemem.h
