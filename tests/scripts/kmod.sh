#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The ways to build and install the kernel module, for the lab's kernels, which are not this machine's: scripts/kmod, configure
# --with-kmod, DKMS. Nothing is loaded and nothing of this machine is changed (TAP).

set -u
top=${SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
dir=$(mktemp -d) || exit 1
dir=$(cd "$dir" && pwd -P)
trap 'rm -rf "$dir"' EXIT
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"
# shellcheck source=scripts/lib-kernel.sh
. "$top/scripts/lib-kernel.sh"
number=0 failed=0

# ok NAME: the result of the command before it.
ok()
{
	local status=$?

	number=$((number + 1))
	if [ $status -eq 0 ]; then
		echo "ok $number - $1"
	else
		failed=1
		echo "not ok $number - $1"
		tail -n 20 "$dir/log" 2>/dev/null | sed 's/^/# /'
	fi
}

# refused PATTERN COMMAND...: it fails, and one line of what it says matches.
refused()
{
	local pattern=$1
	shift
	! "$@" >"$dir/log" 2>&1 && grep -qE "$pattern" "$dir/log"
}

kernel_ensure 6.12 "$top/scripts/in-lab/init" kernel_dir initrd
kver=${kernel_dir##*/}
kernel_headers "$kver" headers

# --- scripts/kmod ---
refused "no kernel '6.6': choose 6.1 or 6.12" "$top/scripts/kmod" --kernel 6.6
ok "scripts/kmod: another kernel is refused"
refused "is no kernel's build directory: install linux-headers" "$top/scripts/kmod" --kdir "$dir"
ok "scripts/kmod: a directory without headers is refused"
refused "cannot be built in a directory with a blank" "$top/scripts/kmod" --kdir "$headers" --dir "$dir/a b"
ok "scripts/kmod: a directory that the kernel's makefiles cannot have is refused"
"$top/scripts/kmod" --kdir "$headers" --dir "$dir/good" --no-check >"$dir/log" 2>&1 &&
	[ "$(modinfo -F vermagic "$dir/good/$kver/mmuscope.ko" | cut -d' ' -f1)" = "$kver" ]
ok "scripts/kmod: a build directory by name"
# A complaint of the compiler ends it: of our own file, by a change to a copy of the tree.
mkdir "$dir/tree" && (cd "$top" && git ls-files -z scripts kmod src/abi src/nmmu src/spte | xargs -0 cp --parents -t "$dir/tree") &&
	echo 'int mmuscope_unseen(int a) { return a; }' >>"$dir/tree/kmod/layout.c" &&
	refused 'layout.c.*(mmuscope_unseen|symbol)' "$dir/tree/scripts/kmod" --kdir "$headers" --dir "$dir/bad"
ok "scripts/kmod: a warning of W=1 or sparse is an error"
[ ! -e "$dir/bad/$kver/mmuscope.ko" ]
ok "scripts/kmod: and leaves no module"

# --- configure, make, make install ---
mkdir "$dir/build"
refused "cannot be built: $dir is no kernel's build directory" env -C "$dir/build" "$top/configure" --without-bpf --without-tui --with-kmod="$dir"
ok "configure: --with-kmod of a directory without headers is an error"
(cd "$dir/build" && "$top/configure" --without-bpf --without-tui --with-kmod="$headers" && make -s kmod/mmuscope.ko &&
	make -s install-kmod install-dkms DESTDIR="$dir/root") >"$dir/log" 2>&1
ok "configure --with-kmod, make, make install-kmod, make install-dkms"
grep -qE 'gives to modules.*FILE_IS_KVM.*TRACK' "$dir/log"
ok "configure says what was found in the kernel"
[ "$(modinfo -F vermagic "$dir/root/lib/modules/$kver/updates/mmuscope.ko" | cut -d' ' -f1)" = "$kver" ]
ok "the module lies where modprobe looks"

# --- DKMS, with trees of its own ---
version=$("$BUILD/mmuscope" --version | awk 'NR == 1 { print $2 }')
mkdir "$dir/dkms"
args=(-m mmuscope -v "$version" --sourcetree "$dir/root/usr/src" --dkmstree "$dir/dkms")
dkms add "${args[@]}" >"$dir/log" 2>&1 && dkms build "${args[@]}" -k "$kver" --kernelsourcedir "$headers" >>"$dir/log" 2>&1 &&
	[ "$(modinfo -F version "$dir/dkms/mmuscope/$version/$kver/x86_64/module/mmuscope.ko")" = "$version" ]
ok "DKMS builds it from what install-dkms left"

echo "1..$number"
exit $failed
