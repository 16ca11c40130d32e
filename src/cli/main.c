/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main(): options, then one command. */
#include "config.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	(void)argv;
	puts(PACKAGE_STRING);
	return argc > 1 ? 2 : 0;
}
