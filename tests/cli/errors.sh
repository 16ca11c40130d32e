#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Bad input, unreadable targets and outputs: one clear line, the right status.
. "$SRCDIR/tests/cli/tap-lib"
snapshot "$T/a.snap" npt 6.1

# bad STATUS PART WORDS...: this status, nothing on stdout, one line on stderr that has PART.
bad() {
	status=$1
	part=$2
	shift 2
	run "$status" "$@" && [ ! -s "$T/out" ] && [ "$(wc -l <"$T/err")" -eq 1 ] && grep -q '^mmuscope: ' "$T/err" &&
		grep -qF -- "$part" "$T/err" || { echo "# got: $(cat "$T/err")"; false; }
	ok "$status: mmuscope $*"
}

bad 2 'did you mean `vms' vmss
bad 2 'no such command' xyzzy
bad 2 'no such option' vms --nope
bad 2 'no such option' vms -Q
bad 2 'twice' vms -j --json
bad 2 'contradict' sps --tree --list
bad 2 'takes no --gfn' vms --gfn 1
bad 2 'usage: mmuscope sp SP' sp
bad 2 'too many words' spte 1 2
bad 2 'not a 64-bit value' spte 0x12g
bad 2 'not a 64-bit value' spte 0x10000000000000000
bad 2 'not a value' spte 1 --level 6
bad 2 'not a value' spte 1 --format ept
bad 2 'not a role word' role -- -1
bad 2 'known: confirmed' -T "snap:$T/a.snap" sps --state foo
bad 2 'name one with --vm' -T "snap:$T/a.snap" sps
bad 2 'no such VM' -T "snap:$T/a.snap" sps --vm 1
bad 2 'no shadow page at 0x123' -T "snap:$T/a.snap" sp 0x123 --vm 4242
bad 2 'no shadow page at 0x123' -T "snap:$T/a.snap" leaves --root 0x123 --vm 4242
bad 2 'cannot be redacted' -T "snap:$T/a.snap" save "$T/x" --redact
for command in doctor targets help version 'spte 1' 'role 1' "run $T" 'completion bash'; do
	bad 2 'takes no --target' $command -T sim
	bad 2 'takes no --buffer-pages' --buffer-pages 2 $command
done
bad 2 'takes no --json' completion bash -j
bad 2 'takes no --json' prompt -j
bad 2 'not a stream' -T sim save -
bad 2 'no such target' -T nowhere vms
bad 2 'SPEC is missing' -T vms
bad 2 'SPEC is missing' -T leaves --mmu guest
bad 2 'an address A' -T "snap:$T/a.snap" leaves --vm 4242 -a 5-4
bad 3 'none.snap' -T "snap:$T/none.snap" vms
head -c 200 "$T/a.snap" >"$T/cut.snap"
bad 3 'cut.snap' -T "snap:$T/cut.snap" vms
echo nonsense >"$T/text.snap"
bad 3 'text.snap' -T "snap:$T/text.snap" vms
mkdir "$T/dir"
bad 3 'dir' -T "snap:$T/dir" vms
bad 3 '/nonexistent' -T "snap:$T/a.snap" save /nonexistent/x
bad 2 'no shell it knows' completion tcsh

