# SPDX-License-Identifier: GPL-2.0-or-later
# The hardware model.
libmmuscope_a_SOURCES += \
	src/hw/hw.h
