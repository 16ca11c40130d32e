# SPDX-License-Identifier: GPL-2.0-or-later
# One program a file, test_*.c, speaking TAP through cmocka. A test of one file needs one line here, no more.
unit_tests = \
	tests/unit/test_audit \
	tests/unit/test_audit_cmd \
	tests/unit/test_audit_sim \
	tests/unit/test_base \
	tests/unit/test_diff \
	tests/unit/test_dirty \
	tests/unit/test_dirty_check \
	tests/unit/test_doctor \
	tests/unit/test_exit_words \
	tests/unit/test_expect \
	tests/unit/test_explore \
	tests/unit/test_fake \
	tests/unit/test_hostmem \
	tests/unit/test_hw \
	tests/unit/test_listen \
	tests/unit/test_machine \
	tests/unit/test_model \
	tests/unit/test_mutants \
	tests/unit/test_nmmu_check \
	tests/unit/test_nmmu_dirty \
	tests/unit/test_nmmu_events \
	tests/unit/test_nmmu_fault \
	tests/unit/test_nmmu_gfmt \
	tests/unit/test_nmmu_hostile \
	tests/unit/test_nmmu_hostside \
	tests/unit/test_nmmu_inject \
	tests/unit/test_nmmu_life \
	tests/unit/test_nmmu_paths \
	tests/unit/test_nmmu_pins \
	tests/unit/test_nmmu_pml \
	tests/unit/test_nmmu_races \
	tests/unit/test_nmmu_random \
	tests/unit/test_nmmu_rmap \
	tests/unit/test_nmmu_role \
	tests/unit/test_nmmu_root \
	tests/unit/test_nmmu_slot \
	tests/unit/test_nmmu_sp \
	tests/unit/test_nmmu_spte \
	tests/unit/test_nmmu_stale \
	tests/unit/test_nmmu_threads \
	tests/unit/test_nmmu_unsync \
	tests/unit/test_nmmu_vcpu \
	tests/unit/test_nmmu_walk \
	tests/unit/test_nmmu_walk_random \
	tests/unit/test_nmmu_who \
	tests/unit/test_ops \
	tests/unit/test_probes \
	tests/unit/test_query \
	tests/unit/test_random_mutants \
	tests/unit/test_read \
	tests/unit/test_remote \
	tests/unit/test_render \
	tests/unit/test_role \
	tests/unit/test_scenario \
	tests/unit/test_rounds \
	tests/unit/test_sched \
	tests/unit/test_sim \
	tests/unit/test_snap \
	tests/unit/test_snap_guest \
	tests/unit/test_spte \
	tests/unit/test_spte_exhaustive \
	tests/unit/test_spte_profile \
	tests/unit/test_stuck \
	tests/unit/test_stuck_bits \
	tests/unit/test_stuck_figures \
	tests/unit/test_stuck_lost \
	tests/unit/test_stream \
	tests/unit/test_sym \
	tests/unit/test_trace \
	tests/unit/test_ui_core \
	tests/unit/test_ui_dirty \
	tests/unit/test_ui_events \
	tests/unit/test_ui_frames \
	tests/unit/test_ui_grid \
	tests/unit/test_ui_keymap \
	tests/unit/test_walk \
	tests/unit/test_walk_guest \
	tests/unit/test_walk_links \
	tests/unit/test_walk_rmap \
	tests/unit/test_watch \
	tests/unit/test_why \
	tests/unit/test_workload \
	tests/unit/test_wp_insn

if WITH_BPF
unit_tests += tests/unit/test_layout
endif
if WITH_LIBDW
unit_tests += tests/unit/test_dwarf tests/unit/test_types
endif

if HAVE_CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
LDADD = libmmuscope.a $(CMOCKA_LIBS) $(LIBBPF_LIBS) $(LIBDW_LIBS) -lz

# A host for the engine made up.
nmmuhost_sources = tests/unit/nmmuhost.c tests/unit/nmmuhost.h
tests_unit_test_nmmu_dirty_SOURCES = tests/unit/test_nmmu_dirty.c $(nmmuhost_sources)
tests_unit_test_nmmu_hostside_SOURCES = tests/unit/test_nmmu_hostside.c $(nmmuhost_sources)
tests_unit_test_nmmu_pml_SOURCES = tests/unit/test_nmmu_pml.c $(nmmuhost_sources)
tests_unit_test_nmmu_slot_SOURCES = tests/unit/test_nmmu_slot.c $(nmmuhost_sources)
tests_unit_test_nmmu_threads_LDADD = $(LDADD) -lpthread

