# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The cache of lab kernels: Debian's own packages, downloaded and unpacked,
# never installed (no update-grub, no initrd built, nothing in /boot or
# /lib/modules of this machine). Sourced by scripts/lab.
#
#   $CACHE/lock			held while the cache is changed
#   $CACHE/asked-6.1		when the archive was last asked for a newer one
#   $CACHE/kernels/6.1/KVER/	boot/ and lib/modules/ as unpacked (drivers the lab has no device for left
#				out), vmlinux (uncompressed), initrd-HASH.cpio (made from in-lab/init)
#
# A kernel directory appears by rename when it is complete, so a directory
# that is there can be used without a lock.

# The modules of the initramfs; their dependencies are worked out by modprobe.
MS_LAB_MODULES=(virtio_pci 9pnet_virtio 9p overlay)
# Loaded from the initramfs too, as reading them over 9p and unpacking them in emulation costs a second.
MS_LAB_KVM_MODULES=(kvm kvm_amd)
# Not empty: without their signatures, which a slow machine then need not check.
MS_LAB_UNSIGNED=

# An archive is asked again for a newer kernel after this many minutes.
MS_KERNEL_ASK_MINUTES=1440

# kernel_meta SERIES: the meta package that names the current kernel of a series.
kernel_meta()
{
	case $1 in
	6.1) echo linux-image-amd64 ;;
	6.12) echo linux-image-6.12-amd64 ;;
	*) die "no kernel '$1': choose 6.1 or 6.12" ;;
	esac
}

# kernel_cached CACHE SERIES: prints the directory of the newest complete kernel, if any.
kernel_cached()
{
	local d newest=

	for d in "$1/kernels/$2"/[0-9]*/; do
		[ -f "$d/vmlinux" ] && newest=$newest${d%/}$'\n'
	done
	printf '%s' "$newest" | sort -V | tail -n 1
}

# kernel_candidate SERIES: prints the package that the local package lists name for a series, if any.
kernel_candidate()
{
	LC_ALL=C apt-cache depends "$(kernel_meta "$1")" 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-'"${1//./\\.}"'\..*-amd64\)$/\1/p' | head -n 1
}

# kernel_vmlinux BZIMAGE OUT: takes the uncompressed kernel out of a bzImage, by the boot protocol's own
# fields (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length).
kernel_vmlinux()
{
	local magic offset length sectors unpack

	sectors=$(od -An -tu1 -j 0x1f1 -N 1 "$1")
	offset=$(od -An -tu4 -j 0x248 -N 4 "$1")
	length=$(od -An -tu4 -j 0x24c -N 4 "$1")
	offset=$(((sectors + 1) * 512 + offset))
	magic=$(od -An -tx1 -j "$offset" -N 4 "$1" | tr -d ' ')
	case $magic in
	fd377a58) unpack=(xz -dcq --single-stream) ;;
	28b52ffd) unpack=(zstd -dcq) ;;
	1f8b*) unpack=(gzip -dcq) ;;
	*) return 1 ;;
	esac
	# The last four bytes of the payload are the unpacked size, added by the kernel's build.
	tail -c +$((offset + 1)) "$1" | head -c $((length - 4)) | "${unpack[@]}" >"$2" || return 1
	[ "$(head -c 4 "$2" | tail -c 3)" = ELF ]
}

