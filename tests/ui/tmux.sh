#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The interface in a real terminal: tmux plays the user on a snapshot of the made-up host, and reads the screen. TAP on stdout.
# BUILD is the build folder; MMUSCOPE and MKSNAP name other programs than those in it.

BUILD=${BUILD:-build}
MMUSCOPE=${MMUSCOPE:-$BUILD/mmuscope}
MKSNAP=${MKSNAP:-$BUILD/tests/unit/mksnap}
nr=0
failed=0

if ! command -v tmux >/dev/null 2>&1; then
	echo "1..0 # SKIP tmux is not there"
	exit 0
fi

dir=$(mktemp -d) || exit 1
starts=0
socket=$dir/tmux0

tm()
{
	tmux -S "$socket" -f /dev/null "$@"
}

finish()
{
	tm kill-server 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

ok()
{
	nr=$((nr + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $nr - $2"
	else
		failed=1
		echo "not ok $nr - $2"
		tm capture-pane -p 2>/dev/null | sed 's/^/# /'
	fi
}

# Some cell has a colour of its own.
coloured()
{
	tm capture-pane -p -e | grep -qE "$(printf '\033')\[([0-9]+;)*[34][0-7](;|m)"
}

# The screen has TEXT within five seconds.
screen_has()
{
	i=0
	while [ $i -lt 50 ]; do
		tm capture-pane -p 2>/dev/null | grep -qF -- "$1" && return 0
		sleep 0.1
		i=$((i + 1))
	done
	return 1
}

file_there()
{
	i=0
	while [ $i -lt 50 ]; do
		[ -s "$1" ] && return 0
		sleep 0.1
		i=$((i + 1))
	done
	return 1
}

sees()
{
	screen_has "$1"
	ok $? "$2"
}

# Start the program in a new terminal: WIDTH HEIGHT TERM LANG [NO_COLOR]. Settings of the terminal are kept in before, after.
start()
{
	tm kill-server 2>/dev/null
	# A server that is on its way out still answers on its socket.
	starts=$((starts + 1))
	socket=$dir/tmux$starts
	rm -f "$dir/before" "$dir/after" "$dir/status" "$dir/pid"
	cat > "$dir/run" <<-EOF
		trap : INT
		export TERM=$3 LC_ALL=$4 NO_COLOR=$5
		stty -g > "$dir/before"
		sh -c 'echo \$\$ > "$dir/pid"; exec "$MMUSCOPE" -T "${target:-snap:$dir/host.snap}"'
		echo \$? > "$dir/status"
		stty -g > "$dir/after"
		echo back in the shell
		sleep 60
	EOF
	tm new-session -d -x "$1" -y "$2" "sh $dir/run"
}

keys()
{
	tm send-keys "$@"
}

restored()
{
	file_there "$dir/after" && cmp -s "$dir/before" "$dir/after"
}

if ! "$MKSNAP" ept 6.1 "$dir/host.snap" >/dev/null; then
	echo "Bail out! no snapshot could be made"
	exit 1
fi

# --- a visit ---
start 80 24 screen-256color C.UTF-8 ""
sees "fake-vmm" "the list of VMs opens"
if [ $failed -ne 0 ]; then
	echo "Bail out! the interface does not start"
	exit 1
fi
sees "1Help" "the bar of function keys is there"
keys Enter
sees "ROOTS AND PAGES" "Enter opens the tree of a VM"
keys / 'gfn 0x400' Enter
sees "role 0x3781" "a search finds a page in a branch"
keys Enter
sees "RRRRRRRRRRRRRRRR" "the map shows the read-only leaves by their letter"
sees "RO leaf 4K" "the selected entry is decoded"
sees "0x400000" "its address is the root's"
keys Down
sees "entry 1 " "an arrow key moves the cursor"
keys Tab Right Right
sees "entry 3 " "the map moves the same cursor"
keys f
sees "16 of 512" "the filter leaves what is not empty"
keys '?'
sees "one screen up" "help opens"
keys q
sees "16 of 512" "q closes it"
keys BSpace
sees "L2 [0.0]" "Backspace goes up to the page that points here"

# --- mouse: a press on the cell of entry 5, in the encoding that TERM=screen asks for ---
keys -l "$(printf '\033[M +$')"
sees "entry 5 " "a click in the map selects"

# --- another size ---
tm resize-window -x 30 -y 8
sees "needs 40x10" "a tiny terminal is told so"
tm resize-window -x 120 -y 40
sees "ept-6.1" "and recovers"
tm capture-pane -p | awk 'length($0) > 100 { wide = 1 } END { exit !wide }'
ok $? "the new width is used"

# --- the end ---
keys q
sees "ROOTS AND PAGES" "q goes back to the tree"
keys q q
restored
ok $? "after q the terminal is as it was"
[ "$(cat "$dir/status")" = 0 ]
ok $? "q ends with status 0"

# --- who dirties what, as it happens ---
target=sim
start 80 24 screen-256color C.UTF-8 ""
screen_has "ROOTS AND PAGES"
keys d
sees "write fault " "d: marks by way, as they come"
sees "█" "and in time"
keys Tab
sees "s vCPU" "Tab: PML buffers"
keys Tab p
sees "paused" "p pauses"
keys Enter
sees "all entries, 512 of 512" "Enter goes from a frame to its leaf"
target=

# --- by signal ---
start 80 24 screen C.UTF-8 ""
screen_has "fake-vmm" && kill -TERM "$(cat "$dir/pid")"
restored
ok $? "after SIGTERM the terminal is as it was"
[ "$(cat "$dir/status")" = 143 ]
ok $? "SIGTERM ends it by that signal"
start 80 24 screen C.UTF-8 ""
screen_has "fake-vmm"
keys C-c
restored
ok $? "after ^C the terminal is as it was"

# --- without colour, without UTF-8 ---
start 80 24 vt100 C 1
sees "fake-vmm" "vt100: the list of VMs opens"
keys Enter
screen_has "ROOTS AND PAGES"
keys / 'gfn 0x400' Enter Enter
sees "RRRRRRRRRRRRRRRR" "vt100: the map tells states by letters"
! tm capture-pane -p | LC_ALL=C grep -q '[^ -~]'
ok $? "C locale: nothing but ASCII"

# --- colour, and none of it ---
start 80 24 screen-256color C.UTF-8 ""
screen_has "fake-vmm"
coloured
ok $? "with colour there is some"
start 80 24 screen-256color C.UTF-8 1
screen_has "fake-vmm"
! coloured
ok $? "NO_COLOR: none"

# --- a terminal that curses does not know ---
start 80 24 no-such-terminal C.UTF-8 ""
sees "no-such-terminal" "an unknown TERM is named in an error"
restored
ok $? "and the terminal is as it was"

echo "1..$nr"
exit $failed
