# SPDX-License-Identifier: GPL-2.0-or-later
# Fixture guests of the lab: tests/lab/vmm (a VMM on raw KVM) and tests/lab/l1.bin (the flat guest it loads).
# Included by the top Makefile.am. Nothing is installed; both are built by `make check` and by name.

check_PROGRAMS += tests/lab/vmm
tests_lab_vmm_SOURCES = \
	tests/lab/guest/proto.h \
	tests/lab/guest/script.h \
	tests/lab/guest/vmm.h \
	tests/lab/guest/vmm_ctl.c \
	tests/lab/guest/vmm_main.c \
	tests/lab/guest/vmm_mem.c \
	tests/lab/guest/vmm_opts.c \
	tests/lab/guest/vmm_paging.c \
	tests/lab/guest/vmm_stats.c \
	tests/lab/guest/vmm_storm.c \
	tests/lab/guest/vmm_trace.c \
	tests/lab/guest/vmm_truth.c \
	tests/lab/guest/vmm_truth.h \
	tests/lab/guest/vmm_truth_dirty.c \
	tests/lab/guest/vmm_truth_log.c \
	tests/lab/guest/vmm_uffd.c \
	tests/lab/guest/vmm_vcpu.c
tests_lab_vmm_CFLAGS = -std=gnu11 -Wall -Wextra -pthread $(AM_CFLAGS)
tests_lab_vmm_LDFLAGS = -pthread $(AM_LDFLAGS)

# L1 is no program of the host: its flags are all its own, and user CFLAGS (sanitizers, -fPIE) stay out.
l1_sources = \
	tests/lab/guest/l1_fault.c \
	tests/lab/guest/l1_main.c \
	tests/lab/guest/l1_npt.c \
	tests/lab/guest/l1_plan.c \
	tests/lab/guest/l1_svm.c \
	tests/lab/guest/l1_vmx.c \
	tests/lab/guest/l2.c \
	tests/lab/guest/l2_stores.c
l1_headers = tests/lab/guest/l1.h tests/lab/guest/proto.h
l1_script = tests/lab/guest/l1.ld
l1_flags = -std=gnu11 -O2 -g -Wall -Wextra -ffreestanding -fno-pic -no-pie -mno-red-zone -mgeneral-regs-only \
	-fcf-protection=none -fno-stack-protector -fno-tree-loop-distribute-patterns \
	-fno-asynchronous-unwind-tables -nostdlib
L1_OBJCOPY = objcopy

check_DATA += tests/lab/l1.bin
CLEANFILES += tests/lab/l1.bin tests/lab/l1.elf

tests/lab/l1.elf: $(l1_sources) $(l1_headers) $(l1_script)
	@$(MKDIR_P) tests/lab
	$(AM_V_CCLD)srcs=; for f in $(l1_sources); do srcs="$$srcs $(srcdir)/$$f"; done; \
	$(CC) $(l1_flags) -Wl,-T,$(srcdir)/$(l1_script),--build-id=none -o $@ $$srcs

tests/lab/l1.bin: tests/lab/l1.elf
	$(AM_V_GEN)$(L1_OBJCOPY) -O binary tests/lab/l1.elf $@

# The scripted guest, once for each size of a pointer; 32-bit code needs nothing of a 32-bit libc.
script_sources = tests/lab/guest/script.c
script_headers = tests/lab/guest/script.h tests/lab/guest/proto.h
script_ld = tests/lab/guest/script.ld

check_DATA += tests/lab/script32.bin tests/lab/script64.bin
CLEANFILES += tests/lab/script32.bin tests/lab/script32.elf tests/lab/script64.bin tests/lab/script64.elf

tests/lab/script32.elf: $(script_sources) $(script_headers) $(script_ld)
	@$(MKDIR_P) tests/lab
	$(AM_V_CCLD)$(CC) -m32 -march=i686 $(l1_flags) -Wl,-T,$(srcdir)/$(script_ld),--build-id=none -o $@ \
		$(srcdir)/$(script_sources)

tests/lab/script64.elf: $(script_sources) $(script_headers) $(script_ld)
	@$(MKDIR_P) tests/lab
	$(AM_V_CCLD)$(CC) $(l1_flags) -Wl,-T,$(srcdir)/$(script_ld),--build-id=none -o $@ $(srcdir)/$(script_sources)

tests/lab/script32.bin: tests/lab/script32.elf
	$(AM_V_GEN)$(L1_OBJCOPY) -O binary tests/lab/script32.elf $@

tests/lab/script64.bin: tests/lab/script64.elf
	$(AM_V_GEN)$(L1_OBJCOPY) -O binary tests/lab/script64.elf $@

EXTRA_DIST += \
	$(script_sources) \
	$(script_headers) \
	$(script_ld) \
	$(l1_sources) \
	$(l1_headers) \
	$(l1_script) \
	tests/lab/guest/truth.md \
	tests/lab/10-guest.sh \
	tests/lab/11-nested.sh \
	tests/lab/lib.sh