# What a shell and a compiler make; for BTF the compiler of the live target's programs.
tests_unit_test_dwarf_SOURCES = tests/unit/test_dwarf.c tests/unit/shelldir.c tests/unit/shelldir.h
tests_unit_test_dwarf_CPPFLAGS = $(AM_CPPFLAGS) -DBPF_CLANG='"$(BPF_CLANG)"'
tests_unit_test_types_SOURCES = tests/unit/test_types.c tests/unit/shelldir.c tests/unit/shelldir.h
tests_unit_test_types_CPPFLAGS = $(tests_unit_test_dwarf_CPPFLAGS)

# It looks itself up.
tests_unit_test_sym_CFLAGS = $(AM_CFLAGS) -g

# A kernel's memory made up, for the walkers.
memory_sources = tests/unit/fakemem.c tests/unit/fakemem.h
tests_unit_test_read_SOURCES = tests/unit/test_read.c $(memory_sources)
tests_unit_test_walk_SOURCES = tests/unit/test_walk.c $(memory_sources)
tests_unit_test_walk_guest_SOURCES = tests/unit/test_walk_guest.c $(memory_sources)
tests_unit_test_walk_links_SOURCES = tests/unit/test_walk_links.c $(memory_sources)
tests_unit_test_walk_rmap_SOURCES = tests/unit/test_walk_rmap.c $(memory_sources)

# Guest tables by themselves, and a walker to judge them by.
nmmu_fixture = tests/unit/nmmu_fixture.c tests/unit/nmmu_fixture.h
refwalk_sources = tests/unit/refwalk.c tests/unit/refwalk.h
cpujudge_sources = tests/unit/cpujudge.c tests/unit/cpujudge.h
tests_unit_test_nmmu_gfmt_SOURCES = tests/unit/test_nmmu_gfmt.c $(refwalk_sources)
tests_unit_test_nmmu_role_SOURCES = tests/unit/test_nmmu_role.c $(nmmu_fixture)
tests_unit_test_nmmu_walk_SOURCES = tests/unit/test_nmmu_walk.c $(nmmu_fixture)
tests_unit_test_nmmu_inject_SOURCES = tests/unit/test_nmmu_inject.c $(nmmu_fixture)
# Its calls into the rest of the engine are looked at on their way.
tests_unit_test_nmmu_inject_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=nmmu_invalidate_addr \
	-Wl,--wrap=nmmu_pt_write -Wl,--wrap=nmmu_root_new_pgd -Wl,--wrap=nmmu_sp_by_pa
tests_unit_test_nmmu_walk_random_SOURCES = tests/unit/test_nmmu_walk_random.c $(cpujudge_sources) $(refwalk_sources) $(nmmu_fixture)

# A host made up, as records, and the program that saves it.
fake_sources = tests/unit/fake.c tests/unit/fakelog.c tests/unit/fake.h
check_PROGRAMS += tests/unit/mksnap
tests_unit_mksnap_SOURCES = tests/unit/mksnap.c $(fake_sources)
tests_unit_mksnap_LDADD = libmmuscope.a $(LIBBPF_LIBS) $(LIBDW_LIBS) -lz
check_PROGRAMS += tests/unit/mkwp
tests_unit_mkwp_SOURCES = tests/unit/mkwp.c $(fake_sources)
tests_unit_mkwp_LDADD = $(tests_unit_mksnap_LDADD)
tests_unit_test_fake_SOURCES = tests/unit/test_fake.c $(fake_sources)
tests_unit_test_snap_guest_SOURCES = tests/unit/test_snap_guest.c $(fake_sources)
tests_unit_test_snap_SOURCES = tests/unit/test_snap.c tests/unit/snapdamage.c tests/unit/snapdamage.h $(fake_sources)

