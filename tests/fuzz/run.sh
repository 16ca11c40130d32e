#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Fuzz what takes foreign content, as TAP. usage: tests/fuzz/run.sh [--deep] [BUILD-DIR]
#
# fuzz_snap: snapshot files; fuzz_audit: what is asked of their records; fuzz_scenario: scenario texts; fuzz_gpt: guest tables and
# registers.
# A fixed number of runs from a fixed seed, so that two goes do the same; with --deep many times as many and a seed of the day. The input
# that failed is left in BUILD-DIR/fuzz and named. Needs clang with libFuzzer; without it the tests are skipped, by name.
set -u
deep=
seed=1
if [ "${1:-}" = --deep ]; then
	deep=1
	seed=$(date +%Y%m%d)
	shift
fi
src=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-${BUILD:-$src/build}}
clang=${CLANG:-}
if [ -z "$clang" ]; then
	for clang in clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14 none; do
		command -v "$clang" >/dev/null 2>&1 && break
	done
fi
out=$build/fuzz
mkdir -p "$out" || exit 1
nr=0
failed=0

say()
{
	nr=$((nr + 1))
	case $1 in 'not ok'*) failed=1 ;; esac
	echo "$1 $nr - $2"
}

echo 1..8
targets='fuzz_snap fuzz_audit fuzz_scenario fuzz_gpt'
if [ "$clang" = none ] || ! echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { return 0; }' |
	"$clang" -fsanitize=fuzzer,address,undefined -x c -o "$out/probe" - >/dev/null 2>&1; then
	for name in $targets; do
		say ok "$name builds # SKIP no clang with libFuzzer (Debian: clang, libclang-rt-dev)"
		say ok "$name # SKIP not built"
	done
	exit 0
fi

cflags="-g -O1 -std=gnu11 -D_GNU_SOURCE -fno-omit-frame-pointer -fno-sanitize-recover=all -I$src/src -I$src -I$build"
# Each file by name: what the fuzzer covers is only what is built with it.
snap_sources="$src/src/target/snapfmt.c $src/src/target/snapfile_read.c $src/src/target/rec.c
	$src/src/base/buf.c $src/src/base/err.c $src/src/base/map.c"
audit_sources="$src/src/audit/*.c $src/src/model/*.c $src/src/spte/*.c $src/src/target/device.c $src/src/target/wp.c $src/tests/fuzz/mend.c $snap_sources"
engine_sources="$src/src/abi/*.c $src/src/nmmu/*.c $src/src/spte/*.c $src/src/hw/*.c $src/src/scenario/*.c
	$src/src/base/buf.c $src/src/base/err.c $src/src/base/map.c"

# What is built of one folder, with a folder of objects of its own. Two at a time.
# objects NAME SOURCES...
objects()
{
	dir=$out/$1.o
	shift
	rm -rf "$dir"
	mkdir "$dir" || return 1
	printf '%s\n' "$@" | (cd "$dir" && xargs -P 2 -I{} sh -c \
		'o=$(echo "$1" | tr / _).o; exec "$2" -fsanitize=fuzzer-no-link,address,undefined $3 -c -o "$o" "$1"' - {} "$clang" "$cflags")
}

