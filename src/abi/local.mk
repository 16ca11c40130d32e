# SPDX-License-Identifier: GPL-2.0-or-later
libmmuscope_a_SOURCES += src/abi/masks.def src/abi/types.h src/abi/rec.h src/abi/kread.h
