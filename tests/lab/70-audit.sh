#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd intel
#
# The auditor on the real KVM, which is taken to be right: on guests that hold still and on busy ones, in each kind of paging, no finding
# counts; and each invariant that such a guest can show was asked. Geometry comes from a seed that is drawn and printed. AUDITS: how
# often a busy guest is audited (4); ROUNDS: how often it is then watched (0; with MMUSCOPE_DEEP 340), in one process, which is faster.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/conform/take.sh
. "$(dirname "$0")/../conform/take.sh"

mmuscope=$BUILD/mmuscope
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
audits=${AUDITS:-4}
rounds=${ROUNDS:-0}
[ "${MMUSCOPE_DEEP:-0}" = 0 ] || rounds=340
# Seconds: many audits take longer than a guest is given by itself.
lives=$((300 + 20 * (audits + rounds)))
diag "seed $seed (SEED to repeat), kernel $(uname -r)"
: >"$SCRATCH/judged"

# audit_once NAME: what counts is written behind $SCRATCH/bad, and what was judged behind $SCRATCH/judged.
audit_once()
{
	local status

	"$mmuscope" audit --guest -j >"$SCRATCH/a.json" 2>"$SCRATCH/a.err"
	status=$?
	# An incomplete walk ends with 1 too, and is no finding.
	if [ "$status" -gt 1 ] || ! jq -r --arg name "$1" '(.findings[] | select(.counts) | "bad \($name): \(.)"),
		(.invariants[] | select(.lacking == null) | "judged \(.row) \(.judged)"),
		"pages \(.audit.pages) \(.audit.pages_unconfirmed) \(.audit.not_seen_again)"' \
		"$SCRATCH/a.json" >"$SCRATCH/a.lines" 2>/dev/null || ! grep -q '^pages [0-9]' "$SCRATCH/a.lines"; then
		echo "$1: status $status: $(head -n 1 "$SCRATCH/a.err")" >>"$SCRATCH/bad"
		return
	fi
	sed -n 's/^bad //p' "$SCRATCH/a.lines" >>"$SCRATCH/bad"
	sed -n 's/^judged //p' "$SCRATCH/a.lines" >>"$SCRATCH/judged"
	sed -n 's/^pages //p' "$SCRATCH/a.lines" >>"$SCRATCH/pages"
}

# watch_busy NAME: rounds of audits, as audit_once.
watch_busy()
{
	"$mmuscope" audit --guest --watch 0.1 --count "$rounds" -j >"$SCRATCH/w.json" 2>"$SCRATCH/a.err"
	jq -rs --arg name "$1" '"rounds \(length)", (.[].changes[] | select(.change == "came") | "bad \($name): \(.)"),
		(.[].watch | "pages \(.pages) \(.pages_unconfirmed) \(.not_seen_again)")' "$SCRATCH/w.json" >"$SCRATCH/w.lines" 2>&1
	grep -qx "rounds $rounds" "$SCRATCH/w.lines" ||
		echo "$1: not $rounds rounds: $(head -n 1 "$SCRATCH/w.lines" "$SCRATCH/a.err")" >>"$SCRATCH/bad"
	sed -n 's/^bad //p' "$SCRATCH/w.lines" >>"$SCRATCH/bad"
	sed -n 's/^pages //p' "$SCRATCH/w.lines" >>"$SCRATCH/pages"
}

# silent NAME VMM-OPTION...
silent()
{
	local name=$1 i
	shift

	: >"$SCRATCH/bad"
	: >"$SCRATCH/pages"
	start_vmm g --seed "$seed" --timeout "$lives" "$@"
	if ! wait_checkpoint g 1; then
		result 1 "$name: guest"
		return
	fi
	audit_once still
	is "$name: at rest every page is judged" "$(awk '{ print ($1 > 3 && !$2) }' "$SCRATCH/pages")" 1
	release_vmm g
	for ((i = 0; i < audits; i++)); do
		audit_once busy
	done
	# Those that end by themselves cannot be watched for long.
	case "$rounds $*" in
	0*) ;;
	*"--rounds 0"*) watch_busy "$name" ;;
	esac
	end_vmm g TERM
	is "$name: nothing counts" "$(head -n 5 "$SCRATCH/bad")" ""
	diag "$name: $(awk '{ p += $1; u += $2; n += $3 }
		END { print NR " audits, " p " pages judged, " u " not confirmed, " n " findings not seen again" }' "$SCRATCH/pages")"
}

# still N NAME VMM-OPTION...: for a slow machine: N and two audits of a guest that holds still, the N in one process, and one while it
# goes on.
still()
{
	local nr=$1 name=$2
	shift 2

	: >"$SCRATCH/bad"
	: >"$SCRATCH/pages"
	start_vmm g --seed "$seed" --rounds 0 "$@"
	if ! wait_checkpoint g 1; then
		result 1 "$name: guest"
		return
	fi
	audit_once still
	is "$name: at rest every page is judged" "$(awk '{ print ($1 > 3 && !$2) }' "$SCRATCH/pages")" 1
	rounds=$nr watch_busy "$name"
	audit_once still
	release_vmm g
	audit_once busy
	end_vmm g TERM
	is "$name: nothing counts" "$(head -n 5 "$SCRATCH/bad")" ""
	diag "$name: $(awk '{ p += $1 } END { print p " pages judged" }' "$SCRATCH/pages")"
}