# Scenarios: file, line and column, before anything is played.
bad_scenario() {
	part=$1
	shift
	printf '%s\n' "$@" >"$T/bad.scn"
	bad 2 "bad.scn:$part" run "$T/bad.scn"
}
bad_scenario '1:1: there is no machine' '# nothing'
bad_scenario "2:1: no statement begins with 'slott'" 'machine vmx' 'slott 1'
bad_scenario "1:9: machine: 'arm' is none of vmx|svm" 'machine arm'
bad_scenario '1:1: there is no machine yet' 'slot 1 gfn=0'
bad_scenario "2:8: no name 'X' is known here" 'machine vmx' 'write  X'
bad_scenario '2:24: the number has more than 64 bits' 'machine vmx' 'read 0x12345678901234567'
bad_scenario "2:7: not a digit of this number" 'machine vmx' 'read 1z'
bad_scenario '2:10: a number is missing' 'machine vmx' 'read 0x1+'
bad_scenario '3:8: a number is missing' 'machine vmx' 'table t ept4 pool=1+9' 'read t['
bad_scenario "2:8: \`read' takes no 'values='" 'machine vmx' 'read 1 values=1'
bad_scenario '2:6: only an expectation can compare' 'machine vmx' 'kick vcpu>=1'
bad_scenario "2:20: event fault has no field 'x'" 'machine vmx' 'expect event fault x=1'
bad_scenario "2:5: 'x' is no table" 'machine vmx' 'map x 1 -> 2'
bad_scenario "3:9: '->' is missing" 'machine vmx' 'table t ept4 pool=1+1' 'map t 1 2'
bad_scenario "2:1: \`repeat' without \`end'" 'machine vmx' 'repeat 3'
bad_scenario '2:1: nothing is open that could end' 'machine vmx' 'end'
bad_scenario "2:4: 'nowhere' is no yield point" 'machine vmx' 'at nowhere do kick'
bad_scenario "2:6: 'nobug' is no bug switch" 'machine vmx' 'with nobug kick'
bad_scenario '2:16: 3-1 is no range of pages' 'machine vmx' 'log clear 1 3-1'
bad_scenario "2:22: \`expect pages' is not complete" 'machine vmx' 'expect pages  level=1#'
bad_scenario "2:12: \`poke' is not complete" 'machine vmx' 'poke 0x1000'
bad 3 'none.scn' run "$T/none.scn"
mkdir "$T/empty"
bad 2 'there is no scenario in it' run "$T/empty"
bad 2 'not a value for it' run --bug nosuch "$T/empty"
bad 2 'not a value for it' run --bug pml-l2,pml-l2 "$T/empty"
bad 2 'given twice' run --bug pml-l2 --bug no-flush "$T/empty"
bad 2 'something is missing' run
head -c 1048577 /dev/zero | tr '\0' '\n' >"$T/long.scn"
bad 2 'long.scn:1:1: more than 1048576 bytes' run "$T/long.scn"

run 0 -T "snap:$T/a.snap" save "$T/b.snap" && cmp -s "$T/a.snap" "$T/b.snap"
ok 'a saved snapshot is the snapshot'
[ "$(stat -c %a "$T/b.snap")" = 600 ]
ok 'and its owner alone can read it'
run 3 -T "snap:$T/a.snap" save "$T/b.snap" && run 0 -T "snap:$T/a.snap" save "$T/b.snap" --force
ok 'it is replaced with --force only'

run 2 && [ ! -s "$T/out" ] && grep -q '^vms ' "$T/err" && grep -q 'no command' "$T/err"
ok 'no command: the list, and status 2'

# Words, terminal escapes in them: nothing of it reaches the terminal.
"$M" "$(printf 'v\033[2Jms')" 2>"$T/err"
! grep -q "$(printf '\033')" "$T/err"
ok 'escape sequences in words are not echoed'
"$M" -T "$(printf 'snap:/no\033[2J\nx')" vms 2>"$T/err"
! grep -q "$(printf '\033')" "$T/err" && [ "$(wc -l <"$T/err")" -eq 1 ]
ok 'nor in a target'

for how in '' -j; do
	"$M" -T "snap:$T/a.snap" sps --vm 4242 $how >/dev/full 2>"$T/err"
	[ $? -eq 3 ] && grep -q 'No space left' "$T/err" && [ "$(wc -l <"$T/err")" -eq 1 ]
	ok "a full disk is status 3 $how"
done
"$M" help >&- 2>"$T/err"
[ $? -eq 3 ]
ok 'a closed output is status 3'

snapshot "$T/big.snap" npt 6.1 extra=40
{ "$M" -T "snap:$T/big.snap" leaves --vm 4242 2>"$T/err"; echo $? >"$T/status"; } | head -n 1 >/dev/null
[ ! -s "$T/err" ] && [ "$(cat "$T/status")" -eq 3 ]
ok 'a reader that goes away: not a word, and no 0'
# --- what stands behind sim: and kmod: ---
for target in sim kmod; do
	run 2 -T "$target:$SRCDIR/README.md" sps && grep -q "README.md is no scenario: its name does not end in .scn" "$T/err"
	ok "-T $target: of a file that is no scenario that is said"
done
run 2 -T kmod sps && grep -q 'no scenario is named' "$T/err"
ok '-T kmod names none'
if [ ! -e /dev/mmuscope ]; then
	run 3 -T "kmod:$SRCDIR/tests/scenarios/07-pml12.scn" sps && grep -q 'the kernel module is not loaded' "$T/err" && [ "$(wc -l <"$T/err")" = 1 ]
	ok '-T kmod: without the module what to do is said'
fi
finish
