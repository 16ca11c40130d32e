# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For tests of the lab that use the interface: a terminal by tmux, its keys and its screen. Sourced after lib.sh.

socket=$SCRATCH/tmux

tm()
{
	tmux -S "$socket" -f /dev/null "$@"
}

# sees TEXT NAME: the screen has the text within a while; the emulated machine is slow.
sees()
{
	local i

	for ((i = 0; i < 600; i++)); do
		if tm capture-pane -p 2>/dev/null | grep -qF -- "$1"; then
			result 0 "$2"
			return
		fi
		sleep 0.1
	done
	result 1 "$2" || diag "no '$1' on:" "$(tm capture-pane -p)"
}

keys()
{
	local k

	for k; do
		tm send-keys "$k"
		sleep 0.15
	done
}
