#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What comes out: JSON by the schema, text and JSON alike, colours, redaction, foreign names.
. "$SRCDIR/tests/cli/tap-lib"
needs_schema
snapshot "$T/a.snap" npt 6.1 "owner=$(printf 'x\033]0;p\007\377"')"
snapshot "$T/e.snap" ept 6.12
snapshot "$T/p.snap" npt 6.12 passthrough
A="-T snap:$T/a.snap"
page=$("$M" $A sps --list --vm 4242 --level 1 --state mmio --no-header | sed -n '1s/ .*//p')

$python "$SRCDIR/tests/cli/schema.py" self "$SRCDIR/doc/schema.json"
ok 'the schema is one'

cat >"$T/good.scn" <<'END'
scenario the log has what was written
rule E.1
bug pml-l2
machine svm
slot 0 gfn=0 pages=16 log=on
write 0x3000 value=7
log get 0
expect log 0 3
expect memory 0x3000 value=7
with pml-l2 expect dirty 0 5
END
sed -e '/^bug/d' -e '/^with/d' -e 's/expect log 0 3/expect log 0 4/' "$T/good.scn" >"$T/false.scn"
printf 'machine svm\nwrite 0x3000\nkick\nexpect pages count>=0\n' >"$T/unsaid.scn"

# One command a line; each in every form, validated.
cat >"$T/commands" <<END
vms
vms --vm 4242
vcpus --vm 4242
slots --vm 4242
mmus --vm 4242
mmus --vm 4242 --mmu guest
sps --vm 4242
sps --vm 4242 --list --state torn
sp $page --vm 4242
sp $page --vm 4242 --state mmio
leaves --vm 4242
leaves --vm 4242 --mmu guest --state rw
leaves --vm 4343
leaves --vm 4242 --mmu guest --address 0xa0fff
leaves --vm 4242 --address 0xdead0000
save $T/saved.snap --force
run $SRCDIR/tests/scenarios
spte 0x8600000012345b77
spte 0x0600000012345b77
spte 0x12300000fee0022e --format ept-6.1
spte 0 --level 2
role 0x3784
role --layout cpu 0x8100003784
help
help sps
help role
help states
help formats
help exit
help bugs
help options
version
targets
END
while read -r line; do
	case $line in save*) forms='-j' ;; *) forms='-j -p -j/--redact' ;; esac
	for form in $forms; do
		# Some read no target.
		case $line in run* | spte* | role* | help* | targets | version) target='' ;; *) target=$A ;; esac
		run 0 $target $line $(echo "$form" | tr / ' ') && $python "$SRCDIR/tests/cli/schema.py" check "$SRCDIR/doc/schema.json" "$T/out"
		ok "schema: $line $form"
	done
done <"$T/commands"
# What it finds depends on the host; that it says so in the right form does not.
for form in -j '-j --redact'; do
	"$M" doctor $form >"$T/out" 2>"$T/err"
	case $?/$($python -c 'import json, sys; print(json.load(open(sys.argv[1]))["verdict"]["live"])' "$T/out") in
	1/missing | 0/ok | 0/limited | 0/unknown) ;;
	*) false ;;
	esac && $python "$SRCDIR/tests/cli/schema.py" check "$SRCDIR/doc/schema.json" "$T/out"
	ok "schema: doctor $form"
done
# A play that fails is a row and status 1, and the row says where and what.
python_says() { $python -c "import json, sys; p = json.load(open(sys.argv[1]))['plays']; sys.exit(not ($1))" "$T/out"; }
run 1 run "$T/good.scn" -j && $python "$SRCDIR/tests/cli/schema.py" check "$SRCDIR/doc/schema.json" "$T/out" &&
	python_says "[r['result'] for r in p] == ['passed', 'failed'] * 2 and [r['kernel'] for r in p] == ['6.1', '6.1', '6.12', '6.12'] and
		p[1]['bugs'] == ['pml-l2'] and p[1]['where'].endswith('good.scn:10:1') and p[1]['found'] == 'marked are: none'"
