#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# scripts/run as far as it needs no emulated machine: without a terminal one frame of the simulated VM, its commands, its words.
# What --lab does is tests/scripts/lab.sh's and the lab suites'.

set -u
top=${SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
run=$top/scripts/run
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
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
		sed 's/^/# /' "$dir/err" "$dir/out" 2>/dev/null | head -n 20
		failed=1
	fi
}

# run_it WORDS...: stdout in $dir/out, stderr in $dir/err.
run_it()
{
	(cd "$dir" && unset COLUMNS LINES && LC_ALL=C.UTF-8 "$run" "$@") </dev/null >"$dir/out" 2>"$dir/err"
}

ok "--help ends well" run_it --help
ok "--help speaks of --lab" grep -q '^       scripts/run --lab ' "$dir/out"

ok "without a terminal it ends well" run_it
ok "and prints one frame" [ "$(wc -l <"$dir/out")" = 24 ]
ok "of the simulated VM" grep -q '^ mmuscope  SIMULATED  sim  ' "$dir/out"
ok "make itself says nothing" [ "$(grep -c '^make' "$dir/err")" = 0 ]
ok "in which L2 runs" grep -q 'runs L2' "$dir/out"
ok "--kernel" run_it --kernel 6.1 --frame
ok "whose behaviour is followed" grep -q '^ mmuscope  SIMULATED  sim:kernel=6.1  ' "$dir/out"
ok "--sim" run_it --kernel 6.12 --sim seed=5,hv=svm -- vms -j
ok "what stands behind it" grep -q '"target":"sim:kernel=6.12,seed=5,hv=svm"' "$dir/out"
ok "a command" run_it -- save here.snap
ok "writes where it was called" [ -s "$dir/here.snap" ]
run_it -- vms --nonsense
ok "the status is the command's" [ $? = 2 ]

for words in 'spte 0x8000000000000000' 'role 0x3784' 'help walk' version targets 'completion bash' '--level 3 spte 0x0' '-j version' \
	'diff here.snap here.snap' "run $top/tests/scenarios/01-dirty-two-aliases.scn"; do
	# shellcheck disable=SC2086 # several words
	ok "without a target: $words" run_it -- $words
done
run_it -- doctor
ok "without a target: doctor" [ $? -le 1 ]
ok "a command that takes one, behind an option's value" run_it --kernel 6.1 -- --vm sim:hypervisor vcpus -j
ok "has it" grep -q '"target":"sim:kernel=6.1"' "$dir/out"

for wrong in --nonsense --kernel '--kernel 5.4' '--out x' '--lab --sim seed=1' --sim '--sim --frame' --out; do
	# shellcheck disable=SC2086 # several words
	run_it $wrong
	ok "$wrong: refused" [ $? -eq 2 ]
	ok "$wrong: in one line, nothing else" [ "$(wc -l <"$dir/err")/$(wc -c <"$dir/out")" = 1/0 ]
done
echo "1..$number"
exit $failed
