#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# On whose behalf things happen, on the real KVM: every cause of src/abi/causes.def and every event of events.def is
# provoked and seen, or stands below with the reason why it cannot be seen here; a reason that is no longer true fails.
#
# shellcheck disable=SC2317 # steps() has functions called

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-listen.sh
. "$(dirname "$0")/lib-listen.sh"
# shellcheck source=tests/conform/take.sh
. "$(dirname "$0")/../conform/take.sh"

abi=$(dirname "$0")/../../src/abi
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

# What no guest of this script brings a kernel to.
declare -A no_cause=(
	[unknown]="no cause: what is told when there is none"
	[write-track]="asked for by modules; tests/lab/92-wp.sh has one, and sees it"
)
declare -A no_event=(
	[write_track]="asked for by modules; tests/lab/92-wp.sh has one, and sees it"
)
for name in $vmx_causes; do
	no_cause[$name]="VMX's alone: 80-events.sh asks for it on Intel"
done
for name in $vmx_events; do
	no_event[$name]="VMX's alone: 80-events.sh asks for it on Intel"
done

# provoke NAME CAUSE,... VMM-OPTION...: each cause is seen with an event of this guest's.
provoke()
{
	local name=$1 want=$2 from
	shift 2

	from=$(wc -l <"$heard")
	start_vmm g --seed "$seed" "$@"
	wait_checkpoint g 1 || result 1 "$name: guest"
	after_start
	release_vmm g
	after_release
	end_vmm g TERM
	# The listener looks every few milliseconds, and its output is buffered.
	sleep 0.5
	seen "$name" "$want" "$from"
}

# seen NAME CAUSE,... LINE: behind that line of what was heard.
seen()
{
	tail -n +$(($3 + 1)) "$heard" | grep -o 'cause=[^ ]*' | sort | uniq -c | sed 's/cause=//' >"$SCRATCH/causes"
	is "$1: causes that are missing" "$(awk -v want="$2" '{ seen[$2] = 1 }
		END { n = split(want, w, ","); for (i = 1; i <= n; i++) if (!seen[w[i]]) printf "%s ", w[i] }' "$SCRATCH/causes")" ""
	echo "$2" | tr , '\n' >>"$SCRATCH/wanted"
	diag "$1: $(awk '{ printf "%s %s, ", $2, $1 }' "$SCRATCH/causes")"
}

# steps START RELEASE: what is done with the guests from now on, at the first checkpoint and when it has been let go.
steps()
{
	eval "after_start() { $1; }; after_release() { $2; }"
}

log_on_off()
{
	vmm_ctl g log on >/dev/null
	vmm_ctl g log off >/dev/null
}

# The shrinker is asked for a part of the pages at a time, and does nothing before that is 128.
shrink()
{
	local i

	sleep 1
	for ((i = 0; i < 30; i++)); do
		echo 2 >/proc/sys/vm/drop_caches
	done
}

hold_kvm
[ -z "${ONLY:-}" ] || diag "only: $ONLY"
# A fault that is taken again takes two at once; a listener that does little else leaves them most time to meet.
if want stale; then
	listen_start -e stale || result 1 "listening for faults that are taken again"
	steps : "until_heard stale"
	provoke "faults while everything goes" fault --pages 100 --vcpus 2 --rounds 0 --storm slot --storm madvise --storm mprotect --storm-hz 0
	listen_stop
	is "faults while everything goes: one that is taken again has a reason" \
		"$(awk '$1 == "event" && $2 == "stale" && / root_obsolete=0/ && / in_progress=0/ {
			for (i = 3; i <= NF; i++) { split($i, kv, "="); v[kv[1]] = kv[2] }
			if (v["seq_seen"] == v["seq_now"]) print }' "$heard" | head -n 3)" ""
	diag "taken again: $(heard_nr stale), since the root went $(heard_nr stale root_obsolete=1)"
fi

if want host; then
	end_vmm keeper
	nx 1 100 force
	hold_kvm
	listen_start || result 1 "listening for everything"
	steps : "wait_checkpoint g 2"
	provoke "a log that is read" fault,log-read,log-enable,teardown,root-load,fast-fault --pages 100 --dirty get --rounds 3
	provoke "a log that is cleared" fault,log-clear,log-read --pages 100 --dirty get --dirty-lose 10 --rounds 3
	steps log_on_off "sleep 0.5"
	provoke "a log that begins over huge pages, and ends" log-enable,huge-split,log-disable --pages 12 --size 2m --sys-thp --rounds 0
	steps : "sleep 0.5"
	provoke "storms" fault,notifier,slot,obsolete-root --pages 100 --vcpus 2 --rounds 0 --storm slot --storm madvise --storm mprotect
	provoke "L2" fault,link,shadowed,nested-switch,emulation,cr3 --mode nested --pages 200 --rounds 0 --rewrite mix --mmio 3
	provoke "few pages" recycle --mode nested --pages 900 --stride 256 --rounds 0 --mmu-pages 64
	provoke "one frame at many addresses" rmap-recycle --mode nested --pages 1 --alias 1100 --rounds 0
	steps : "sleep 2"
	provoke "huge pages split for NX" nx-huge --pages 12 --size 2m --sys-thp --rounds 0
	cmp_ok "a page recovered from NX is an event" "$(heard_nr nx_recover)" -ge 1
	steps "vmm_ctl g clock >/dev/null" "sleep 0.2"
	provoke "a clock" host-write --pages 20 --dirty on --rounds 0
	steps "vmm_ctl g translate >/dev/null" "sleep 0.2"
	provoke "a translation that the VMM asks for" ioctl --pages 20 --rounds 0
	steps : shrink
	provoke "a host that is short of memory" shrink --mode nested --pages 900 --stride 256 --rounds 0
	listen_stop
