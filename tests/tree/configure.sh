#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What configure promises: an asked-for feature that cannot be built is an error, `auto' goes without it, a summary says what is built; and
# mmuscope without BPF and without interface is still a program (TAP).
set -u
src=$(cd "${SRCDIR:-.}" && pwd) || exit 1
[ -x "$src/configure" ] || { echo "Bail out! no configure in $src: scripts/build makes it"; exit 1; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM HUP
cd "$dir" || exit 1
nr=0
failed=0

ok()
{
	nr=$((nr + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $nr - $2"
	else
		echo "not ok $nr - $2"
		tail -n 15 "$dir/out" | sed 's/^/# /'
		failed=1
	fi
}

# configured STATUS NAME ARGUMENT...: in a folder of its own.
configured()
{
	want=$1
	name=$2
	shift 2
	rm -rf "$dir/b"
	mkdir "$dir/b" && cd "$dir/b" || exit 1
	"$src/configure" --quiet "$@" >"$dir/out" 2>&1
	status=$?
	if [ "$want" = fail ]; then
		[ $status -ne 0 ]
	else
		[ $status -eq 0 ]
	fi
	ok $? "$name"
}

says()
{
	grep -qE "$1" "$dir/out"
	ok $? "says: $1"
}

echo 1..17
configured fail "--with-bpf without clang is an error" --with-bpf BPF_CLANG=/nonexistent/clang
says 'with-bpf.*clang'
configured fail "--with-tui without ncurses is an error" --with-tui NCURSES_LIBS= NCURSES_CFLAGS= PKG_CONFIG=false
says 'with-tui.*ncursesw'
configured fail "--with-readline without readline is an error" --with-readline PKG_CONFIG=false
configured fail "--with-libdw without libdw is an error" --with-libdw PKG_CONFIG=false
configured pass "auto goes without what is missing" PKG_CONFIG=false
says 'live target.* no'
says 'terminal interface.* no'
configured pass "--without-bpf --without-tui --without-readline" --without-bpf --without-tui --without-readline
says 'live target.* no'
make -s -j2 mmuscope >"$dir/out" 2>&1
ok $? "and it builds"
./mmuscope spte 0x8600000012345b77 >"$dir/out" 2>&1
ok $? "decodes"
./mmuscope vms >"$dir/out" 2>&1
[ $? -eq 2 ]
ok $? "has no live target: status 2"
says 'live'
./mmuscope --frame >"$dir/out" 2>&1
[ $? -eq 2 ]
ok $? "has no interface: status 2"
says 'terminal interface'
exit $failed