# build NAME LIBS OBJECT-FOLDER
build()
{
	# shellcheck disable=SC2086
	if "$clang" $cflags -fsanitize=fuzzer,address,undefined -o "$out/$1" "$src/tests/fuzz/$1.c" "$3"/*.o $2 \
		>"$out/build-$1.log" 2>&1; then
		say ok "$1 builds"
	else
		sed 's/^/# /' "$out/build-$1.log"
		say 'not ok' "$1 builds"
		return 1
	fi
}

# fuzz NAME RUNS RUNS-IF-DEEP MAX_LEN: seeds are in $out/corpus-NAME.
fuzz()
{
	runs=${deep:+$3}
	runs=${runs:-$2}
	began=$(date +%s)
	# New inputs go to a folder of this run: the seeds stay what they are, and a run depends on no earlier one.
	rm -rf "$out/found-$1"
	mkdir "$out/found-$1"
	if "$out/$1" -runs=$runs -seed="$seed" -max_len="$4" -rss_limit_mb=1024 -timeout=20 -verbosity=0 \
		-artifact_prefix="$out/" "$out/found-$1" "$out/corpus-$1" >"$out/run-$1.log" 2>&1; then
		say ok "$1, $runs runs, seed $seed # time=$(($(date +%s) - began))s"
	else
		tail -n 40 "$out/run-$1.log" | sed 's/^/# /'
		say 'not ok' "$1, $runs runs, seed $seed: the input is in $out"
	fi
}

for name in $targets; do
	rm -rf "$out/corpus-$name"
	mkdir "$out/corpus-$name" || exit 1
done

mksnap=$build/tests/unit/mksnap
# Snapshots: every variant of the made-up host, unpacked.
# shellcheck disable=SC2086
if objects snap $snap_sources && build fuzz_snap -lz "$out/snap.o"; then
	for kernel in 6.1 6.12; do
		"$mksnap" ept $kernel raw "$out/corpus-fuzz_snap/ept-$kernel" && "$mksnap" npt $kernel raw "$out/corpus-fuzz_snap/npt-$kernel"
	done && "$mksnap" npt 6.12 passthrough raw "$out/corpus-fuzz_snap/passthrough" &&
		"$mksnap" ept 6.1 extra=4 raw "$out/corpus-fuzz_snap/extra" || echo "# $mksnap: make check builds it"
	fuzz fuzz_snap 20000 2000000 65536
else
	say 'not ok' 'fuzz_snap: not built'
fi

# The auditor: the same, guest tables and pins of the simulated VM, and what some scenarios end with.
# shellcheck disable=SC2086
if objects audit $audit_sources && build fuzz_audit -lz "$out/audit.o"; then
	for name in ept npt; do
		for kernel in 6.1 6.12; do
			"$mksnap" $name $kernel raw "$out/corpus-fuzz_audit/$name-$kernel"
		done
	done
	for spec in sim "sim:$src/tests/scenarios/01-dirty-two-aliases.scn" "sim:$src/tests/scenarios/22-shadowed-while-logged.scn" \
		"sim:$src/tests/scenarios/31-pinned-and-zapped.scn" "sim:$src/tests/scenarios/33-pins-and-recycling.scn"; do
		name=$(basename "$spec" .scn)
		"$build/mmuscope" -T "$spec" save --guest --force "$out/$name.snap" >/dev/null 2>&1 &&
			gzip -dc <"$out/$name.snap" >"$out/corpus-fuzz_audit/$name" || echo "# $name: no seed"
	done
	fuzz fuzz_audit 600 60000 65536
else
	say 'not ok' 'fuzz_audit: not built'
fi

# The engine: scenarios start from those of the tree, tables from nothing.
# shellcheck disable=SC2086
objects engine $engine_sources || failed=1
cp "$src"/tests/scenarios/*.scn "$out/corpus-fuzz_scenario/"
if build fuzz_scenario '' "$out/engine.o"; then fuzz fuzz_scenario 8000 200000 16384; else say 'not ok' 'fuzz_scenario: not built'; fi
printf '\001\100\060' >"$out/corpus-fuzz_gpt/vmx"
printf '\200\100\060' >"$out/corpus-fuzz_gpt/svm"
# A vCPU in SMM stores into tables that another one uses outside it.
printf '\221\034\000\140\140\000\000\124\310\237\234\175\114\336\145\323\170\207\046\330\321\266\017\077\160\003\000\140\140\000\000\124\310\237\234\175\114\336\145\323\170\207\046\330\321\266\302\025\053\001\140\276\131\023\125' >"$out/corpus-fuzz_gpt/smm"
if build fuzz_gpt '' "$out/engine.o"; then fuzz fuzz_gpt 3000 60000 2048; else say 'not ok' 'fuzz_gpt: not built'; fi
exit $failed