fi

# Only what tells it: as many memslots as a generation has numbers are many, and take minutes.
if [ "${MMUSCOPE_DEEP:-0}" = 0 ] && [[ " ${ONLY:-} " != *" generations "* ]]; then
	no_cause[mmio-generation]="takes minutes: with MMUSCOPE_DEEP=1"
elif want generations; then
	again '' ''
	listen_start -e zap_all || result 1 "listening for the end of generations"
	VMM_WAIT=500
	steps "vmm_ctl g slots 131072 >/dev/null" "sleep 0.1"
	provoke "memslots that change until the generation of MMIO SPTEs begins anew" mmio-generation --pages 4 --storm-pages 1 --mmio 2 --rounds 0
	VMM_WAIT=30
	is "it begins anew once" "$(heard_nr zap_all cause=mmio-generation)" 1
	listen_stop
fi

if want shadow; then
	again '' npt=0
	listen_start || result 1 "listening for everything, without NPT"
	steps : "sleep 1"
	provoke "shadow paging" fault,prefetch,sync,pt-write,invlpg,link,shadowed,emulation --paging 64 --pages 200 --rounds 4
	cmp_ok "shadow paging: pages become unsync" "$(heard_nr unsync)" -ge 1
	cmp_ok "shadow paging: and are brought up to date" "$(heard_nr sync)" -ge 1
	cmp_ok "shadow paging: a page fault is given to the guest" "$(heard_nr inject reason=0xe)" -ge 1
	cmp_ok "shadow paging: a write hits a shadowed table" "$(heard_nr pt_write)" -ge 1
	provoke "what a guest does to its tables by other instructions" relink,unprotect,flooding,role-change,guest-flush \
		--paging 64 --odd --pages 50 --rounds 4
	cmp_ok "guest flush: of its own translations" "$(heard_nr flush_vcpu cause=guest-flush)" -ge 1
	listen_stop
	again '' ''
fi

# Last: there is swap from here on.
if want age; then
	listen_start -e age,spte_set,flush || result 1 "listening for ages"
	swap_on
	echo $$ >/sys/fs/cgroup/ms-age/cgroup.procs
	steps : reclaim
	provoke "a host that looks for pages that are not used" age --pages 1000 --rounds 0
	echo $$ >/sys/fs/cgroup/cgroup.procs
	cmp_ok "a host that looks for pages that are not used: events" "$(heard_nr age)" -ge 1
	listen_stop
fi

[ -z "${ONLY:-}" ] || done_testing

# --- all of them ---

sed -n 's/^CAUSE([A-Z0-9_]*, "\([^"]*\)").*/\1/p' "$abi/causes.def" | tr ' ' - | sort >"$SCRATCH/all-causes"
sed -n 's/^EVENT(\([a-z0-9_]*\),.*/\1/p' "$abi/events.def" | sort >"$SCRATCH/all-events"
cmp_ok "causes are read from their list" "$(wc -l <"$SCRATCH/all-causes")" -ge 38
cmp_ok "events are read from their list" "$(wc -l <"$SCRATCH/all-events")" -ge 40
sort -u "$SCRATCH/wanted" >"$SCRATCH/asserted"
# Once over all of it, which is much.
awk '{ event[$2]++; for (i = 3; i <= NF; i++) if (sub(/^cause=/, "", $i)) { cause[$i]++; break } }
	END { for (e in event) print "event", e, event[e]; for (c in cause) print "cause", c, cause[c] }' "$SCRATCH/all" >"$SCRATCH/seen"
awk '$1 == "cause" { print $2 }' "$SCRATCH/seen" | sort >"$SCRATCH/seen-causes"
awk '$1 == "event" { print $2 }' "$SCRATCH/seen" | sort >"$SCRATCH/seen-events"
printf '%s\n' "${!no_cause[@]}" | sort >"$SCRATCH/no-causes"
printf '%s\n' "${!no_event[@]}" | sort >"$SCRATCH/no-events"
is "causes that are neither asserted nor said to be impossible here" \
	"$(sort -u "$SCRATCH/asserted" "$SCRATCH/no-causes" | comm -13 - "$SCRATCH/all-causes" | xargs)" ""
is "causes that are asserted or excused, and are none" \
	"$(sort -u "$SCRATCH/asserted" "$SCRATCH/no-causes" | comm -23 - "$SCRATCH/all-causes" | xargs)" ""
is "causes that are said to be impossible here, and are seen" \
	"$(comm -12 "$SCRATCH/no-causes" "$SCRATCH/seen-causes" | grep -v '^unknown$' | xargs)" ""
is "events that are neither seen nor said to be impossible here" \
	"$(sort -u "$SCRATCH/seen-events" "$SCRATCH/no-events" | comm -13 - "$SCRATCH/all-events" | xargs)" ""
is "events that are said to be impossible here, and are seen" "$(comm -12 "$SCRATCH/no-events" "$SCRATCH/seen-events" | xargs)" ""
for name in "${!no_cause[@]}"; do
	diag "not here: cause $name: ${no_cause[$name]}"
done
for name in "${!no_event[@]}"; do
	diag "not here: event $name: ${no_event[$name]}"
done
diag "causes seen: $(sort -k 3,3nr "$SCRATCH/seen" | awk '$1 == "cause" { printf "%s %s, ", $2, $3 }')"
done_testing
