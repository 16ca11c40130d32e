# SPDX-License-Identifier: GPL-2.0-or-later
libmmuscope_a_SOURCES += src/layout/fields.def src/layout/layout.c src/layout/layout.h
if WITH_BPF
libmmuscope_a_SOURCES += src/layout/btf.c
endif