ok 'a bug of the head is played beside: schema: run'
run 1 run "$T/false.scn" -j && python_says "p[0]['where'].endswith('false.scn:7:1') and p[0]['found'] == 'the log was: 3'"
ok 'what was expected and is not so'
run 1 run "$T/unsaid.scn" -j && python_says "p[0]['where'].endswith('unsaid.scn:2:1') and 'nobody expected: mmio' in p[0]['found']"
ok 'an outcome that nobody expected'
mkdir "$T/mixed" && cp "$T/unsaid.scn" "$T/mixed/a.scn" && printf 'machine vmx\nfoo\n' >"$T/mixed/b.scn" &&
	printf 'machine vmx\nkick\n' >"$T/mixed/c.scn" && printf 'machine vmx\ntable t ept4 pool=1+1\nexpect root none\n' >"$T/mixed/d.scn"
run 2 run "$T/mixed" -j && python_says "[r['result'] for r in p] == ['failed', 'failed', 'wrong', 'wrong', 'wrong'] and
	[r['where'].split('/')[-1] for r in p][2:] == ['b.scn:2:1', 'c.scn:1:1', 'd.scn:2:19']" &&
	$python "$SRCDIR/tests/cli/schema.py" check "$SRCDIR/doc/schema.json" "$T/out"
ok 'of several files the bad ones are named and the others are played'
run 2 run "$T/mixed" && awk 'length > 80 && !/\/mixed\// { bad = 1 } END { exit bad }' "$T/out"
ok 'a play is a short row'
run 0 run "$SRCDIR/tests/scenarios" && grep -q '^failed  *0$' "$T/out"
ok 'every scenario passes'
for snap in e p; do
	for line in vms 'mmus --vm 4242' 'sps --vm 4242' 'leaves --vm 4242'; do
		run 0 -T "snap:$T/$snap.snap" $line -j && $python "$SRCDIR/tests/cli/schema.py" check "$SRCDIR/doc/schema.json" "$T/out"
		ok "schema: $snap.snap $line"
	done
done

for line in 'vms' 'slots --vm 4242' 'sps --vm 4242 --list' "sp $page --vm 4242" 'leaves --vm 4242' 'spte 0x8600000012345b77'; do
	case $line in spte*) target='' ;; *) target=$A ;; esac
	run 0 $target $line && mv "$T/out" "$T/text" && run 0 $target $line -j &&
		$python "$SRCDIR/tests/cli/schema.py" agree "$T/text" "$T/out"
	ok "text and JSON say the same: $line"
done

run 0 $A vms && ! grep -q "$(printf '[\033\007]')" "$T/out" && grep -qF 'x\x1b]0;p\x07\xff"' "$T/out"
ok 'a process name cannot reach the terminal'

run 0 $A sps --vm 4242 --color always && grep -q "$(printf '\033')" "$T/out"
ok '--color always colours a pipe'
run 0 $A sps --vm 4242 && ! grep -q "$(printf '\033')" "$T/out"
ok 'a pipe is not coloured by itself'
# script(1) gives it a terminal.
tty() { TERM=xterm script -qec "$M $A sps --vm 4242 --level 1 $*" /dev/null </dev/null; }
if command -v script >/dev/null; then
	tty | grep -q "$(printf '\033\[3')"
	ok 'a terminal is coloured'
	! NO_COLOR=1 tty | grep -q "$(printf '\033\[3')"
	ok 'NO_COLOR is respected'
	NO_COLOR='' tty | grep -q "$(printf '\033\[3')"
	ok 'NO_COLOR without value means nothing'
	NO_COLOR=1 tty --color always | grep -q "$(printf '\033\[3')"
	ok 'but --color always goes before it'
	! tty --color never | grep -q "$(printf '\033\[3')"
	ok '--color never'
else
	for i in 1 2 3 4 5; do n=$((n + 1)); echo "ok $n # SKIP script(1) is not there"; done
