#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# scripts/lab keeps its word: output, status, arguments and directory come
# through, the host stays as it is, and nothing is left behind however it
# ends. Boots six machines; what a boot can tell is asked in one.

# shellcheck disable=SC2016,SC2317 # text for the shells inside; functions called by trap and by eval

set -u
top=${SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
lab=$top/scripts/lab
dir=$(mktemp -d) || exit 1
dir=$(cd "$dir" && pwd -P)
# Its machines' directories must be empty in the end.
mkdir "$dir/tmp" "$dir/a dir, with words"
export TMPDIR=$dir/tmp
socket=$dir/tmux
cleanup()
{
	tmux -u -S "$socket" kill-server 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT
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

# machines: how many processes of our machines run; they have our TMPDIR in their arguments.
machines()
{
	grep -laz "$dir/tmp/mmuscope[-]lab" /proc/[0-9]*/cmdline 2>/dev/null | wc -l
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

# Kernels are fetched now, so that no word of it comes among what is compared.
for kernel in 6.1 6.12; do
	"$lab" --kernel $kernel --prepare || echo "# no $kernel kernel"
done

# --- wrong use, and a lab that cannot be had
"$lab" --kernel 2.4 -- true >"$dir/o" 2>"$dir/e"
is "unknown kernel: status" $? 125
is "unknown kernel: one line" "$(wc -l <"$dir/e")" 1
mkdir "$dir/bin"
printf '#!/bin/sh\nexit 100\n' >"$dir/bin/apt-get"
cp "$dir/bin/apt-get" "$dir/bin/apt-cache"
chmod +x "$dir/bin/"*
PATH=$dir/bin:$PATH MMUSCOPE_CACHE=$dir/empty "$lab" -- true >"$dir/o" 2>"$dir/e"
is "no kernel and no network: status" $? 125
is "no kernel and no network: says what" "$(grep -c 'linux-image-amd64 cannot be downloaded' "$dir/e")" 1
"$lab" --tty -- true </dev/null >"$dir/o" 2>"$dir/e"
is "--tty without a terminal: status" $? 125

# --- one boot of 6.1
inside='
uname -r
pwd
printf "<%s>" "$@"; echo
echo to-stderr >&2
test -c /dev/kvm && cat /sys/module/kvm_amd/parameters/nested /sys/module/kvm_amd/parameters/npt
readlink /proc/self/fd/0
echo "$LANG"
echo written >"$OUT/file"
touch "$HOST/touched" ./touched && echo overlay
echo again >/dev/stdout
(sleep 1000 &)
exit 77'
cd "$dir/a dir, with words" || exit 1
export LANG=C.UTF-8
unset LC_ALL
"$lab" --out "$dir/out/new" --module-arg kvm_amd.npt=0 -- env OUT="$dir/out/new" HOST="$dir" \
	bash -c "$inside" bash 'a b' "q'q" 'd"d' '$x' '' '*' $'nl\nx' 'back\slash' >"$dir/o" 2>"$dir/e"
is "6.1: exit status" $? 77
want="$(pwd)
<a b><q'q><d\"d><\$x><><*><nl
x><back\\slash>
1
N
/dev/null
C.UTF-8
overlay
again"
is "6.1: directory, arguments, KVM and its parameters, environment, order" "$(tail -n +2 "$dir/o")" "$want"
is "6.1: the kernel" "$(head -n 1 "$dir/o" | grep -c '^6\.1\.')" 1
is "stderr apart from stdout" "$(cat "$dir/e")" to-stderr
is "--out is written" "$(cat "$dir/out/new/file")" written
is "the host is not" "$(ls -d "$dir/touched" ./touched 2>/dev/null)" ""
cd "$top" || exit 1

# --- one boot of 6.12
head -c 10000000 /dev/urandom >"$dir/bytes"
"$lab" --kernel 6.12 --no-kvm -- \
	bash -c 'uname -r >&2; ls /sys/module/kvm_amd >&2; cat "$0"; kill -SEGV $$' "$dir/bytes" \
	>"$dir/o" 2>"$dir/e"
is "6.12: a signal's status" $? 126
is "6.12: the kernel" "$(grep -c '^6\.12\.' "$dir/e")" 1
is "--no-kvm" "$(grep -c 'kvm_amd.*No such file' "$dir/e")" 1
is "10 MB of any bytes come whole" "$(cmp "$dir/o" "$dir/bytes" && echo same)" same

# --- ends of other kinds
"$lab" --timeout 2 -- sleep 1000 >/dev/null 2>&1
is "--timeout: status" $? 124
"$lab" -- sleep 1000 >/dev/null 2>&1 &
pid=$!
within 10 eval '[ "$(machines)" -ge 3 ]'
sleep 0.5
kill -TERM $pid
wait $pid
is "SIGTERM: status" $? 143
is "SIGTERM: no machine stays" "$(machines)" 0
is "no directory stays" "$(ls "$dir/tmp")" ""
"$lab" -- sleep 1000 >/dev/null 2>&1 &
pid=$!
sleep 1.5
kill -KILL $pid
{ wait $pid; } 2>/dev/null
within 5 eval '[ "$(machines)" -eq 0 ]'
is "SIGKILL: no machine stays" "$(machines)" 0
rm -rf "$dir/tmp"
mkdir "$dir/tmp"

# --- a terminal
tmux -u -S "$socket" -f /dev/null new-session -d -x 93 -y 27 \
	"stty -g >'$dir/before'; '$lab' --no-kvm --tty -- bash -c 'stty size; printf é; echo; tty; until
		[ \"\$(stty size)\" = \"24 81\" ]; do sleep 0.1; done; stty size; exit 9'
	echo status \$?; stty -g >'$dir/after'; sleep 100"
screen()
{
	tmux -u -S "$socket" capture-pane -p
}
within 30 eval 'screen | grep -q ^/dev/ttyS1'
is "--tty: the window's size" "$(screen | grep -cx '27 93')" 1
is "--tty: UTF-8" "$(screen | grep -cx é)" 1
tmux -u -S "$socket" resize-window -x 81 -y 24
within 10 eval 'screen | grep -q ^status'
is "--tty: a change of size" "$(screen | grep -cx '24 81')" 1
is "--tty: exit status" "$(screen | grep ^status)" "status 9"
within 5 test -s "$dir/after"
is "--tty: modes as before" "$(cat "$dir/after")" "$(cat "$dir/before")"

# --- counted time: the same loop twice, in microseconds
loop='f() { for ((i = 0; i < 5000; i++)); do :; done; }
f; a=$EPOCHREALTIME; f; b=$EPOCHREALTIME; echo $((${b/./} - ${a/./}))'
first=$("$lab" --icount --no-kvm -- bash -c "$loop")
second=$("$lab" --icount --no-kvm -- bash -c "$loop")
echo "# counted: $first us, $second us"
difference=$((first > second ? first - second : second - first))
is "--icount: two runs within 0.2 %" $((first > 10000 && difference * 500 <= first)) 1

is "nothing is left behind" "$(machines) $(ls "$dir/tmp")" "0 "
echo "1..$number"
exit $failed
