#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# scripts/tap judges every other test, so here it is judged itself: each way
# a test program can fail, lie or stay silent must be counted as a failure.

set -u
tap=${SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}/scripts/tap
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
number=0

# counts NAME WANT STATUS LINE...: the judgement of a stream, as "passed failed skipped exit-status".
counts()
{
	local name=$1 want=$2 status=$3 got
	shift 3

	printf '%b' "$@" >"$dir/stream"
	"$tap" count "$dir/stream" "$status" >"$dir/lines"
	got=$?
	got="$(grep -c ^pass "$dir/lines") $(grep -c ^fail "$dir/lines") $(grep -c ^skip "$dir/lines") $got"
	result "$name" "$want" "$got"
}

result()
{
	number=$((number + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $number - $1"
	else
		printf 'not ok %d - %s\n# wanted: %s\n# got:    %s\n' "$number" "$1" "$2" "$3"
		failed=1
	fi
}
failed=0

counts "all pass" "2 0 0 0" 0 '1..2\nok 1 - a\nok 2 - b\n'
counts "the plan may come last" "1 0 0 0" 0 'ok 1 - a\n1..1\n'
counts "a not ok" "1 1 0 1" 1 '1..2\nok 1 - a\nnot ok 2 - b\n'
counts "a not ok of a program that ends with 0" "0 1 0 1" 0 '1..1\nnot ok 1 - b\n'
counts "a skip, with its reason" "1 0 1 0" 0 '1..2\nok 1 - a\nok 2 - b # SKIP no KVM\n'
result "the reason is kept" $'skip\tb\tno KVM' "$(grep ^skip "$dir/lines")"
counts "a skip as cmocka writes it" "0 0 1 0" 0 '1..1\nnot ok 1 # SKIP b\n'
counts "everything skipped by the plan" "0 0 1 0" 0 '1..0 # SKIP no tmux\n'
counts "no plan" "1 1 0 1" 0 'ok 1 - a\n'
counts "an empty plan without a reason" "0 1 0 1" 0 '1..0\n'
counts "fewer than planned" "1 1 0 1" 0 '1..3\nok 1 - a\n'
counts "more than planned" "2 1 0 1" 0 '1..1\nok 1 - a\nok 2 - b\n'
counts "dies after its tests" "1 1 0 1" 139 '1..1\nok 1 - a\n'
counts "dies among its tests" "1 2 0 1" 134 '1..2\nok 1 - a\n'
counts "takes too long" "1 2 0 1" 124 '1..2\nok 1 - a\n'
counts "bails out" "1 2 0 1" 1 '1..2\nok 1 - a\nBail out! no disk\n'
counts "says nothing" "0 1 0 1" 0 ''
counts "two groups, two plans" "3 0 0 0" 0 '1..1\nok 1 - a\n1..2\nok 1 - b\nok 2 - c\n'
counts "not ok in words is no result" "1 0 0 0" 0 '1..1\n# not ok 7\nokay\nok 1 - a\n'

printf 'echo 1..1\necho ok 1 - fine\n' >"$dir/good.sh"
printf 'echo 1..2\necho ok 1 - first\nkill -SEGV $$\n' >"$dir/dies.sh"
printf 'echo 1..1\nsleep 30\necho ok 1\n' >"$dir/hangs.sh"
merged=$("$tap" run "$dir/good.sh" 2>/dev/null)
result "run: status of good programs" 0 $?
result "run: names, numbers, and how long it took" $'ok 1 - good: fine\n# took N s: good\n1..1' "$(sed -E 's,took [0-9]+ s,took N s,' <<<"$merged")"
merged=$("$tap" run "$dir/dies.sh" "$dir/good.sh" 2>/dev/null)
result "run: status when one dies" 1 $?
result "run: the others still run" 1 "$(grep -c '^ok .* good: fine' <<<"$merged")"
result "run: its death is counted" "2" "$(grep -c '^not ok .* dies: ' <<<"$merged")"
"$tap" run --timeout 1 "$dir/hangs.sh" >/dev/null 2>&1
result "run: one that hangs fails" 1 $?
"$tap" run "$dir/nothing-*.sh" >/dev/null 2>&1
result "run: a pattern without a match fails" 1 $?
"$tap" run >/dev/null 2>&1
result "run: nothing to run fails" 1 $?
"$tap" command x false >/dev/null 2>&1
result "command: a failing one" 1 $?
result "command: a passing one" $'1..1\nok 1 - x' "$("$tap" command x true)"

echo "1..$number"
exit $failed
