#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The interface on the simulated VM, in a real terminal: a walk through its tree, L2's pages, events, a guest's translation; it is
# alive, and says what it is. TAP on stdout. BUILD is the build folder.

BUILD=${BUILD:-build}
MMUSCOPE=${MMUSCOPE:-$BUILD/mmuscope}
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
	tmux -u -S "$socket" -f /dev/null "$@"
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

# screen_has PATTERN [TENTHS]: the screen has a line that matches, within five seconds or so many tenths of one.
screen_has()
{
	i=0
	while [ $i -lt "${2:-50}" ]; do
		tm capture-pane -p 2>/dev/null | grep -qE -- "$1" && return 0
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

# walks PATTERN WHAT: a line of the answer when vCPU 1 runs L2; the simulation goes on, and may be in L1 when it is asked.
walks()
{
	tries=0
	while keys : 'walk 0xffff888000001000 -c 1' Enter; ! screen_has "$1" 15 && [ $tries -lt 20 ]; do
		tries=$((tries + 1))
		keys q
		screen_has 'ROOTS AND PAGES'
	done
	screen_has "$1"
	ok $? "$2"
}

keys()
{
	tm send-keys "$@"
}

# start WIDTH HEIGHT WORDS...
start()
{
	tm kill-server 2>/dev/null
	starts=$((starts + 1))
	socket=$dir/tmux$starts
	size="-x $1 -y $2"
	shift 2
	# shellcheck disable=SC2086 # two options and their values
	tm new-session -d $size "LC_ALL=C.UTF-8 TERM=screen-256color $MMUSCOPE $*; echo status \$?; sleep 60"
}

start 80 24 -T sim
sees '^ mmuscope  SIMULATED  sim +[0-9]+ pages ' "the first line names the target"
if [ $failed -ne 0 ]; then
	echo "Bail out! the interface does not start"
	exit 1
fi
sees '0 sim:hypervisor' "the VM's owner is marked as no process"
sees 'vcpu 0  runs L2' "a vCPU runs L2"
# Nothing moves while one looks at it.
keys i i
sees 'reads again when asked|reads again every' "the interval can be set"
until screen_has 'reads again when asked'; do keys i; done

# --- L2's pages ---
keys / 'L1 rwx guest' Enter
sees 'role 0x20701' "a search finds a page that shadows L1's EPT12"
keys Enter
sees '(RW|DL|WP) leaf 4K' "its entries are decoded"
sees 'nGPA' "its addresses are L2's"
keys BSpace
sees 'L2 \[[0-9.]+\]|L2 rwx' "Backspace goes to the page above"
keys q
sees 'ROOTS AND PAGES' "q goes back to the tree"

# --- it is alive ---
shot()
{
	tm capture-pane -p | sed 1d
}
keys Home
shot >"$dir/a"
keys r
sleep 1
shot >"$dir/b"
! cmp -s "$dir/a" "$dir/b"
ok $? "reading again shows another moment"
keys i
sees '\+1s' "the first line has the interval"
shot >"$dir/a"
i=0
while [ $i -lt 80 ] && shot | cmp -s "$dir/a" -; do
	sleep 0.1
	i=$((i + 1))
done
! shot | cmp -s "$dir/a" -
ok $? "with an interval it goes on by itself"
until screen_has 'reads again when asked'; do keys i; done

# --- commands ---
keys : 'events -n 30 -e spte_set,fault' Enter
sees 'events -n 30' "events can be asked for"
sees '(new_spte|error)=0x' "with their fields"
keys q
keys q
keys R
sees 'VMs, listening for rates' "R listens for rates"
sees '0 sim:hypervisor +3 +[0-9]+ +[1-9][0-9]* +[0-9]+ +[1-9][0-9]* ' "faults, dirtied frames and exits a second come to be known"
keys R
sees 'SHADOW +TDP' "and R ends it"
keys Enter
keys e
sees 'Events, following' "e shows events"
# moves YES|NO: within 8 s the screen is another one, or for 1 s it is not.
moves()
{
	shot >"$dir/a"
	i=0
	while [ $i -lt "$([ "$1" = YES ] && echo 80 || echo 10)" ] && shot | cmp -s "$dir/a" -; do
		sleep 0.1
		i=$((i + 1))
	done
	shot | cmp -s "$dir/a" - && r=NO || r=YES
	[ "$r" = "$1" ]
}
moves YES
ok $? "as they happen, without a key"
keys p
sees 'Events, paused' "p pauses"
moves NO
ok $? "and they stand still"
keys f
sees '^only:' "f asks for a filter"
keys -l -- '-e spte_set --vcpu 1'
keys Enter
sees '[0-9]+ events.*; only -e spte_set --vcpu 1' "which is said"
! tm capture-pane -p | sed -n '5,18p' | grep -v -E '^ +[0-9.]+m?s +1 +l[12] +spte_set |^ *$'
ok $? "and kept to"
keys p
sees 'Events, following' "p goes on"
moves YES
ok $? "and they move again"
keys p
sees 'Events, paused' "it is paused again"
keys Enter
sees '(role 0x[0-9a-f]+ L1|not there any more)' "Enter goes to the page of an event, or says that it is gone"
keys e
sees '; only -e spte_set' "e goes back to the view that is open"
keys q
walks 'second dimension +EPT12' "a walk has two dimensions"
keys q
tm resize-window -x 120 -y 40
walks 'EPT12 +4 +0 ' "at 120 columns its steps are a table"
tm capture-pane -p | awk 'length($0) > 120 { exit 1 }'
ok $? "that fits"
keys q
sees 'ROOTS AND PAGES' "q closes the answer"
tm resize-window -x 80 -y 24
keys : 'vms' Enter
sees '^ # target: sim; time: .*; kernel: nmmu like 6.12 *$' "where an answer comes from is one line"
keys q
keys : 'vms | cat' Enter
sees 'no shell here' "a pipe is refused, and where there is one is said"
keys : Up Up
sees '^:vms *$' "Up brings the lines before"
keys Escape
keys : 'slo' Tab
sees '^:slots *$' "Tab completes"
keys Escape
tm resize-window -x 40 -y 12
sees '^ SIMULATED  sim' "at 40 columns it says that it is a simulation, too"
keys : 'vms' Enter
sees '^ SIMULATED  sim' "in an answer, too"
keys q
keys : 'q' Enter
sees 'status 0' ":q ends it"
start 80 24 -T sim
sees 'ROOTS AND PAGES' "again"
keys q q
sees 'status 0' "q ends with status 0"

# --- a host without VMs ---
if "$MMUSCOPE" -T live vms -j 2>/dev/null | grep -q '"kvm"'; then
	nr=$((nr + 1))
	echo "ok $nr # SKIP this host has VMs"
else
	start 80 24
	sees '^ mmuscope  SIMULATED  sim ' "without a target and without a VM it opens on sim"
	sees 'Simulated VM, not this host' "and says so"
fi

start 80 24 -T sim:hv=svm,kernel=6.1
sees '^ mmuscope  SIMULATED  sim:hv=svm,kernel=6.1 ' "SVM by the behaviour of 6.1"
sees 'uwx' "rights are those of page tables"

start 80 24 -T sim:bug=pml-l2,steps=12000
sees ' NOTE ' "that there is something to say stays on the first line"
keys q
sees '^ migrations have lost [0-9]+ pages of the VM' "the list of VMs says it"
keys j
sees 'no dirty log named' "in full, and for longer than to the next key"
echo "1..$nr"
exit $failed