# logged NAME VMM-OPTION...: dirty logging begins over huge pages that are mapped; nothing counts, then and while the guest goes on.
logged()
{
	local name=$1 i
	shift

	: >"$SCRATCH/bad"
	: >"$SCRATCH/pages"
	start_vmm g --seed "$seed" --timeout "$lives" "$@"
	if ! wait_checkpoint g 1; then
		result 1 "$name: guest"
		return
	fi
	audit_once before
	vmm_ctl g log on >/dev/null
	audit_once after
	jq -r '.invariants[] | select(.row == 34) | "\(.judged) \(.lacking)"' "$SCRATCH/a.json" >"$SCRATCH/34"
	release_vmm g
	for ((i = 0; i < audits; i++)); do
		audit_once busy
	done
	end_vmm g TERM
	is "$name: nothing counts" "$(head -n 5 "$SCRATCH/bad")" ""
}

# How the huge pages of a log that has just begun were judged.
judged_34()
{
	is "$1" "$(sed 's/^[1-9][0-9]* /some /' "$SCRATCH/34")" "$2"
}

# watched VMM-OPTION...: a busy guest is watched, and its VMM killed between two rounds.
watched()
{
	local pid i status

	start_vmm g --seed "$seed" --timeout "$lives" "$@"
	wait_checkpoint g 1 || result 1 "watched: guest"
	release_vmm g
	"$mmuscope" audit --watch 1 -j >"$SCRATCH/w.json" 2>"$SCRATCH/w.err" &
	pid=$!
	for ((i = 0; i < 600; i++)); do
		[ "$(wc -l <"$SCRATCH/w.json")" -lt 3 ] || break
		sleep 0.1
	done
	end_vmm g KILL 2>/dev/null
	wait $pid
	status=$?
	is "watched: no round has a finding" "$(jq -s '(length >= 3) and all(.[]; .changes == [] and .watch.findings == 0)' "$SCRATCH/w.json")" true ||
		diag "rounds: $(wc -l <"$SCRATCH/w.json")" "$(jq -c '.changes[]' "$SCRATCH/w.json" | head -n 5)"
	is "watched: the end of the VM ends it, with one line" "$status $(grep -c . "$SCRATCH/w.err") $(cut -d : -f 1-3 "$SCRATCH/w.err")" \
		"3 1 mmuscope: audit: the VM that is watched has ended"
}

busy="--vcpus 2 --rounds 0 --storm slot --storm madvise --storm-hz 50"
# While memslots come and go, lists of SPTEs are not judged: here they stay.
steady="--vcpus 2 --rounds 0 --storm madvise --storm-hz 50"
if [ "$vendor" = intel ]; then
	still 18 ept --pages 120 --order random --ro 9 --mmio 6 --dirty get
	still 2 "nested ept" --mode nested --pages 40 --dirty get
	still 2 "ept, huge" --pages 6 --size 2m --sys-thp
	modules '' eptad=0
	still 2 "ept without A and D bits" --pages 60 --ro 3 --mmio 3
	modules '' ''
	# The others are about shadow paging, or what is there for moments only (17).
	is "each invariant that such guests show was asked" "$(awk '{ nr[$1] += $2 }
		END { n = split("1 2 3 5 6 7 8 9 10 11 12 13 14 15 16 23", rows, " ")
			for (i = 1; i <= n; i++) if (!nr[rows[i]]) printf "%d ", rows[i] }' "$SCRATCH/judged")" ""
	done_testing
fi
# shellcheck disable=SC2086 # words
silent nested $steady --mode nested --pages 300 --stride 64 --map shuffle --alias 20 --ro 9 --mmio 6 --npt-ro 20 --rewrite mix
# shellcheck disable=SC2086
watched $busy --mode nested --pages 100 --rewrite mix
echo force >/sys/module/kvm/parameters/nx_huge_pages
# Else KVM splits the huge pages of the TDP MMU when the log begins, and none is left to be protected.
echo N >/sys/module/kvm/parameters/eager_page_split
# shellcheck disable=SC2086
logged "nx" $busy --mode nested --pages 12 --size 2m --sys-thp --log-mode manual
judged_34 "nx: huge pages of the TDP MMU in a log that begins" "some null"
# shellcheck disable=SC2086
logged "let off" $busy --mode nested --pages 12 --size 2m --sys-thp --nx-off --log-mode all-set
judged_34 "let off: nothing is said of a log that begins with all pages dirty" "null which ranges of an initially set log were cleared"
modules "tdp_mmu=0 nx_huge_pages=force" ''
# shellcheck disable=SC2086
logged "nx, legacy" $busy --mode nested --pages 12 --size 2m --sys-thp
judged_34 "nx, legacy: huge pages of the legacy MMU in a log that begins" "some null"
modules tdp_mmu=0 ''
# shellcheck disable=SC2086
silent legacy $busy --mode nested --pages 300 --stride 64 --npt fault --rewrite mix --ro 9 --mmio 6 --dirty get
# shellcheck disable=SC2086
silent huge $busy --mode nested --pages 12 --size 2m --sys-thp
modules '' npt=0
silent shadow-64 --paging 64 --pages 300 --ro 4 --mmio 4 --rounds 2
silent shadow-32 --paging 32 --pages 300 --ro 4 --mmio 4 --rounds 2
modules '' ''

# 7 26 27's passthrough and 33 with a table in a huge page are of other hosts or settings.
is "each invariant that such guests show was asked" "$(awk '{ nr[$1] += $2 }
	END { n = split("1 2 3 5 6 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 27 28 29 30 31 32 33 34 35 36 38 39 40", rows, " ")
		for (i = 1; i <= n; i++) if (!nr[rows[i]]) printf "%d ", rows[i] }' "$SCRATCH/judged")" ""
done_testing
