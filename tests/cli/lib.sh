# SPDX-License-Identifier: GPL-2.0-or-later
# What the scripts of tests/cli share: TAP, and snapshots of the made-up host. Needs BUILD and SRCDIR; no root, no KVM.
: "${BUILD:?the build directory}" "${SRCDIR:?the source directory}"
LC_ALL=C.UTF-8
export LC_ALL
unset NO_COLOR TERM
M=$BUILD/mmuscope
T=$(mktemp -d) || exit 99
trap 'rm -rf "$T"' EXIT
n=0
failed=0

# ok NAME: the result of the command before it.
ok() {
	if [ $? -eq 0 ]; then r=ok; else r='not ok'; failed=1; fi
	n=$((n + 1))
	echo "$r $n - $1"
}

# run WANTED_STATUS WORDS...: stdout to $T/out, stderr to $T/err; fails on another status.
run() {
	want=$1
	shift
	"$M" "$@" >"$T/out" 2>"$T/err" </dev/null
	got=$?
	[ $got -eq "$want" ] && return 0
	echo "# $*: status $got, not $want: $(head -c 300 "$T/err")"
	return 1
}

# snapshot FILE MKSNAP_WORDS...
snapshot() {
	file=$1
	shift
	"$BUILD/tests/unit/mksnap" "$@" "$file" >/dev/null || { echo "Bail out! mksnap $*"; exit 99; }
}

finish() {
	echo "1..$n"
	exit $failed
}
