# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Shared by every script of the house: messages, timing, and the one list of
# Debian packages each job needs. Sourced, never run. It installs packages
# when asked to and does nothing else to the system.

# shellcheck disable=SC2034 # for those who source this
MS_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
MS_NAME=${MS_NAME:-${0##*/}}

# The packages of each job, in one place.
# shellcheck disable=SC2034 # read by the scripts that source this file
{
	# Autotools and the libraries mmuscope links; clang and bpftool make the BPF programs and their
	# skeletons.
	MS_PKG_BUILD=(autoconf automake pkg-config gcc make libc6-dev libbpf-dev bpftool libdw-dev libelf-dev
		libncurses-dev libreadline-dev zlib1g-dev clang-14 llvm-14)
	# The emulator (qboot.rom is in qemu-system-data), the initramfs (busybox, cpio), and what unpacks a
	# kernel image and its modules and works out their order (xz, zstd, kmod).
	MS_PKG_LAB=(qemu-system-x86 qemu-system-data busybox-static cpio xz-utils zstd kmod)
	# The Intel machine besides: its emulator with a display of no window, its firmware, what makes its loader and
	# its file systems.
	MS_PKG_LAB_INTEL=(bochs bochs-term bochsbios vgabios gcc libc6-dev binutils squashfs-tools python3)
	# cmocka runs the unit tests, tmux the screen tests, jq and jsonschema judge the JSON, mandoc the man
	# pages, clang-format the layout of the code, and compiler-rt carries the fuzzer and the sanitizers
	# for clang.
	MS_PKG_TEST=(git libcmocka-dev tmux jq python3 python3-jsonschema mandoc strace clang-format-14
		libclang-rt-14-dev libdebuginfod1)
	# The kernel module: its compiler, what makes its BTF, its checker. Headers are downloaded, not installed.
	MS_PKG_KMOD=(gcc make dkms libc6-dev libelf-dev dwarves sparse kmod xz-utils)
	# The lab's debug kernel, from Debian's source.
	MS_PKG_DEBUG_KERNEL=(gcc make libc6-dev libelf-dev libssl-dev flex bison bc dwarves kmod xz-utils)
	# What scripts/bench compares with.
	MS_PKG_BENCH=(bpftrace)
}

# say TEXT...: a progress line. On stderr, so that a command's stdout stays its own.
say()
{
	printf '%s: %s\n' "$MS_NAME" "$*" >&2
}

# die TEXT...: one clear line, then exit with MS_DIE_STATUS (default 1).
die()
{
	printf '%s: %s\n' "$MS_NAME" "$*" >&2
	exit "${MS_DIE_STATUS:-1}"
}

# now_ms: a clock for differences, in milliseconds.
now_ms()
{
	local t=${EPOCHREALTIME/[.,]/}

	echo $((t / 1000))
}

# seconds_since START_MS: the time gone by as seconds with one decimal.
seconds_since()
{
	local ms=$(($(now_ms) - $1))

	printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

# as_root COMMAND...: runs it as root, by sudo when we are not; 1 when neither is possible.
# stdin is closed off: nothing here may wait for an answer.
as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@" </dev/null
	elif [ -t 0 ] && command -v sudo >/dev/null; then
		sudo -- "$@"
	elif command -v sudo >/dev/null; then
		sudo -n -- "$@" </dev/null
	else
		return 1
	fi
}

# apt_get ARGS...: apt-get without questions; waits for another apt-get instead of failing on its lock.
apt_get()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=600 \
		-o Acquire::Retries=2 -o Dpkg::Use-Pty=0 --no-install-recommends "$@"
}

# packages_missing PKG...: prints those that are not installed, one a line.
packages_missing()
{
	local p

	for p; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || echo "$p"
	done
}

# need_packages PKG...: afterwards they are all installed, or the script has ended with one line saying what
# is missing. Needs the network only for what is missing.
need_packages()
{
	local log missing

	command -v dpkg-query >/dev/null ||
		die "this is not Debian: install by hand what scripts/lib.sh lists"
	mapfile -t missing < <(packages_missing "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
		die "missing packages and neither root nor sudo; as root run: apt-get install ${missing[*]}"
	fi
	say "installing ${missing[*]}"
	log=$(mktemp)
	# The package lists are fetched only when the ones at hand do not do.
	if ! apt_get install "${missing[@]}" >"$log" 2>&1; then
		say "fetching the package lists"
		if ! apt_get update >>"$log" 2>&1 || ! apt_get install "${missing[@]}" >>"$log" 2>&1; then
			mapfile -t missing < <(packages_missing "$@")
			if [ ${#missing[@]} -gt 0 ]; then
				grep -aE '^E:' "$log" | tail -n 3 >&2
				rm -f "$log"
				die "cannot install ${missing[*]}: is the network reachable?" \
					"Otherwise run: apt-get install ${missing[*]}"
			fi
		fi
	fi
	rm -f "$log"
}

# cache_dir: prints where downloaded kernels live; works with HOME unset.
cache_dir()
{
	local home=${HOME:-}

	[ -n "$home" ] || home=$(getent passwd "$(id -u)" | cut -d: -f6)
	[ -d "${home:-/nonexistent}" ] || home=/var/tmp/mmuscope-home-$(id -u)
	echo "${MMUSCOPE_CACHE:-${XDG_CACHE_HOME:-$home/.cache}/mmuscope}"
}
