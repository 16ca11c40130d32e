# SPDX-License-Identifier: GPL-2.0-or-later
libmmuscope_a_SOURCES += src/target/target.h src/target/target.c src/target/snapfile.h
