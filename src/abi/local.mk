# SPDX-License-Identifier: GPL-2.0-or-later
libmmuscope_a_SOURCES += src/abi/masks.def src/abi/types.h src/abi/rec.h src/abi/kmod.h src/abi/kmod_exact.h \
	src/abi/kmod_nmmu.h src/abi/kmod_wp.h src/abi/kread.h \
	src/abi/causes.def src/abi/events.def src/abi/listen.h src/abi/ops.h src/abi/probes.def src/abi/rets.def src/abi/event.h src/abi/event_desc.c src/abi/event_desc.h