# kernel_fetch CACHE SERIES PACKAGE: downloads and unpacks one kernel; 1 when it cannot be had. Needs the
# lock.
kernel_fetch()
{
	local cache=$1 series=$2 package=$3 kver=${3#linux-image-} tmp deb d
	local -a opts=(-qq -o Acquire::Retries=2) skip=()

	# Drivers of devices that the lab does not have are most of the package's size.
	for d in sound drivers/{bluetooth,gpu,hwmon,iio,infiniband,media,mtd,net,power,scsi,staging,usb,video}
	do
		skip+=("--exclude=./lib/modules/*/kernel/$d" "--exclude=./usr/lib/modules/*/kernel/$d")
	done
	# apt drops its rights for downloads and then cannot write below a private directory.
	[ "$(id -u)" != 0 ] || opts+=(-o APT::Sandbox::User=root)
	mkdir -p "$cache/kernels/$series" || return 1
	tmp=$(mktemp -d "$cache/kernels/.tmp.XXXXXX") || return 1
	say "downloading $package into $cache (once)"
	if ! (cd "$tmp" && timeout 600 apt-get "${opts[@]}" download "$package") \
		</dev/null >/dev/null 2>&1; then
		rm -rf "$tmp"
		return 1
	fi
	deb=$(ls "$tmp"/*.deb)
	say "unpacking $package"
	mkdir "$tmp/root"
	if ! dpkg-deb --fsys-tarfile "$deb" | tar -C "$tmp/root" --no-same-owner -x "${skip[@]}" ||
		! kernel_vmlinux "$tmp/root/boot/vmlinuz-$kver" "$tmp/root/vmlinux"; then
		rm -rf "$tmp"
		die "$package cannot be unpacked (disk full below $cache?)"
	fi
	[ -d "$tmp/root/lib/modules" ] || mv "$tmp/root/usr/lib" "$tmp/root/lib"
	depmod -b "$tmp/root" "$kver"
	rm -rf "$tmp/root/usr/share"
	mv -T "$tmp/root" "$cache/kernels/$series/$kver" || { rm -rf "$tmp"; return 1; }
	rm -rf "$tmp"
}

# kernel_renew CACHE SERIES: fetches the archive's current kernel unless it is there. Needs the lock. Without
# any kernel at hand a failure ends the script; with one it is used and the failure is one line.
kernel_renew()
{
	local cache=$1 series=$2 have package

	have=$(kernel_cached "$cache" "$series")
	package=$(kernel_candidate "$series")
	if [ -z "$package" ] && [ -z "$have" ]; then
		say "fetching the package lists"
		apt_get update >/dev/null 2>&1
		package=$(kernel_candidate "$series")
	fi
	touch "$cache/asked-$series"
	if [ -n "$package" ]; then
		[ ! -f "$cache/kernels/$series/${package#linux-image-}/vmlinux" ] || return 0
		kernel_fetch "$cache" "$series" "$package" && return 0
		if [ -z "$have" ]; then
			# The lists at hand may name a version that the archive no longer holds.
			apt_get update >/dev/null 2>&1
			package=$(kernel_candidate "$series")
			[ -n "$package" ] && kernel_fetch "$cache" "$series" "$package" && return 0
		fi
	fi
	[ -n "$have" ] ||
		die "no $series kernel in $cache and $(kernel_meta "$series") cannot be downloaded:" \
		"needs the network once"
	say "the archive cannot be reached; using the cached ${have##*/}"
}

# unsigned FILE: takes the signature off a module (scripts/sign-file.c: the signature, its description of 12 bytes that ends
# with the signature's size, a marker).
unsigned()
{
	local marker='~Module signature appended~' size signature

	[ "$(tail -c 28 "$1" | tr -d '\0')" = "$marker" ] || return 0
	size=$(stat -c %s "$1")
	signature=$(tail -c 32 "$1" | od -An -tu1 -N 4 | awk '{ print (($1 * 256 + $2) * 256 + $3) * 256 + $4 }')
	truncate -s $((size - 28 - 12 - signature)) "$1"
}

# kernel_initrd DIR INIT: makes the initramfs of a kernel from the init script, once for each version of that
# script, and prints its path. Needs the lock.
kernel_initrd()
{
	local dir=$1 init=$2 kver=${1##*/} hash out tmp m path name

	hash=$({
		cat "$init" "${BASH_SOURCE[0]}"
		echo "${MS_LAB_MODULES[*]} : ${MS_LAB_KVM_MODULES[*]} : $MS_LAB_UNSIGNED"
	} | sha256sum | cut -c 1-12)
	out=$dir/initrd-$hash.cpio
	if [ ! -f "$out" ]; then
		tmp=$(mktemp -d "$dir/.tmp.XXXXXX") || return 1
		mkdir -p "$tmp"/root/{bin,dev,proc,sys,modules,host,more,rw,new}
		cp /bin/busybox "$tmp/root/bin/busybox"
		cp "$init" "$tmp/root/init"
		chmod 755 "$tmp/root/init"
		for m in "${MS_LAB_MODULES[@]}" : "${MS_LAB_KVM_MODULES[@]}"; do
			if [ "$m" = : ]; then
				# From here on: only for a lab with KVM.
				echo :
				continue
			fi
			modprobe -d "$dir" -S "$kver" --show-depends "$m" |
				sed -n 's/^insmod \([^ ]*\).*/\1/p'
		done | awk '!seen[$0]++' >"$tmp/list"
		grep -q '/kvm-' "$tmp/list" || { rm -rf "$tmp"; return 1; }
		while read -r path; do
			name=$(basename "$path" .xz)
			case $path in
			:) ;;
			*.xz) xz -dc "$path" >"$tmp/root/modules/$name" ;;
			*) cp "$path" "$tmp/root/modules/$name" ;;
			esac
			[ -z "$MS_LAB_UNSIGNED" ] || [ "$path" = : ] || unsigned "$tmp/root/modules/$name"
			echo "$name"
		done <"$tmp/list" >"$tmp/root/modules/order"
		# For modprobe, where nothing else of the kernel's is at hand.
		mkdir -p "$tmp/root/lib/modules"
		ln -s ../../modules "$tmp/root/lib/modules/$kver"
		depmod -b "$tmp/root" "$kver" 2>/dev/null || { rm -rf "$tmp"; return 1; }
		(cd "$tmp/root" && find . | cpio -o -H newc --quiet --owner 0:0) >"$tmp/initrd" || return 1
		mv "$tmp/initrd" "$out" || return 1
		rm -rf "$tmp"
		find "$dir" -maxdepth 1 -name 'initrd-*.cpio' -mtime +30 -delete
	fi
	echo "$out"
}

