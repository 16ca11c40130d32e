#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# scripts/bench as far as it needs no machine: its words, and that doc/benchmarks.md speaks of each bench. Nothing is timed.

set -u
top=${SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
bench=$top/scripts/bench
number=0 failed=0

# ok NAME COMMAND...
ok()
{
	local name=$1
	shift
	number=$((number + 1))
	if "$@"; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		failed=1
	fi
}

help=$("$bench" --help)
ok "--help ends well" [ $? -eq 0 ]
names=$("$bench" --list)
ok "--list names benches" [ "$(wc -w <<<"$names")" -ge 5 ]
for name in $names; do
	ok "$name: in --help" grep -q "^  ${name}[[:blank:]]" <<<"$help"
	ok "$name: in doc/benchmarks.md" grep -q "^| ${name}[: |]" "$top/doc/benchmarks.md"
	ok "$name: measured" grep -q "^[[:blank:]]*$name)" "$top/scripts/in-lab/bench"
done
for wrong in --nonsense nonsense --kernel --runs=0; do
	said=$("$bench" $wrong 2>&1)
	ok "$wrong: refused" [ $? -eq 1 ]
	ok "$wrong: in one line" [ "$(wc -l <<<"$said")" = 1 ]
done
echo "1..$number"
exit $failed
