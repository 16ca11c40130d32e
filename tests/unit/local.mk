# SPDX-License-Identifier: GPL-2.0-or-later
# One program a file, test_*.c, speaking TAP through cmocka.
unit_tests = \
	tests/unit/test_base \
	tests/unit/test_walk

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
unit_ldadd = libmmuscope.a $(CMOCKA_LIBS) $(LIBBPF_LIBS) -lz

tests_unit_test_base_SOURCES = tests/unit/test_base.c
tests_unit_test_base_LDADD = $(unit_ldadd)

tests_unit_test_walk_SOURCES = tests/unit/test_walk.c tests/unit/fakemem.c tests/unit/fakemem.h
tests_unit_test_walk_LDADD = $(unit_ldadd)
