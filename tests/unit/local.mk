# SPDX-License-Identifier: GPL-2.0-or-later
# One program a file, test_*.c, speaking TAP through cmocka.
unit_tests = \
	tests/unit/test_base \
	tests/unit/test_ui_core \
	tests/unit/test_ui_frames \
	tests/unit/test_ui_grid \
	tests/unit/test_ui_keymap

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
unit_ldadd = libmmuscope.a $(CMOCKA_LIBS) $(LIBBPF_LIBS) -lz

tests_unit_test_base_SOURCES = tests/unit/test_base.c
tests_unit_test_base_LDADD = $(unit_ldadd)

ui_machine = tests/unit/ui_machine.c tests/unit/ui_machine.h
tests_unit_test_ui_core_SOURCES = tests/unit/test_ui_core.c $(ui_machine)
tests_unit_test_ui_core_LDADD = $(unit_ldadd)
tests_unit_test_ui_frames_SOURCES = tests/unit/test_ui_frames.c $(ui_machine)
tests_unit_test_ui_frames_LDADD = $(unit_ldadd)
tests_unit_test_ui_grid_SOURCES = tests/unit/test_ui_grid.c
tests_unit_test_ui_grid_LDADD = $(unit_ldadd)
tests_unit_test_ui_keymap_SOURCES = tests/unit/test_ui_keymap.c
tests_unit_test_ui_keymap_LDADD = $(unit_ldadd)
EXTRA_DIST += \
	tests/golden/help-80x24.txt \
	tests/golden/prompt-80x24.txt \
	tests/golden/sp-map-40x10.txt \
	tests/golden/sp-mmio-80x24.txt \
	tests/golden/sp-shadow-120x40.txt \
	tests/golden/sp-tdp-80x24-ascii.txt \
	tests/golden/sp-tdp-80x24.txt \
	tests/golden/sp-torn-entry-44x12.txt \
	tests/golden/sp-unknown-80x24.txt \
	tests/golden/too-small-39x10.txt \
	tests/golden/tree-120x40.txt \
	tests/golden/tree-40x10.txt \
	tests/golden/tree-80x24-ascii.txt \
	tests/golden/tree-80x24.txt \
	tests/golden/tree-unreached.txt \
	tests/golden/vms-120x40-ascii.txt \
	tests/golden/vms-40x10.txt \
	tests/golden/vms-80x24.txt \
	tests/golden/vms-none.txt
