#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every #include of a file of ours obeys the table of folders in doc/internals.md (TAP).
set -u
cd "${SRCDIR:-.}" || exit 1

table=$(awk -F'|' '/^\| (src\/[a-z]+|ui|bpf|kmod|scripts|tests) \|/ { gsub(/ /, "", $2); gsub(/[ -]/, "", $4); sub(/^src\//, "", $2); print $2 ":" $4 }' doc/internals.md)
files=$(git ls-files '*.c' '*.h' '*.def' 2>/dev/null)
[ -n "$files" ] || files=$(find src ui bpf kmod tests -name '*.[ch]' -o -name '*.def')

echo 1..3
count=$(printf '%s\n' "$table" | wc -l)
if [ "$count" -ge 12 ]; then echo "ok 1 - the table has $count folders"; else echo "not ok 1 - the table has $count folders"; fi

# shellcheck disable=SC2086
out=$(printf '%s\n' "$table" | awk '
	function closure(f, d,   n, i, parts) {
		if ((d, f) in seen) return
		seen[d, f] = 1
		n = split(may[f], parts, ",")
		for (i = 1; i <= n; i++) closure(parts[i], d)
	}
	FNR == NR { split($0, kv, ":"); may[kv[1]] = kv[2]; next }
	FNR == 1 {
		dir = FILENAME
		sub(/^src\//, "", dir)
		sub(/\/.*/, "", dir)
		if (!(dir in may)) print FILENAME ": no such folder in the table"
		else closure(dir, dir)
	}
	/^[ \t]*#[ \t]*include[ \t]*"/ {
		split($0, q, "\"")
		inc = q[2]
		total++
		if (inc == "config.h" || inc == "features.h" || inc == "nmmu_events.h" || inc ~ /\.skel\.h$/) next
		if (inc !~ /\//) {
			if (dir != "tests") print FILENAME ":" FNR ": " inc " is included without its folder"
			next
		}
		f = inc
		sub(/\/.*/, "", f)
		if (!((dir, f) in seen)) print FILENAME ":" FNR ": " dir " may not include " inc
	}
	/^[ \t]*#[ \t]*include[ \t]*<.*curses/ { if (FILENAME != "ui/term.c") print FILENAME ":" FNR ": only ui/term.c includes curses" }
	END { print "TOTAL " total }
' - $files)
total=$(printf '%s\n' "$out" | sed -n 's/^TOTAL //p')
bad=$(printf '%s\n' "$out" | grep -v '^TOTAL')
if [ "${total:-0}" -gt 50 ]; then echo "ok 2 - $total includes looked at"; else echo "not ok 2 - only ${total:-0} includes looked at"; fi
if [ -z "$bad" ]; then
	echo "ok 3 - every include follows the table"
else
	echo "not ok 3 - every include follows the table"
	printf '%s\n' "$bad" | sed 's/^/# /'
	exit 1
fi
