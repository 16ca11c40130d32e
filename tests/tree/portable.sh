#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# src/nmmu and src/spte can go into a kernel: compiled without a C library's headers being needed, for a small stack, they ask
# for nothing but each other and the four functions that every compiler may call; and they keep no writable data (TAP).
set -u
cd "${SRCDIR:-.}" || exit 1
cc=${CC:-gcc}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM HUP

echo 1..4
bad=
nr=0
for file in src/nmmu/*.c src/spte/*.c; do
	object=$dir/$(echo "$file" | tr / _).o
	nr=$((nr + 1))
	$cc -std=gnu11 -O2 -ffreestanding -mno-sse -mno-mmx -mno-80387 -fno-stack-protector -fno-pic -mcmodel=kernel -Isrc \
		-Wframe-larger-than=2048 -Wvla -Werror -c -o "$object" "$file" 2>"$dir/err" || {
		bad="$bad $file"
		sed 's/^/# /' "$dir/err"
	}
done
if [ -z "$bad" ] && [ $nr -gt 5 ]; then
	echo "ok 1 - $nr files compile freestanding, without FPU, with frames of up to 2048 bytes"
else
	echo "not ok 1 - $nr files compile freestanding, without FPU, with frames of up to 2048 bytes:$bad"
fi

nm "$dir"/*.o | awk '$2 ~ /[TDRBC]/ { print $3 }' | sort -u >"$dir/defined"
unknown=$(nm -u "$dir"/*.o | awk 'NF == 2 { print $2 }' | sort -u | comm -23 - "$dir/defined" |
	grep -vxE 'mem(cpy|set|move|cmp)' | tr '\n' ' ')
if [ -z "$unknown" ]; then echo "ok 2 - nothing of a C library is called"; else echo "not ok 2 - called and not ours: $unknown"; fi

# .data and .bss hold no byte.
writable=$(size -A "$dir"/*.o | awk '/:$/ { file = $1 } ($1 ~ /^\.(data|bss)/) && $1 !~ /rel[.]ro/ && $2 > 0 { print file $1 "=" $2 }' | tr '\n' ' ')
if [ -z "$writable" ]; then echo "ok 3 - no writable data"; else echo "not ok 3 - writable data: $writable"; fi

# Names: what others can see carries its folder's prefix.
names=$(grep -vE '^(nmmu|spte|role)_' "$dir/defined" | tr '\n' ' ')
if [ -z "$names" ]; then echo "ok 4 - global names have their prefix"; else echo "not ok 4 - without prefix: $names"; fi
[ -z "$bad$unknown$writable$names" ]
