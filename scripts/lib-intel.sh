# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The Intel machine of scripts/lab: Bochs, which emulates VMX with EPT, PML and
# VMCS shadowing. It has no device of use to Linux: what the machine needs is put
# into its memory before the kernel starts, and what it has to say comes through one port.
# Sourced by scripts/lab, whose names it uses. See doc/lab.md.
#
#   $CACHE/intel/tools-HASH/	loader.bin channel, made from scripts/intel
#   $CACHE/intel/root-HASH/	system.squashfs, made from scripts/intel/root.list; files: what it holds
#
# Both appear by rename when they are complete, under the cache's lock. intel/lock is held shared by who puts a disk together
# from them, and held alone by who takes an old root away.

# shellcheck disable=SC2034,SC2154 # lib-kernel.sh's; scripts/lab's

MS_INTEL=$MS_TOP/scripts/intel
# Bochs needs no longer than this to bring up a machine, on a busy core.
MS_INTEL_BOOT_SECONDS=180

# intel_options: what other machines have and this one has not. To be called after the options are read.
intel_options()
{
	[ -z "$tty" ] || die "--tty is not for --vendor intel: its machine has no line for a terminal"
	[ -z "$icount" ] || die "--icount is not for --vendor intel: its time cannot be counted"
	[ -z "$kaslr" ] || die "--kaslr is not for --vendor intel: its kernel is loaded where it was linked to be"
	[ "${smp:-1}" = 1 ] || die "--smp $smp is not for --vendor intel: it has one CPU"
	[ "$mem" -le 2048 ] || die "--mem $mem: --vendor intel has room for 2048 MB"
	MS_LAB_MODULES=(nd_e820 nd_pmem squashfs overlay)
	MS_LAB_KVM_MODULES=(kvm kvm_intel)
	# Checking them takes the machine seconds.
	MS_LAB_UNSIGNED=1
}

# intel_tools CACHE: makes loader and channel, once for each version of their sources; prints their directory.
# Needs the lock.
intel_tools()
{
	local dir tmp

	dir=$1/intel/tools-$(cat "$MS_INTEL/loader.S" "$MS_INTEL/channel.c" | sha256sum | cut -c 1-12)
	if [ ! -d "$dir" ]; then
		mkdir -p "$1/intel"
		tmp=$(mktemp -d "$1/intel/.tmp.XXXXXX") || return 1
		if ! gcc -c -o "$tmp/loader.o" "$MS_INTEL/loader.S" ||
			! ld -Ttext=0x7c00 --oformat=binary -o "$tmp/loader.bin" "$tmp/loader.o" ||
			! gcc -O2 -static -Wall -Wextra -Werror -o "$tmp/channel" "$MS_INTEL/channel.c"; then
			rm -rf "$tmp"
			return 1
		fi
		chmod 755 "$tmp"
		mv -T "$tmp" "$dir" || return 1
	fi >&2
	echo "$dir"
}

# intel_root CACHE: makes the file system of programs unless one is there that still fits this machine; prints its
# directory. Needs the lock.
intel_root()
{
	local dir tmp using

	dir=$1/intel/root-$(cat "$MS_INTEL/root" "$MS_INTEL/root.list" | sha256sum | cut -c 1-12)
	if ! { [ -d "$dir" ] && "$MS_INTEL/root" current "$dir/files"; }; then
		mkdir -p "$1/intel"
		tmp=$(mktemp -d "$1/intel/.tmp.XXXXXX") || return 1
		if ! "$MS_INTEL/root" list "@$MS_INTEL/root.list" >"$tmp/files" ||
			! intel_system "$tmp/files" "$tmp/system.squashfs"; then
			rm -rf "$tmp"
			return 1
		fi
		chmod 755 "$tmp"
		exec {using}>>"$1/intel/lock"
		flock "$using"
		rm -rf "$dir"
		mv -T "$tmp" "$dir" || return 1
		exec {using}>&-
	fi >&2
	echo "$dir"
}

# intel_system FILES OUT: a file system of the FILES. Nothing is compressed, as unpacking is dear where it is read.
intel_system()
{
	cut -f 1 "$1" | cut -c 2- | tar -C / --no-recursion --ignore-failed-read -cf - -T - |
		sqfstar -quiet -no-progress -noI -noD -noF -noX "$2" >/dev/null
}

# intel_prepare: all that is the same for each run; names it in intel_tools_dir and intel_root_dir, which stay as they are
# until intel_done.
intel_prepare()
{
	local cache lock

	cache=$(cache_dir)
	exec {lock}>"$cache/lock"
	flock "$lock"
	intel_tools_dir=$(intel_tools "$cache") || die "the loader of the Intel machine cannot be made in $cache"
	intel_root_dir=$(intel_root "$cache") || die "the root of the Intel machine cannot be made in $cache"
	# The cache's lock is still held: nobody can renew the root before this one has it shared.
	exec {intel_using}>>"$cache/intel/lock"
	flock -s "$intel_using"
	exec {lock}>&-
}

# intel_done: what intel_prepare named has been used.
intel_done()
{
	exec {intel_using}>&-
}

