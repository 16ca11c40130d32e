#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Fuzz what reads foreign files, as TAP. usage: tests/fuzz/run.sh [--deep] [BUILD-DIR]
#
# A fixed number of runs from a fixed seed, so that two goes do the same: 20,000, with --deep 2,000,000 and a seed of the day. The input that
# failed is left in BUILD-DIR/fuzz and named. Needs clang with libFuzzer; without it the tests are skipped, by name.
set -u
runs=20000
seed=1
if [ "${1:-}" = --deep ]; then
	runs=2000000
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

echo 1..2
cflags="-g -O1 -std=gnu11 -D_GNU_SOURCE -fno-omit-frame-pointer -fno-sanitize-recover=all -I$src/src -I$src -I$build"
# Each file by name: what the fuzzer covers is only what is built with it.
sources="$src/tests/fuzz/fuzz_snap.c $src/src/target/snapfmt.c $src/src/target/snapfile_read.c $src/src/target/rec.c
	$src/src/base/buf.c $src/src/base/err.c $src/src/base/map.c"
# shellcheck disable=SC2086
if [ "$clang" = none ] || ! echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { return 0; }' |
	"$clang" -fsanitize=fuzzer,address,undefined -x c -o "$out/probe" - >/dev/null 2>&1; then
	echo "ok 1 - fuzz_snap builds # SKIP no clang with libFuzzer (Debian: clang, libclang-rt-dev)"
	echo "ok 2 - fuzz_snap # SKIP not built"
	exit 0
fi
# shellcheck disable=SC2086
if ! "$clang" $cflags -fsanitize=fuzzer,address,undefined -o "$out/fuzz_snap" $sources -lz \
	>"$out/build.log" 2>&1; then
	sed 's/^/# /' "$out/build.log"
	echo "not ok 1 - fuzz_snap builds"
	echo "not ok 2 - fuzz_snap"
	exit 1
fi
echo "ok 1 - fuzz_snap builds"

# Seeds: every variant of the made-up host, unpacked.
mksnap=$build/tests/unit/mksnap
rm -rf "$out/corpus"
mkdir "$out/corpus" || exit 1
if [ ! -x "$mksnap" ]; then
	echo "# $mksnap is not there: make check builds it"
	echo "not ok 2 - fuzz_snap"
	exit 1
fi
for kernel in 6.1 6.12; do
	"$mksnap" ept $kernel raw "$out/corpus/ept-$kernel" && "$mksnap" npt $kernel raw "$out/corpus/npt-$kernel" || exit 1
done
"$mksnap" npt 6.12 passthrough raw "$out/corpus/passthrough" &&
	"$mksnap" ept 6.1 extra=4 raw "$out/corpus/extra" || exit 1

began=$(date +%s)
# New inputs go to a folder of this run: the seeds stay what they are, and a run depends on no earlier one.
rm -rf "$out/found"
mkdir "$out/found"
if "$out/fuzz_snap" -runs=$runs -seed="$seed" -max_len=65536 -rss_limit_mb=1024 -timeout=10 -verbosity=0 \
	-artifact_prefix="$out/" "$out/found" "$out/corpus" >"$out/run.log" 2>&1; then
	echo "ok 2 - fuzz_snap, $runs runs, seed $seed # time=$(($(date +%s) - began))s"
	exit 0
fi
tail -n 40 "$out/run.log" | sed 's/^/# /'
echo "not ok 2 - fuzz_snap, $runs runs, seed $seed: the input is in $out"
exit 1