# A whole machine of the engine's, with memory that can run out.
box_sources = tests/unit/nmmu_box.c tests/unit/nmmu_box.h
tests_unit_test_nmmu_check_SOURCES = tests/unit/test_nmmu_check.c $(box_sources)
tests_unit_test_nmmu_events_SOURCES = tests/unit/test_nmmu_events.c $(box_sources)
tests_unit_test_nmmu_hostile_SOURCES = tests/unit/test_nmmu_hostile.c $(box_sources)
tests_unit_test_nmmu_life_SOURCES = tests/unit/test_nmmu_life.c $(box_sources)
tests_unit_test_nmmu_rmap_SOURCES = tests/unit/test_nmmu_rmap.c $(box_sources)
tests_unit_test_nmmu_root_SOURCES = tests/unit/test_nmmu_root.c $(box_sources)
tests_unit_test_nmmu_sp_SOURCES = tests/unit/test_nmmu_sp.c $(box_sources)
tests_unit_test_nmmu_stale_SOURCES = tests/unit/test_nmmu_stale.c $(box_sources)
tests_unit_test_nmmu_unsync_SOURCES = tests/unit/test_nmmu_unsync.c $(box_sources)

# The smallest host there is.
small_sources = tests/unit/small.c tests/unit/small.h
tests_unit_test_model_SOURCES = tests/unit/test_model.c $(small_sources)
tests_unit_test_query_SOURCES = tests/unit/test_query.c tests/unit/ask.h $(small_sources)
tests_unit_test_stream_SOURCES = tests/unit/test_stream.c tests/unit/made.h tests/unit/ask.h $(small_sources)
tests_unit_test_rounds_SOURCES = tests/unit/test_rounds.c tests/unit/made.h tests/unit/ask.h $(small_sources)
tests_unit_test_exit_words_SOURCES = tests/unit/test_exit_words.c
tests_unit_test_stuck_SOURCES = tests/unit/test_stuck.c tests/unit/stuckfeed.h
tests_unit_test_stuck_bits_SOURCES = tests/unit/test_stuck_bits.c tests/unit/stuckfeed.h
tests_unit_test_stuck_figures_SOURCES = tests/unit/test_stuck_figures.c tests/unit/stuckfeed.h
tests_unit_test_stuck_lost_SOURCES = tests/unit/test_stuck_lost.c tests/unit/made.h tests/unit/ask.h $(small_sources)
tests_unit_test_diff_SOURCES = tests/unit/test_diff.c tests/unit/ask.h $(small_sources) $(fake_sources)
tests_unit_test_dirty_SOURCES = tests/unit/test_dirty.c $(small_sources)
tests_unit_test_why_SOURCES = tests/unit/test_why.c tests/unit/ask.h $(small_sources)
tests_unit_test_render_SOURCES = tests/unit/test_render.c $(small_sources)
audittrips = tests/unit/auditevents.c tests/unit/auditguest.c tests/unit/auditguest.h tests/unit/auditlists.c tests/unit/auditlists.h tests/unit/auditmore.c \
	tests/unit/auditpins.c tests/unit/audittrips.c tests/unit/audittrips.h $(fake_sources) $(small_sources)
tests_unit_test_audit_SOURCES = tests/unit/test_audit.c $(audittrips)
tests_unit_test_audit_cmd_SOURCES = tests/unit/test_audit_cmd.c $(audittrips)
tests_unit_test_watch_SOURCES = tests/unit/test_watch.c $(audittrips)

# Machines for the fault path, with a CPU.
faultlab = tests/unit/faultlab.c tests/unit/faultlab.h
tests_unit_test_nmmu_fault_SOURCES = tests/unit/test_nmmu_fault.c $(faultlab)
tests_unit_test_nmmu_paths_SOURCES = tests/unit/test_nmmu_paths.c $(faultlab)
tests_unit_test_nmmu_races_SOURCES = tests/unit/test_nmmu_races.c $(faultlab)
tests_unit_test_nmmu_spte_SOURCES = tests/unit/test_nmmu_spte.c $(faultlab)
tests_unit_test_nmmu_vcpu_SOURCES = tests/unit/test_nmmu_vcpu.c $(faultlab)
tests_unit_test_nmmu_who_SOURCES = tests/unit/test_nmmu_who.c $(faultlab)