# intel_wanted: what this run takes along, one path a line: the source, what --with and --out name, files that the command
# names, and the directories it is given as BUILD and SRCDIR.
intel_wanted()
{
	local word path

	printf '%s\n' "$MS_TOP" "${with[@]}" ${out:+"$out"}
	for word in "${command[@]}"; do
		path=$word
		case $word in
		BUILD=/* | SRCDIR=/*) path=${word#*=} ;;
		esac
		if [ "$path" != "$word" ] || { [[ $word == */* ]] && [ -f "$word" ]; }; then
			realpath -s -- "$path"
		fi
	done
}

# intel_disk: everything the machine starts with, in one file.
intel_disk()
{
	local args files

	mkdir -p "$run/job/lab" || return 1
	mv "$run/share"/{argv,cwd,out,modules,env,session} "$run/job/lab/" || return 1
	cp "$intel_tools_dir/channel" "$run/job/lab/" || return 1
	(cd "$run/job" && find . | cpio -o -H newc --quiet --owner 0:0) >"$run/job.cpio" || return 1
	mapfile -t files < <(intel_wanted)
	"$MS_INTEL/root" list --without "$intel_root_dir/files" "${files[@]}" >"$run/files" || return 1
	intel_system "$run/files" "$run/run.squashfs" || return 1
	args="console=ttyS0 loglevel=$((${verbose:-0} * 6 + 1)) panic=-1 reboot=t nokaslr mitigations=off nopti"
	args+=" noxsave nopku rodata=off init_on_alloc=0 audit=0 apparmor=0 random.trust_cpu=1 no_timer_check tsc=reliable"
	args+=" cryptomgr.notests nmi_watchdog=0 rcupdate.rcu_expedited=1"
	args+=" initcall_blacklist=trace_eval_init"
	[ -n "$kvm" ] || args+=" lab.kvm=0"
	intel_memory=$("$MS_INTEL/image" "$run/disk.img" "$intel_tools_dir/loader.bin" "$kernel_dir/boot/vmlinuz-$kver" \
		"$kernel_dir/vmlinux" "$mem" "$args ${append[*]}" "$intel_root_dir/system.squashfs" \
		"$run/run.squashfs" -- "$initrd" "$run/job.cpio") || return 1
	rm -rf "$run/run.squashfs" "$run/job.cpio" "$run/job"
}

# intel_start: starts Bochs, whose process is then `qemu', and who reads it.
intel_start()
{
	local size
	local -a alone=()

	# Its display is one that listens at a port. Nobody is to look, so it gets a network of its own.
	if unshare -n true 2>/dev/null; then
		alone=(unshare -n --)
	elif unshare -rn true 2>/dev/null; then
		alone=(unshare -rn --)
	fi
	mkfifo "$run/out"
	size=$(stat -c %s "$run/disk.img")
	# ips only says how long the machine's second is. Any panic, such as the one after the last word, ends it.
	cat >"$run/bochsrc" <<END
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=0, parallel=0, serial=1, iodebug=0
config_interface: textconfig
display_library: rfb, options="timeout=0"
cpu: model=corei7_skylake_x, count=1, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=$intel_memory, host=$intel_memory
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path=disk.img, mode=flat, cylinders=$((size / 516096)), heads=16, spt=63
ata1: enabled=0
boot: disk
log: bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
com1: enabled=1, mode=file, dev=console
port_e9_hack: enabled=1
clock: sync=none, time0=utc
END
	echo c >"$run/bochs.rc"
	(
		cd "$run" || exit 1
		exec "${alone[@]}" setpriv --pdeathsig KILL -- bochs -q -f bochsrc -rc bochs.rc
	) </dev/null >"$run/out" 2>"$run/qemu.log" 3>&- &
	qemu=$!
	setpriv --pdeathsig KILL -- "$intel_tools_dir/channel" receive "$run/share" "$MS_INTEL_BOOT_SECONDS" \
		<"$run/out" 3>&- &
	relays=($!)
	helpers=("${relays[@]}")
}

# intel_wait: as wait_machine; the machine is gone then, or told to go.
intel_wait()
{
	local status who

	while :; do
		who=
		wait -n -p who "$qemu" ${timer:+"$timer"} "${relays[@]}"
		status=$?
		case ${who-} in
		'') continue ;;
		"$timer") return 124 ;;
		"$qemu")
			# What it said is still to be read to its end.
			qemu=
			wait "${relays[@]}"
			status=$?
			;;
		esac
		break
	done
	relays=() helpers=(${timer:+"$timer"})
	case $status in
	0 | 4) ;;
	3) echo "the machine is not up after $MS_INTEL_BOOT_SECONDS s" >"$run/share/error" ;;
	141) return 141 ;;
	*) die "what the machine says cannot be read" ;;
	esac
	# Having said its last word it may be slow to go.
	[ -z "$qemu" ] || { kill -KILL "$qemu"; wait "$qemu"; } 2>/dev/null
	qemu=
	return 0
}

# intel_out: unpacks what the machine sent of --out. What was there and is not in it stays.
intel_out()
{
	[ -s "$run/share/out.tar" ] || return 0
	tar -C "$out" --no-same-owner --no-same-permissions --overwrite -xf "$run/share/out.tar" ||
		die "what the machine left in $out cannot be written"
}
