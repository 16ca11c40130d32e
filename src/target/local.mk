# SPDX-License-Identifier: GPL-2.0-or-later
libmmuscope_a_SOURCES += \
	src/target/device.c src/target/device.h \
	src/target/doctor.c src/target/doctor.h \
	src/target/hostpt.c src/target/hostpt.h \
	src/target/kmem.c src/target/kmem.h \
	src/target/ksyms.def \
	src/target/kvm_copy.c \
	src/target/kvm_guest.c \
	src/target/kvm_legacy.c \
	src/target/kvm_read.c \
	src/target/kvm_rmap.c \
	src/target/kvm_slots.h \
	src/target/kvm_sps.c \
	src/target/kvm_tdp.c \
	src/target/kvm_walk.h \
	src/target/listen.c \
	src/target/live.h src/target/live_ksyms.c \
	src/target/live_listen.h src/target/live_private.h src/target/live_probes.c \
	src/target/rec.c \
	src/target/sim.c src/target/sim.h \
	src/target/sim_events.c \
	src/target/sim_guest.c \
	src/target/sim_kmod.c \
	src/target/sim_listen.c \
	src/target/sim_rec.c \
	src/target/sim_trace.c \
	src/target/snap.c \
	src/target/snapfile.c src/target/snapfile.h \
	src/target/snapfile_read.c \
	src/target/snapfmt.c src/target/snapfmt.h \
	src/target/target.c src/target/target.h \
	src/target/wp.c src/target/wp.h
if WITH_BPF
libmmuscope_a_SOURCES += src/target/exact.c src/target/live.c src/target/live_attach.c src/target/live_listen.c
endif
