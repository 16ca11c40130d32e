# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The lab's debug kernel: Debian's source of a series with KASAN, lockdep and kmemleak (scripts/debug-kernel/config), built once
# into the cache, twenty minutes of one CPU. Sourced by scripts/lab and scripts/kmod, after lib-kernel.sh.
#
#   $CACHE/kernels/debug-6.12/KVER/	as kernels of Debian: vmlinux, lib/modules/KVER; and tree/, its source and objects,
#					which modules are built with

# debug_kernel_ensure SERIES INIT DIR_RET INITRD_RET: as kernel_ensure, of the debug kernel.
debug_kernel_ensure()
{
	local cache lock
	local -n _debug_dir_ret=$3 _debug_initrd_ret=$4

	cache=$(cache_dir)
	debug_kernel_build "$1"
	exec {lock}>"$cache/lock"
	flock "$lock"
	_debug_dir_ret=$(kernel_cached "$cache" "debug-$1")
	_debug_initrd_ret=$(kernel_initrd "$_debug_dir_ret" "$2") || die "cannot make the initramfs in $_debug_dir_ret"
	exec {lock}>&-
}

# debug_kernel_build SERIES: it is in the cache afterwards. Ends the script with one line when it cannot be built.
debug_kernel_build()
{
	local cache hash dir tmp kver lock tarball
	local -a opts=(-qq -o Acquire::Retries=2)

	cache=$(cache_dir)
	mkdir -p "$cache/kernels/debug-$1" || die "cannot write the kernel cache $cache"
	exec {lock}>"$cache/lock-debug"
	flock "$lock"
	hash=$(sha256sum <"$MS_TOP/scripts/debug-kernel/config" | cut -c 1-12)
	dir=$(kernel_cached "$cache" "debug-$1")
	if [ -n "$dir" ] && [ "$(cat "$dir/config-hash")" = "$hash" ]; then
		exec {lock}>&-
		return 0
	fi
	need_packages "${MS_PKG_DEBUG_KERNEL[@]}"
	[ -z "$dir" ] || rm -rf "$dir"
	[ "$(id -u)" != 0 ] || opts+=(-o APT::Sandbox::User=root)
	tmp=$(mktemp -d "$cache/kernels/.tmp.XXXXXX") || die "cannot write the kernel cache $cache"
	say "downloading linux-source-$1 (once)"
	(cd "$tmp" && timeout 900 apt-get "${opts[@]}" download "linux-source-$1") </dev/null >/dev/null 2>&1 ||
		die "linux-source-$1 cannot be downloaded: needs the network once"
	dpkg-deb -x "$tmp"/*.deb "$tmp/deb" && tarball=$(ls "$tmp"/deb/usr/src/*.tar.xz) &&
		mkdir "$tmp/tree" && tar -C "$tmp/tree" --strip-components=1 -xJf "$tarball" ||
		die "linux-source-$1 cannot be unpacked (disk full below $cache?)"
	rm -rf "$tmp/deb" "$tmp"/*.deb
	say "building the debug kernel: twenty minutes of one CPU (log: $cache/debug-$1.log)"
	(
		cd "$tmp/tree" || exit 1
		export KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab KBUILD_BUILD_TIMESTAMP=@0
		# An option without a prompt: Debian's kernels have it by way of a driver that the lab does not need.
		sed -i '/^config KVM_EXTERNAL_WRITE_TRACKING/{n;s/bool$/bool "Write tracking for other modules"/}' \
			arch/x86/kvm/Kconfig
		make tinyconfig &&
			scripts/kconfig/merge_config.sh -m .config "$MS_TOP/scripts/debug-kernel/config" &&
			./scripts/config --set-str LOCALVERSION -debug && make olddefconfig &&
			debug_kernel_has .config &&
			nice make -j"$(nproc)" vmlinux modules &&
			make INSTALL_MOD_PATH="$tmp" INSTALL_MOD_STRIP=1 modules_install
	) </dev/null >"$cache/debug-$1.log" 2>&1 {lock}>&- || {
		rm -rf "$tmp"
		die "the debug kernel does not build: see $cache/debug-$1.log"
	}
	kver=$(cat "$tmp/tree/include/config/kernel.release")
	objcopy --strip-debug "$tmp/tree/vmlinux" "$tmp/vmlinux"
	rm -f "$tmp/lib/modules/$kver/build" "$tmp/lib/modules/$kver/source"
	depmod -b "$tmp" "$kver"
	echo "$hash" >"$tmp/config-hash"
	mv -T "$tmp" "$cache/kernels/debug-$1/$kver" || die "cannot write the kernel cache $cache"
	exec {lock}>&-
}

# debug_kernel_has CONFIG: in its tree: does it have its checkers? A name that a series does not know is dropped without a
# word.
debug_kernel_has()
{
	local option

	for option in KASAN PROVE_LOCKING DEBUG_KMEMLEAK FAILSLAB GCOV_KERNEL KVM_EXTERNAL_WRITE_TRACKING; do
		grep -q "^CONFIG_$option=y" "$1" && continue
		# Before 6.6 write tracking for others was no option.
		[ $option = KVM_EXTERNAL_WRITE_TRACKING ] && ! grep -q "^config $option" arch/x86/kvm/Kconfig && continue
		echo "CONFIG_$option is not set, which the debug kernel is for"
		return 1
	done
}