fi

# What is secret is taken from the JSON of the same command; none of it may be in the redacted output.
for line in 'vms' 'vcpus --vm 4242' 'slots --vm 4242' 'mmus --vm 4242' 'sps --vm 4242' "sp $page --vm 4242" 'leaves --vm 4242'; do
	run 0 $A $line -j && mv "$T/out" "$T/plain"
	for how in '' -j; do
		run 0 $A $line --redact $how && $python "$SRCDIR/tests/cli/schema.py" leaks "$T/plain" "$T/out" "$T"
		ok "nothing leaks: $line --redact $how"
	done
	cp "$T/out" "$T/once" && run 0 $A $line --redact -j && cmp -s "$T/once" "$T/out"
	ok "and it is the same each time: $line"
done
run 2 $A sps --redact && ! grep -q '4242\|4343\|0xffff' "$T/err"
ok 'nor does an error message'

# Long texts are wrapped, side by side or one below the other.
for line in 'help bugs' doctor help 'help options' 'events --list'; do
	TERM=xterm script -qec "stty cols 80; $M $line --color never" /dev/null </dev/null | tr -d '\r' >"$T/out"
	[ "$(wc -l <"$T/out")" -gt 10 ] && ! grep -q '^.\{81\}' "$T/out"
	ok "80 columns are enough: $line"
done

# Every command and option is in --help and in the manual.
run 0 help -j && cp "$T/out" "$T/help" && run 0 --help &&
	$python "$SRCDIR/tests/cli/schema.py" manual "$T/help" "$T/out" "$SRCDIR/doc/mmuscope.1"
ok 'help and manual know every command and option'
run 0 help bugs -j && $python "$SRCDIR/tests/cli/schema.py" bugs "$T/out" "$SRCDIR/doc/mmuscope.1" "$SRCDIR"
ok 'the manual has the bug switches as help has them'
if command -v mandoc >/dev/null; then
	[ -z "$(mandoc -Tlint -Wwarning "$SRCDIR"/doc/*.[14] 2>&1)" ]
	ok 'mandoc finds nothing to say'
else
	n=$((n + 1)); echo "ok $n # SKIP mandoc is not there"
fi

"$M" completion bash >"$T/completion" && bash -n "$T/completion" && bash -c ". '$T/completion'"'
	COMP_WORDS=(mmuscope sps --sta) COMP_CWORD=2; _mmuscope; [ "${COMPREPLY[*]}" = --state ] || exit 1
	COMP_WORDS=(mmuscope -T live sps --mmu g) COMP_CWORD=5; _mmuscope; [ "${COMPREPLY[*]}" = guest ] || exit 1
	COMP_WORDS=(mmuscope sl) COMP_CWORD=1; _mmuscope; [ "${COMPREPLY[*]}" = slots ]'
ok 'bash completion'

# The prompt, as a script.
printf '%s\n' '# a comment' '' "sps --vm 4242 --list --no-header | wc -l" '!echo shell' 'nonsense' 'role 0x3784 --no-header' quit 'role 1' |
	"$M" $A prompt >"$T/out" 2>"$T/err"
[ $? -eq 0 ] && [ "$(sed -n 1p "$T/out")" -gt 10 ] && grep -qx shell "$T/out" && grep -q 'L4 direct' "$T/out" &&
	! grep -q 'L1 ---' "$T/out" && grep -q 'nonsense: no such command' "$T/err"
ok 'the prompt'
echo nonsense | "$M" $A prompt 2>/dev/null
[ $? -eq 2 ]
ok "the prompt's status is its last command's"
# Words that ask for help leave the others unchecked: nothing may then run with arguments that are not there.
for words in 'spte -h' 'role --help' 'save -h' 'sp -h' 'leaves -V' 'spte --version' '-h' '-V'; do
	echo "$words" | "$M" $A prompt >"$T/out" 2>&1 && [ -s "$T/out" ]
	ok "the prompt: $words"
done
finish
