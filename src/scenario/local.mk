# SPDX-License-Identifier: GPL-2.0-or-later
# Machines in process, and the text format that drives them.
libmmuscope_a_SOURCES += \
	src/scenario/machine.h
