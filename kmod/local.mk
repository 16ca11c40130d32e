# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel module. Its own makefiles are Kbuild and Makefile beside this one; here is how the rest of the tree uses them.
kmod_files = kmod/Kbuild kmod/Makefile kmod/features.sh \
	kmod/exact.c kmod/exact.h kmod/exact_pages.c kmod/exact_rmaps.c \
	kmod/layout.c kmod/main.c kmod/mmuscope.h kmod/vm.c \
	kmod/nmmu.c kmod/nmmu.h kmod/nmmu_call.c kmod/nmmu_events.awk kmod/nmmu_events.in kmod/nmmu_ops.c \
	kmod/nmmu_table.c kmod/nmmu_trace.c \
	kmod/wp.c kmod/wp.h kmod/wp_guard.c kmod/wp_insn.h kmod/wp_kvm.c kmod/wp_step.c kmod/wp_vm.c
EXTRA_DIST += $(kmod_files) kmod/dkms.conf.in

# What is compiled or included besides: the ABI, and the engine.
kmod_sources = src/abi src/spte src/nmmu

if WITH_KMOD
noinst_DATA += kmod/mmuscope.ko

# Kbuild knows by itself what is out of date.
kmod/mmuscope.ko: FORCE
	$(AM_V_GEN)$(MKDIR_P) kmod
	@for f in $(kmod_files); do cmp -s $(srcdir)/$$f $$f || cp -p $(srcdir)/$$f $$f || exit 1; done
	@$(MAKE) -s -C $(KDIR) M=$(abs_builddir)/kmod MMUSCOPE_SRC=$(abs_srcdir)/src modules

FORCE:

install-exec-local: install-kmod
uninstall-local: uninstall-kmod
clean-local: clean-kmod

clean-kmod:
	test ! -f kmod/Kbuild || $(MAKE) -s -C $(KDIR) M=$(abs_builddir)/kmod MMUSCOPE_SRC=$(abs_srcdir)/src clean

# depmod is for the machine that is installed on, not for a package's directory.
install-kmod: kmod/mmuscope.ko
	$(MKDIR_P) $(DESTDIR)$(kmoddir)
	$(INSTALL_DATA) kmod/mmuscope.ko $(DESTDIR)$(kmoddir)
	test -n "$(DESTDIR)" || depmod $(KVER)

uninstall-kmod:
	rm -f $(DESTDIR)$(kmoddir)/mmuscope.ko

.PHONY: FORCE clean-kmod install-kmod uninstall-kmod
endif

# The sources where DKMS looks for them; afterwards: dkms install mmuscope/VERSION.
dkms_where = /usr/src/$(PACKAGE)-$(VERSION)

install-dkms:
	$(MKDIR_P) $(DESTDIR)$(dkms_where)/kmod
	for f in $(kmod_files); do $(INSTALL_DATA) $(srcdir)/$$f $(DESTDIR)$(dkms_where)/kmod || exit 1; done
	for d in $(kmod_sources); do \
		$(MKDIR_P) $(DESTDIR)$(dkms_where)/$$d && \
		$(INSTALL_DATA) $(srcdir)/$$d/*.[ch] $(srcdir)/$$d/*.def $(DESTDIR)$(dkms_where)/$$d || exit 1; done
	$(SED) 's,[@]VERSION[@],$(VERSION),' $(srcdir)/kmod/dkms.conf.in >$(DESTDIR)$(dkms_where)/dkms.conf

.PHONY: install-dkms
