#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# scripts/intel/image makes of a kernel's list of functions that can be traced a short one, and of the others' calls of __fentry__
# what ftrace would have made of them; it takes no other table for that list, and says when there is none (TAP). The kernel is made up.

set -u
top=${SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
dir=$(mktemp -d) || exit 1
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

# kernel NAME FUNCTIONS FIRST-BYTES: functions of six bytes, a call first, and behind another table their list.
kernel()
{
	cat >"$dir/k.S" <<END
	.text
	.globl _start
_start:
	.rept $2
	$3
	ret
	.endr
f:	ret
	.section .init.data, "aw"
	.set i, 0
	.rept 2 * $2
	.quad 0xffff888000000000 + i
	.set i, i + 1
	.endr
	.quad 0, 0
	.set i, 0
	.rept $2
	.quad _start + 6 * i
	.set i, i + 1
	.endr
	.quad _start
END
	gcc -c -o "$dir/k.o" "$dir/k.S" && ld -N -Ttext=0x1000000 -o "$dir/$1" "$dir/k.o" 2>/dev/null
}

# A boot sector, and a kernel image whose setup header is all that is looked at.
head -c 512 /dev/zero >"$dir/loader"
/usr/bin/python3 -c 'import sys
page = bytearray(4096)
page[0x201] = 0x6A
page[0x202:0x206] = b"HdrS"
open(sys.argv[1], "wb").write(page)' "$dir/bz"
echo system >"$dir/fs"
echo archive >"$dir/cpio"

image()
{
	"$top/scripts/intel/image" "$dir/out" "$dir/loader" "$dir/bz" "$dir/$1" 64 quiet "$dir/fs" -- "$dir/cpio"
}

# loaded FUNCTIONS: of what the loader would put at the kernel's address: calls and instructions that do nothing among the functions, and
# addresses and blanks in their list; and how many words of the other table are as they were.
loaded()
{
	/usr/bin/python3 - "$dir/out" "$1" <<'END'
import struct, sys

disk, n = open(sys.argv[1], "rb").read(), int(sys.argv[2])
for i in range(31):
    sector, address, count, _ = struct.unpack_from("<IIII", disk, 512 + 16 * i)
    if address == 0x1000000 and count:
        break
text = disk[sector * 512 : (sector + count) * 512]
functions = [text[6 * i : 6 * i + 6] for i in range(n)]
print(sum(f[0] == 0xE8 and f[5] == 0xC3 for f in functions), sum(f == bytes.fromhex("0f1f440000c3") for f in functions), end=" ")
at = text.index(struct.pack("<QQ", 0xFFFF888000000000, 0xFFFF888000000001))
words = struct.unpack_from(f"<{3 * n + 3}Q", text, at)
print(sum(w == 0xFFFF888000000000 + i for i, w in enumerate(words[: 2 * n])), end=" ")
print(sum(w == 0x1000000 + 6 * i for i, w in enumerate(words[2 * n + 2 : -1])), words[2 * n + 2 : -1].count(0), hex(words[-1]))
END
}

kernel good 12000 'call f'
is "a kernel is taken" "$(image good 2>&1 | grep -c '^[0-9]*$')" 1
is "the first functions stay, the others do nothing at their start and are not in the list; other tables stay" "$(loaded 12000)" \
	"256 11744 24000 256 11744 0x1000000"
kernel "done" 12000 '.byte 0x0f, 0x1f, 0x44, 0, 0'
is "calls that the build has taken out already" "$(image "done" >/dev/null 2>&1 && loaded 12000)" "0 12000 24000 256 11744 0x1000000"
kernel other 12000 '.byte 0x90, 0x90, 0x90, 0x90, 0x90'
is "a list of something else is no such list" "$(image other 2>&1 | sed "s,$dir/,,")" \
	"image: other: 0x1000600 is in the list of functions that can be traced, and begins none"
kernel apart 12000 'call . + 4096'
is "calls of this and that are no such list" "$(image apart 2>&1 | sed "s,$dir/,,")" \
	"image: apart: 0x1000606 is in the list of functions that can be traced, and begins none"
kernel few 3000 'call f'
is "a kernel without a list" "$(image few 2>&1 | sed "s,$dir/,,")" "image: few: no list of functions that can be traced"
echo "1..$number"
exit $failed