# kernel_ensure SERIES INIT DIR_RET INITRD_RET: makes sure a kernel of the series is at hand and names, in the
# two variables, its directory and its initramfs. Ends the script with one line when it cannot.
kernel_ensure()
{
	local cache _dir _initrd lock
	local -n _dir_ret=$3 _initrd_ret=$4

	cache=$(cache_dir)
	if ! mkdir -p "$cache/kernels" 2>/dev/null || [ ! -w "$cache" ]; then
		die "cannot write the kernel cache $cache"
	fi
	exec {lock}>"$cache/lock"
	flock "$lock"
	_dir=$(kernel_cached "$cache" "$1")
	if [ -z "$_dir" ] ||
		[ -z "$(find "$cache/asked-$1" -mmin "-$MS_KERNEL_ASK_MINUTES" 2>/dev/null)" ]; then
		kernel_renew "$cache" "$1"
		_dir=$(kernel_cached "$cache" "$1")
	fi
	_initrd=$(kernel_initrd "$_dir" "$2") || die "cannot make the initramfs in $_dir"
	exec {lock}>&-
	_dir_ret=$_dir
	_initrd_ret=$_initrd
}

# kernel_headers_packages KVER: the packages of its build directory: its own, those of all its flavours, and the programs of
# its build, by what the first depends on.
kernel_headers_packages()
{
	echo "linux-headers-$1"
	LC_ALL=C apt-cache depends "linux-headers-$1" 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-\(headers\|kbuild\)-.*\)$/\1/p'
}

# kernel_headers KVER DIR_RET: makes sure that modules can be built for a kernel of the cache, and names its build
# directory (what /lib/modules/KVER/build is where it is installed). Ends the script with one line when it cannot.
#
#   $CACHE/headers/KVER/	usr/ as unpacked, with usr/src/linux-headers-KVER made to find its neighbours
kernel_headers()
{
	local cache dir tmp lock p packages
	local -a opts=(-qq -o Acquire::Retries=2)
	local -n _headers_ret=$2

	cache=$(cache_dir)
	dir=$cache/headers/$1
	mkdir -p "$cache/headers" 2>/dev/null || die "cannot write the kernel cache $cache"
	exec {lock}>"$cache/lock"
	flock "$lock"
	if [ ! -d "$dir" ]; then
		[ "$(id -u)" != 0 ] || opts+=(-o APT::Sandbox::User=root)
		mapfile -t packages < <(kernel_headers_packages "$1")
		if [ ${#packages[@]} -lt 3 ]; then
			apt_get update >/dev/null 2>&1
			mapfile -t packages < <(kernel_headers_packages "$1")
		fi
		tmp=$(mktemp -d "$cache/headers/.tmp.XXXXXX") || die "cannot write the kernel cache $cache"
		say "downloading ${packages[*]} into $cache (once)"
		if ! (cd "$tmp" && timeout 600 apt-get "${opts[@]}" download "${packages[@]}") \
			</dev/null >/dev/null 2>&1; then
			rm -rf "$tmp"
			die "the headers of $1 cannot be downloaded: needs the network once"
		fi
		for p in "$tmp"/*.deb; do
			dpkg-deb -x "$p" "$tmp/root" || { rm -rf "$tmp"; die "$p cannot be unpacked (disk full below $cache?)"; }
			rm "$p"
		done
		# It names the common part by where it would be installed.
		sed -i "s,/usr/src/,$dir/usr/src/," "$tmp/root/usr/src/linux-headers-$1/Makefile"
		mv -T "$tmp/root" "$dir" || die "cannot write the kernel cache $cache"
		rm -rf "$tmp"
	fi
	exec {lock}>&-
	_headers_ret=$dir/usr/src/linux-headers-$1
}