# The engine once more, with its mutants: what is compiled here is taken before what the library has.
tests_unit_test_mutants_SOURCES = tests/unit/test_mutants.c $(nmmu_sources)
tests_unit_test_mutants_CPPFLAGS = $(AM_CPPFLAGS) -DNMMU_WITH_MUTANTS
tests_unit_test_explore_SOURCES = tests/unit/test_explore.c $(nmmu_sources)
tests_unit_test_explore_CPPFLAGS = $(AM_CPPFLAGS) -DNMMU_WITH_MUTANTS

tests_unit_test_nmmu_pins_SOURCES = tests/unit/test_nmmu_pins.c $(nmmuhost_sources) $(nmmu_sources)
tests_unit_test_nmmu_pins_CPPFLAGS = $(AM_CPPFLAGS) -DNMMU_WITH_MUTANTS

# The interface without a terminal, and the frames it has to show.
ui_machine = tests/unit/ui_machine.c tests/unit/ui_machine.h
ui_rig = tests/unit/ui_rig.c tests/unit/ui_rig.h $(ui_machine)
tests_unit_test_ui_core_SOURCES = tests/unit/test_ui_core.c $(ui_rig)
tests_unit_test_ui_dirty_SOURCES = tests/unit/test_ui_dirty.c $(ui_rig)
tests_unit_test_ui_events_SOURCES = tests/unit/test_ui_events.c $(ui_rig)
tests_unit_test_ui_frames_SOURCES = tests/unit/test_ui_frames.c $(ui_machine)
EXTRA_DIST += \
	tests/golden/events-120x40.txt \
	tests/golden/events-44x12-ascii.txt \
	tests/golden/events-80x24.txt \
	tests/golden/events-filtered-80x24.txt \
	tests/golden/events-prompt-80x24.txt \
	tests/golden/dirty-120x40.txt \
	tests/golden/dirty-44x12-ascii.txt \
	tests/golden/dirty-80x24.txt \
	tests/golden/dirty-frames-80x24.txt \
	tests/golden/dirty-none-80x24.txt \
	tests/golden/help-80x24.txt \
	tests/golden/prompt-80x24.txt \
	tests/golden/sp-map-40x10.txt \
	tests/golden/sp-mmio-80x24.txt \
	tests/golden/sp-pinned-80x24.txt \
	tests/golden/sp-pinned-huge-120x40.txt \
	tests/golden/sp-pinned-l2-44x12.txt \
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
	tests/golden/tree-pinned-80x24.txt \
	tests/golden/tree-unreached.txt \
	tests/golden/vms-120x40-ascii.txt \
	tests/golden/vms-40x10.txt \
	tests/golden/vms-80x24.txt \
	tests/golden/vms-none.txt \
	tests/golden/vms-rates-44x12-ascii.txt \
	tests/golden/vms-rates-80x24.txt

# Random operations on machines in process, and what judges them.
random = \
	tests/unit/rnd.h \
	tests/unit/rnd_access.c \
	tests/unit/rnd_audit.c \
	tests/unit/rnd_judge.c \
	tests/unit/rnd_log.c \
	tests/unit/rnd_mix.c \
	tests/unit/rnd_model.c \
	tests/unit/rnd_ops.c \
	tests/unit/rnd_ops.def \
	tests/unit/rnd_oracle.c \
	tests/unit/rnd_parallel.c tests/unit/rnd_pins.c \
	tests/unit/rnd_run.c \
	tests/unit/rnd_switches.def \
	tests/unit/rnd_world.c
tests_unit_test_nmmu_random_SOURCES = tests/unit/test_nmmu_random.c $(random)
tests_unit_test_random_mutants_SOURCES = tests/unit/test_random_mutants.c $(random) $(nmmu_sources)
tests_unit_test_random_mutants_CPPFLAGS = $(AM_CPPFLAGS) -DNMMU_WITH_MUTANTS
# The module's own instances of nmmu, on surroundings of this process.
tests_unit_test_remote_SOURCES = tests/unit/test_remote.c tests/unit/kmoddev.c tests/unit/kmoddev.h \
	kmod/nmmu.h kmod/nmmu_call.c kmod/nmmu_ops.c kmod/nmmu_table.c
