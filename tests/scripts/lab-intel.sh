#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# scripts/lab --vendor intel keeps its word: output, status, arguments and directory come through, both kernels
# have EPT, PML and nested VMX, what it was asked to take along is there, and nothing is left behind however it ends.

# shellcheck disable=SC2016,SC2317 # text for the shells inside; functions called by trap and by eval

set -u
top=${SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
lab=$top/scripts/lab
dir=$(mktemp -d) || exit 1
dir=$(cd "$dir" && pwd -P)
# Its machines' directories must be empty in the end.
mkdir "$dir/tmp" "$dir/a dir, with words" "$dir/taken" "$dir/out"
export TMPDIR=$dir/tmp
trap 'rm -rf "$dir"' EXIT
number=0 failed=0

is()
{
	number=$((number + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $number - $1"
	else
		failed=1
		echo "not ok $number - $1"
		printf 'wanted: %s\ngot:    %s\n' "$3" "$2" | sed 's/^/# /'
	fi
}

# machines: how many of our machines run: processes whose directory is below our TMPDIR.
machines()
{
	local p n=0

	for p in /proc/[0-9]*; do
		[[ $(readlink "$p/cwd" 2>/dev/null) != "$dir"/tmp/* ]] || n=$((n + 1))
	done
	echo $n
}

# within SECONDS COMMAND...: until it succeeds.
within()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# What is fetched and made once is so now, that no word of it comes among what is compared.
for kernel in 6.1 6.12; do
	"$lab" --vendor intel --kernel $kernel --prepare || echo "# no $kernel kernel"
done

# --- wrong use, and a machine that cannot be had
for wrong in '--vendor other' '--vendor intel --smp 2' '--vendor intel --icount' '--vendor intel --kaslr' '--vendor intel --tty' '--with /etc' \
	'--vendor intel --mem 4000' '--vendor intel --with /usr'; do
	# shellcheck disable=SC2086 # words
	"$lab" $wrong -- true </dev/null >"$dir/o" 2>"$dir/e"
	is "$wrong: status, and one line" "$? $(wc -l <"$dir/e")" "125 1"
done
mkdir "$dir/bin"
printf '#!/bin/sh\nexec sleep 100\n' >"$dir/bin/bochs"
chmod +x "$dir/bin/bochs"
start=$SECONDS
PATH=$dir/bin:$PATH "$lab" --vendor intel --timeout 2 -- true >"$dir/o" 2>"$dir/e"
is "a machine that does nothing: --timeout ends it" "$? $((SECONDS - start < 20)) $(wc -l <"$dir/e")" "124 1 1"
printf '#!/bin/sh\necho no such CPU >&2\nexit 1\n' >"$dir/bin/bochs"
PATH=$dir/bin:$PATH "$lab" --vendor intel -- true >"$dir/o" 2>"$dir/e"
is "a machine that dies: status" $? 125
is "a machine that dies: one line says why" "$(cat "$dir/e")" "lab: the machine ended without a result: no such CPU"
# Bytes of a machine's own are no output, wherever they stand, and packets may come in pieces.
printf '#!/bin/sh\nprintf "words\\036\\036Lo\\003"; sleep 0.2; printf "\\000one\\036Lq words\\036Lu\\001\\0001"
printf "\\036Le\\002\\000ab"; printf "\\036Ls\\002\\0005\\n"; exec sleep 100\n' >"$dir/bin/bochs"
PATH=$dir/bin:$PATH "$lab" --vendor intel -- true >"$dir/o" 2>"$dir/e"
is "packets among other bytes" "$? $(cat "$dir/o") $(cat "$dir/e")" "5 one ab"

printf '#!/bin/sh\nprintf "\\036Lo\\010\\000started\\n"; exec sleep 100\n' >"$dir/bin/bochs"
PATH=$dir/bin:$PATH "$lab" --vendor intel --timeout 2 -- true >"$dir/o" 2>"$dir/e"
is "--timeout: status, what was said before, one line" "$? $(cat "$dir/o") $(wc -l <"$dir/e")" "124 started 1"
printf '#!/bin/sh\nwhile :; do printf "\\036Lo\\002\\000y\\n"; done\n' >"$dir/bin/bochs"
PATH=$dir/bin:$PATH "$lab" --vendor intel -- true 2>"$dir/e" | head -n 1 >"$dir/o"
is "nobody reads: status, and it ends" "${PIPESTATUS[0]} $(cat "$dir/o")" "141 y"

# --- two runs, and a file of the root that changes between them: the root that the first has is not taken from it
mkdir "$dir/intel" "$dir/cache"
cp "$top/scripts/intel/root" "$top/scripts/intel/loader.S" "$top/scripts/intel/channel.c" "$dir/intel/"
echo "$dir/listed" >"$dir/intel/root.list"
echo one >"$dir/listed"
# prepared COMMAND: what scripts/lab does before it puts a disk together, and the command in its place.
prepared()
{
	MMUSCOPE_CACHE=$dir/cache bash -c '. "$0/scripts/lib.sh" && . "$0/scripts/lib-kernel.sh" && . "$0/scripts/lib-intel.sh"
		MS_INTEL=$1/intel dir=$1
		intel_prepare
		eval "$2"
		intel_done' "$top" "$dir" "$1"
}
prepared 'was=$(cat "$intel_root_dir/files"; stat -c %i "$intel_root_dir/system.squashfs"); : >"$dir/first"
	until [ -e "$dir/go" ]; do sleep 0.1; done
	is=$(cat "$intel_root_dir/files"; stat -c %i "$intel_root_dir/system.squashfs")
	[ "$was" = "$is" ] && echo same >"$dir/kept"' 2>"$dir/e" &
first=$!
within 30 test -e "$dir/first"
echo another >"$dir/listed"
prepared ': >"$dir/second"; cut -f 1,3 "$intel_root_dir/files" | grep listed >"$dir/renewed"' 2>"$dir/e2" &
second=$!
within 2 test -e "$dir/second"
is "a root in use: who renews it waits" $? 1
: >"$dir/go"
wait $first
is "a root in use: it stays as it was" "$(cat "$dir/kept" "$dir/e")" same
wait $second
is "and is renewed then" "$(cut -f 2 "$dir/renewed") $(cat "$dir/e2")" "8 "
# Unchanged it is used as it is, by two at once.
prepared ': >"$dir/third"; until [ -e "$dir/fourth" ]; do sleep 0.1; done' &
third=$!
within 10 test -e "$dir/third"
prepared ': >"$dir/fourth"' &
within 10 test -e "$dir/fourth"
is "a root in use: not renewed, another may use it" $? 0
: >"$dir/fourth"
wait $third

# --- one boot of 6.1; without A and D bits there is no PML
inside='
uname -r
pwd
printf "<%s>" "$@"; echo
echo to-stderr >&2
cd /sys/module/kvm_intel/parameters && cat ept pml nested eptad && cd "$OLDPWD"
test -c /dev/kvm && echo kvm
readlink /proc/self/fd/0
echo "$LANG"
cat "$HOST/taken/file" "$OUT/before"
echo written >"$OUT/file"
touch "$HOST/touched" ./touched && echo throw-away
"$TOP/build/mmuscope" vms -j | jq -c .vms
python3 -c "import json, subprocess; print(json.dumps(1))"
echo again >/dev/stdout
(sleep 1000 &)
exit 77'
echo taken >"$dir/taken/file"
echo before >"$dir/out/before"
cd "$dir/a dir, with words" || exit 1
export LANG=C.UTF-8
unset LC_ALL
"$lab" --vendor intel --with "$dir/taken" --out "$dir/out" --module-arg kvm_intel.eptad=0 -- env OUT="$dir/out" HOST="$dir" TOP="$top" \
	bash -c "$inside" bash 'a b' "q'q" 'd"d' '$x' '' '*' $'nl\nx' 'back\slash' >"$dir/o" 2>"$dir/e"
is "6.1: exit status" $? 77
want="$(pwd)
<a b><q'q><d\"d><\$x><><*><nl
x><back\\slash>
Y
N
Y
N
kvm
/dev/null
C.UTF-8
taken
before
throw-away
[]
1
again"
is "6.1: directory, arguments, KVM and its parameters, environment, files, order" "$(tail -n +2 "$dir/o")" "$want"
is "6.1: the kernel" "$(head -n 1 "$dir/o" | grep -c '^6\.1\.')" 1
is "stderr apart from stdout" "$(cat "$dir/e")" to-stderr
is "--out is written" "$(cat "$dir/out/file")" written
is "the host is not" "$(ls -d "$dir/touched" ./touched 2>/dev/null)" ""
cd "$top" || exit 1

# --- one boot of 6.12, and a file that only the command names
head -c 3000000 /dev/urandom >"$dir/bytes"
"$lab" --vendor intel --kernel 6.12 --no-kvm -- \
	bash -c 'uname -r >&2; ls /sys/module/kvm_intel >&2; cat "$0"; kill -SEGV $$' "$dir/bytes" >"$dir/o" 2>"$dir/e"
is "6.12: a signal's status" $? 126
is "6.12: the kernel" "$(grep -c '^6\.12\.' "$dir/e")" 1
is "--no-kvm" "$(grep -c 'kvm_intel.*No such file' "$dir/e")" 1
is "3 MB of any bytes come whole" "$(cmp "$dir/o" "$dir/bytes" && echo same)" same

# --- ends of other kinds
"$lab" --vendor intel --no-kvm -- sh -c 'echo started; echo c >/proc/sysrq-trigger' >"$dir/o" 2>"$dir/e"
is "a panic: status, what was said before, one line" "$? $(cat "$dir/o") $(wc -l <"$dir/e") $(grep -c 'Kernel panic' "$dir/e")" "125 started 1 1"
for signal in TERM KILL; do
	"$lab" --vendor intel -- sleep 1000 >/dev/null 2>&1 &
	pid=$!
	within 20 eval '[ "$(machines)" -ge 1 ]'
	is "SIG$signal: a machine was there" $? 0
	sleep 0.5
	kill -$signal $pid
	{ wait $pid; } 2>/dev/null
	status=$?
	[ $signal = KILL ] || is "SIGTERM: status" $status 143
	within 5 eval '[ "$(machines)" -eq 0 ]'
	is "SIG$signal: no machine stays" "$(machines)" 0
	[ $signal = KILL ] || is "SIGTERM: no directory stays" "$(ls "$dir/tmp")" ""
done
rm -rf "$dir/tmp"
mkdir "$dir/tmp"
is "nothing is left behind" "$(machines) $(ls "$dir/tmp")" "0 "
echo "1..$number"
exit $failed
