#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# fields.def from DWARF is fields.def from BTF, member by member, on both kernels of the lab: the DWARF of KVM's own sources, which
# scripts/types compiles against each kernel's headers, and the BTF of that kernel's packages. No machine is booted.

set -u
top=${SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
compare=${BUILD:-$top/build}/tests/layout/compare
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
number=0 failed=0

# ok NAME COMMAND...: what it says is told when it fails.
ok()
{
	local name=$1

	shift
	number=$((number + 1))
	if "$@" >"$dir/out" 2>&1; then
		echo "ok $number - $name"
	else
		failed=1
		echo "not ok $number - $name"
		head -n 20 "$dir/out" | sed 's/^/# /'
	fi
}

# btf DIR: the three files whose BTF it is.
btf()
{
	echo "$1/vmlinux $1/kvm.ko $1/kvm-intel.ko"
}

# shellcheck disable=SC2046 # three words, of paths without blanks
for kernel in 6.1 6.12; do
	types=$("$top/scripts/types" $kernel)
	ok "$kernel: types are at hand" test -d "$types"
	for version in 4 5; do
		objects=("$types/kvm.$version.o" "$types/ksyms.$version.o" "$types/intel.$version.o")
		ok "$kernel: DWARF $version is BTF" "$compare" $(btf "$types") "${objects[@]}"
		grep ' equal' "$dir/out" >"$dir/sum"
		sed "s/^/# ! $kernel, DWARF $version: /" "$dir/sum"
		# Most of the list is there; each kernel lacks a few.
		ok "$kernel: and that is something" awk '/ equal/ && $1 >= 115 && / 22 role bits/ { n = 1 } END { exit !n }' "$dir/sum"
		# Any order, as no two of these files disagree.
		ok "$kernel: DWARF $version in another order" "$compare" $(btf "$types") "${objects[2]}" "${objects[1]}" "${objects[0]}"
		ld -r -o "$dir/one.o" "${objects[@]}"
		ok "$kernel: DWARF $version of one file" "$compare" $(btf "$types") "$dir/one.o"
		ok "$kernel: without kallsyms.c, that is missed" grep -q '^kallsym_iter.value: BTF .*, DWARF absent$' \
			<("$compare" $(btf "$types") "${objects[0]}" "${objects[2]}" 2>&1)
	done
	eval "types_${kernel//./_}=\$types"
done
# A test that cannot fail is none: the types of one kernel are not those of the other.
# shellcheck disable=SC2154,SC2046 # by eval
for pair in "$types_6_1 $types_6_12" "$types_6_12 $types_6_1"; do
	read -r one other <<<"$pair"
	"$compare" $(btf "$one") "$other/kvm.5.o" "$other/ksyms.5.o" "$other/intel.5.o" >"$dir/differ" 2>&1
	ok "another kernel's types are told apart" test $? -eq 1
	ok "by their members" grep -q '^kvm_mmu_page\.[a-z_]*: BTF' "$dir/differ"
done
echo "1..$number"
exit $failed
