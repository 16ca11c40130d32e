# SPDX-License-Identifier: GPL-2.0-or-later
# BPF objects are built with clang and turned into skeletons; nothing generated is committed.
EXTRA_DIST += bpf/live.bpf.c bpf/events.bpf.c bpf/host.h bpf/pages.h bpf/probe.h bpf/vcpu.h
if WITH_BPF
BUILT_SOURCES += bpf/events.skel.h bpf/live.skel.h
CLEANFILES += bpf/events.bpf.o bpf/events.skel.h bpf/live.bpf.o bpf/live.skel.h
AM_CPPFLAGS += $(LIBBPF_CFLAGS)

BPF_CFLAGS = -O2 -g -target bpf -D__TARGET_ARCH_x86 -Wall -Wextra -Wno-unused-parameter \
	-Wno-missing-declarations -I$(srcdir) -I$(srcdir)/src -I/usr/include/$(host_cpu)-linux-gnu $(LIBBPF_CFLAGS)

bpf/live.bpf.o: bpf/live.bpf.c src/abi/kread.h src/abi/types.h
	$(AM_V_GEN)$(MKDIR_P) bpf && $(BPF_CLANG) $(BPF_CFLAGS) -c $(srcdir)/bpf/live.bpf.c -o $@

bpf/live.skel.h: bpf/live.bpf.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton bpf/live.bpf.o name live_bpf > $@.tmp && mv $@.tmp $@

bpf/events.bpf.o: bpf/events.bpf.c bpf/host.h bpf/pages.h bpf/probe.h bpf/vcpu.h src/abi/causes.def \
		src/abi/event.h src/abi/events.def src/abi/listen.h src/abi/ops.h src/abi/probes.def src/abi/rets.def src/abi/types.h
	$(AM_V_GEN)$(MKDIR_P) bpf && $(BPF_CLANG) $(BPF_CFLAGS) -mcpu=v3 -c $(srcdir)/bpf/events.bpf.c -o $@

bpf/events.skel.h: bpf/events.bpf.o
	$(AM_V_GEN)$(BPFTOOL) gen skeleton bpf/events.bpf.o name events_bpf > $@.tmp && mv $@.tmp $@
endif
