#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# Write-protect flips on the real KVM: each store to a flipped frame is told, once, with its value, or as one that was let
# through, by L1 and by L2; no store ends or stalls the guest; and a flip ends with whatever made it, or with what it is about.
#
# ONLY="refused exact stalled view sessions cost slot remade events lost killed gone" picks parts; MMUSCOPE_DEEP=1 kills a thousand times. On 6.1
# without it, what asks more of this module than of KVM is left to 6.12.

# shellcheck disable=SC2016,SC2119,SC2317 # conditions are waited for by name
# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-kmod.sh
. "$(dirname "$0")/lib-kmod.sh"

here=$(dirname "$0")
WP=$BUILD/tests/lab/kmod/wp
PAGES=14
# Words lie where no crossing store does.
SEED=5
[ -d /sys/kernel/debug/kvm ] || mount -t debugfs none /sys/kernel/debug
npt=$(cat /sys/module/kvm_amd/parameters/npt 2>/dev/null || echo Y)

parts="refused exact stalled view sessions cost slot remade events lost killed gone"
case $(uname -r),${MMUSCOPE_DEEP:-0} in
6.1.*,0) parts="refused exact sessions slot remade events gone" ;;
esac

wanted()
{
	[[ " ${ONLY:-$parts} " = *" $1 "* ]]
}

# guest OPTION...: "g", at its first checkpoint; its first data page is $gfn, at $hva in the VMM.
guest()
{
	start_vmm g --seed $SEED --pages $PAGES --write 100 "$@"
	wait_checkpoint g 1 || return 1
	gfn=$(truth_get g gfn slot id=1)
	hva=$(truth_get g hva slot id=1)
	read -r pid fd < <(vm_of g)
	vm=(--vm "${vmm_pid[g]}")
}

# told NAME STATUS PATTERN COMMAND...: ends with that status, and says so.
told()
{
	local name=$1 status=$2 pattern=$3
	shift 3
	status_is "$name" "$status" "$@"
	grep -Eq "$pattern" "$SCRATCH/ok.out"
	result $? "$name: says so" || diag "$(cat "$SCRATCH/ok.out")"
}

flips_are()
{
	[ "$(kmod_state flips)" = "$1" ]
}

# wp_start NAME WORD...: `wp on' in the background; returns when so many flips are there as NR says.
wp_start()
{
	local name=$1
	shift
	"$mmuscope" --write wp on "$@" "${vm[@]}" >"$SCRATCH/$name.out" 2>"$SCRATCH/$name.err" &
	wp_pid[$name]=$!
	within_s 10 flips_are "$NR" || diag "no flips: $(cat "$SCRATCH/$name.err")"
}

# wp_end NAME: interrupts it; its status.
wp_end()
{
	kill -INT "${wp_pid[$1]}"
	wait "${wp_pid[$1]}"
}
declare -A wp_pid

# guards: of KVM's functions, how many are entered through the module's.
guards()
{
	grep -cE '^(x86_emulate_instruction|kvm_mmu_page_fault|svm_handle_exit)\b' /sys/kernel/debug/tracing/enabled_functions
}

# tracked GFN: what KVM counts for that frame.
tracked()
{
	"$mmuscope" rmap "$1" "${vm[@]}" -j | jq -r '[.counts[]? | select(.counter == "gfn_write_track") | .count] | add // 0'
}

rounds_per_s()
{
	local a b
	a=$(vmm_ctl g status | sed 's/.*round=\([0-9]*\).*/\1/')
	sleep 0.5
	b=$(vmm_ctl g status | sed 's/.*round=\([0-9]*\).*/\1/')
	echo $(((b - a) * 2))
}

hold_kvm

# --- what is refused ---
if wanted refused; then
	guest
	told "without the module" 3 'kernel module is not loaded' "$mmuscope" --write wp on "$gfn" "${vm[@]}"
	end_vmm g
fi
kmod_load
if wanted refused; then
	guest
	told "without --write" 2 'needs --write' "$mmuscope" wp on "$gfn" "${vm[@]}"
	is "and has opened nothing" "$(kmod_state files)" 0
	told "a frame without memslot" 3 'frame 0xfffffffff: there is no memslot' \
		"$mmuscope" --write wp on 0xfffffffff "${vm[@]}" --for 0.1
	is "no flip is left of it" "$(kmod_state flips)" 0
	"$WP" refuse "$pid" "$fd" "$gfn" >"$SCRATCH/refused"
	sort >"$SCRATCH/wanted" <<'WANTED'
behind-the-end EINVAL
empty EINVAL
flags EINVAL
good OK
large EINVAL
list-no-memory EFAULT
list-no-room OK
list-pad EINVAL
no-slot ENOENT
off-flags EINVAL
off-none 0 0
off-one 0 1
out-given EINVAL
over-the-end EINVAL
read-short EINVAL
read-without-flips EINVAL
twice EEXIST
unattached ENOTCONN
WANTED
	sort "$SCRATCH/refused" | diff "$SCRATCH/wanted" - >"$SCRATCH/diff"
	result $? "what must be refused is, each for its reason" || diag "$(cat "$SCRATCH/diff")"
	# Without ftrace there is nothing that keeps a guest alive.
	echo 0 >/proc/sys/kernel/ftrace_enabled
	told "where KVM cannot be guarded" 3 'cannot be kept from ending a guest.*--may-kill-guest' \
		"$mmuscope" --write wp on "$gfn" "${vm[@]}" --for 0.1
	told "--may-kill-guest flips all the same" 0 'guest kept from harm *no' \
		"$mmuscope" --write wp on "$gfn" "${vm[@]}" --for 0.1 --may-kill-guest
	echo 1 >/proc/sys/kernel/ftrace_enabled
	is "nothing is left of all that" "$(kmod_state flips) $(kmod_state vms)" "0 0"
	end_vmm g
fi

# --- each store, once ---
exact()
{
	local mode=$1 level=$2 i rounds=6 names

	guest --mode "$mode" --stores --rounds $((1 + rounds))
	NR=$PAGES wp_start exact "$gfn+$PAGES" -j
	is "$level: KVM counts the flip" "$(tracked "$gfn")" "$((1 + $(own_tracking)))"
	for ((i = 2; i < 2 + rounds; i++)); do
		release_vmm g
		wait_checkpoint g $i || break
	done
	ok "$level: it ends when it is told to" wp_end exact
	names=$("$here/wp.py" "$SCRATCH/exact.out" $rounds "$level" "$gfn" "$pid" "$hva")
	result $? "$level: each store of $rounds rounds is told, once, with what memory holds" || diag "$names"
	diag "! $level, let through: ${names##*$'\n'}"
	is "$level: nothing was lost" "$(tail -n 1 "$SCRATCH/exact.out" | jq -c '.wp | [.lost, .undone, .guarded]')" "[0,$PAGES,true]"
	is "$level: KVM's count is as it was" "$(tracked "$gfn")" "$(own_tracking)"
	# The guest compares all it stored; its end says that nothing was wrong.
	release_vmm g
	wait_vmm g
	is "$level: the guest ends well" $? 0
}
# What KVM itself tracks of a data page: nothing.
own_tracking()
{
	echo 0
}
if wanted exact; then
	exact plain l1
	[ "$npt" = N ] || exact nested l2
fi

# --- a vCPU that does not get a CPU while its store is let through ---
# stalled: a guest whose threads are stopped again and again makes its rounds; $unfinished of its stores were not finished.
stalled()
{
	local rounds=60 i staller names

	guest --mode plain --vcpus 2 --stores --rounds $((1 + rounds)) --timeout 0
	NR=$PAGES wp_start stalled "$gfn+$PAGES" -j
	while sleep 0.05; do
		kill -STOP "${vmm_pid[g]}" && sleep 0.15
		kill -CONT "${vmm_pid[g]}" || break
	done 2>/dev/null &
	staller=$!
	for ((i = 2; i < 2 + rounds; i++)); do
		release_vmm g
		wait_checkpoint g $i || break
	done
	kill $staller
	wait $staller 2>/dev/null
	kill -CONT "${vmm_pid[g]}"
	ok "stalled: it ends when it is told to" wp_end stalled
	names=$("$here/wp.py" "$SCRATCH/stalled.out" $rounds l1 "$gfn" "$pid" "$hva" others)
	result $? "stalled: each store of $rounds rounds is told, once, but for those that are said to be not finished" || diag "$names"
	unfinished=$(grep -c '"not-finished"' "$SCRATCH/stalled.out")
	release_vmm g
	wait_vmm g
	is "stalled: the guest ends well" $? 0
}
if wanted stalled; then
	# Where a thread is stopped is chance.
	for ((try = 0; try < 8; try++)); do
		stalled
		[ "$unfinished" -eq 0 ] || break
	done
	cmp_ok "stalled: some are not finished" "$unfinished" -ge 1
	diag "! stalled: $unfinished not finished, at try $((try + 1))"
fi

# --- marks, and the interface ---
# Each server has a socket of its own: one that is ending may still hold the one before.
starts=0
tm()
{
	tmux -S "$SCRATCH/tmux$starts" -f /dev/null "$@"
}

shown()
{
	tm capture-pane -p 2>/dev/null | grep -qF -- "$1"
}

# sees TEXT NAME: the screen has the text within a while.
sees()
{
	within_s 20 shown "$1"
	result $? "$2" || diag "no '$1' on:" "$(tm capture-pane -p)"
}

keys()
{
	local k

	for k; do
		tm send-keys "$k"
		sleep 0.2
	done
}

# table OPTION...: the interface on the guest, with the frame's leaf selected in its table.
table()
{
	starts=$((starts + 1))
	tm new-session -d -x 100 -y 30 "LC_ALL=C.UTF-8 $mmuscope $* ${vm[*]}; echo status \$?; sleep 100"
	sees "vcpu 0" "the interface, with ${*:-no option}"
	keys / "$table" Enter Enter
	sees "of 512" "the table"
	keys / "$gfn" Enter
}
if wanted view; then
	guest --rounds 0 --mode plain
	release_vmm g
	table=$("$mmuscope" sps --list --gfn "$gfn" --level 1 "${vm[@]}" -j | jq -r '.sps[0].gfn')
	is "nothing is marked" "$("$mmuscope" leaves --gfn "$gfn" "${vm[@]}" -j | jq -c '[.leaves[].why] | add')" null
	table
	tm send-keys w
	sees "start mmuscope with --write" "w does nothing without --write"
	is "and nothing is open" "$(kmod_state files)" 0
	tm kill-server
	table --write
	tm send-keys w
	sees "WP f" "w flips the frame of the entry, which is marked"
	sees "wp-flip" "in words, too"
	is "there is one flip" "$("$mmuscope" wp list "${vm[@]}" -j | jq -c '[.flips[] | [.gfn, .state]]')" "[[\"$gfn\",\"on\"]]"
	is "commands mark it" "$("$mmuscope" leaves --gfn "$gfn" "${vm[@]}" -j | jq -c '.leaves[0].why')" '["wp-flip"]'
	sees "store: vCPU 0 L1, GPA ${gfn}" "stores are told in the status line"
	keys ':wp list' Enter
	sees " yes   on" "the interface lists it as its own"
	keys q
	tm send-keys w
	sees "its flip is undone" "w undoes it"
	is "so it is" "$(kmod_state flips)" 0
	tm send-keys w
	sees "WP f" "and flips again"
	keys q q q
	within_s 5 flips_are 0
	result $? "the interface ends, and its flips with it"
	tm kill-server
	end_vmm g
fi

# --- sessions ---
if wanted sessions; then
	guest --rounds 0
	release_vmm g
	"$WP" flip "$pid" "$fd" "$gfn" 2 >"$SCRATCH/a" &
	a=$!
	within_s 5 grep -q on "$SCRATCH/a"
	NR=3 wp_start b "$gfn+3" -j
	is "two sessions share a frame" "$("$mmuscope" wp list "${vm[@]}" -j | jq -c '[.flips[].sessions]')" "[2,2,1]"
	is "KVM counts it once" "$(tracked "$gfn")" 1
	kill -KILL $a
	wait $a 2>/dev/null
	within_s 2 eval '[ "$("$mmuscope" wp list "${vm[@]}" -j | jq -c "[.flips[].sessions]")" = "[1,1,1]" ]'
	result $? "one is killed: the other's stay"
	n=$(wc -l <"$SCRATCH/b.out")
	sleep 0.5
	cmp_ok "and catch on" "$(wc -l <"$SCRATCH/b.out")" -gt "$n"
	wp_end b
	# The cause that nothing but a module like this brings about: src/abi/causes.def, tests/lab/81-causes.sh.
	"$mmuscope" events "${vm[@]}" --event write_track --by event,cause --for 2 -j >"$SCRATCH/causes" 2>&1 &
	events=$!
	while kill -0 $events 2>/dev/null; do
		"$WP" cost "$pid" "$fd" "$gfn" 100 >/dev/null
	done
	grep -q '"cause":"write track"' "$SCRATCH/causes"
	result $? "events name the cause" || diag "$(tail -c 900 "$SCRATCH/causes")"
	grep -q '"event":"write_track"' "$SCRATCH/causes"
	result $? "and the event" || diag "$(tail -c 900 "$SCRATCH/causes")"
	is "nothing is left" "$(kmod_state flips) $(tracked "$gfn")" "0 0"
	printf 'wp on %s+2\nwp list\nwp off %s\nwp list\n' "$gfn" "$gfn" | sed "/./s/\$/ --vm ${vmm_pid[g]} -j/" |
		"$mmuscope" --write prompt >"$SCRATCH/prompt" 2>&1
	is "at the prompt flips stay till they are undone" "$(jq -c '.flips | length' "$SCRATCH/prompt" | xargs)" "2 2 1 1"
	is "or till it ends" "$(kmod_state flips)" 0
	end_vmm g
fi

# --- what it costs ---
if wanted cost; then
	guest --rounds 0 --pages 1
	release_vmm g
	n=$("$WP" cost "$pid" "$fd" "$gfn" 2000 | awk '{ print $2 }')
	diag "! a caught store: $((2000000000 / (n + 1))) ns, the guest's round and its exit included ($n in 2 s)"
	cmp_ok "stores are caught all the time" "${n:-0}" -gt 100
	end_vmm g
fi

# --- losses ---
if wanted lost; then
	guest --rounds 0
	release_vmm g
	NR=$PAGES wp_start slow "$gfn+$PAGES" -j
	kill -STOP "${wp_pid[slow]}"
	for ((i = 0; i < 100; i++)); do
		[ "$("$mmuscope" wp list "${vm[@]}" -j | jq '[.flips[].stores] | add')" -lt 6000 ] || break
	done
	kill -CONT "${wp_pid[slow]}"
	sleep 0.3
	status_is "losses are a finding" 1 wp_end slow
	lost=$(tail -n 1 "$SCRATCH/slow.out" | jq .wp.lost)
	cmp_ok "that is counted" "$lost" -gt 0
	is "and can be seen in the numbers" "$(head -n -1 "$SCRATCH/slow.out" | jq -s '[.[].seq] | . as $s | [range(1; length) | $s[.] - $s[. - 1] - 1] | add')" "$lost"
	end_vmm g
fi

# --- the memslot ---
if wanted slot; then
	guest --rounds 3 --storm slot --storm-hz 1
	storm=$(truth_get g gfn slot id=3)
	NR=2 wp_start slot "$storm" "$gfn" -j
	ok "the slot is deleted and made again" vmm_ctl g zap
	within_s 2 flips_are 1
	result $? "its flip is gone, the other stays"
	wp_end slot
	is "and that was told" "$(head -n -1 "$SCRATCH/slot.out" | jq -r 'select(.kind == "lost-with-slot") | .gpa')" "${storm}000"
	is "the new slot's counts are none of ours" "$(tracked "$storm")" 0
	is "KVM's functions are its own" "$(guards)" 0
	NR=1 wp_start slot "$storm" -j
	cmp_ok "with a flip they are not" "$(guards)" -gt 0
	ok "the slot of a session's last flip is deleted and made again" vmm_ctl g zap
	within_s 5 eval '[ "$(guards)" = 0 ]'
	result $? "the guard goes before the session does" || diag "$("$CTL" state)"
	is "which is still there" "$(kmod_state files) $(kmod_state flips)" "1 0"
	wp_end slot
	is "and tells that the guest was guarded" "$(tail -n 1 "$SCRATCH/slot.out" | jq -c '.wp | [.lost_with_slot, .guarded]')" "[1,true]"
	end_vmm g
fi

# --- memslots that are deleted and made again while flips in them go on and off ---
# On 6.12 the flip of a slot that is gone may be ended before KVM tells that it is.
if wanted remade; then
	"$WP" own 3000 >"$SCRATCH/own"
	result $? "flips on and off in a memslot that comes and goes" || diag "$(cat "$SCRATCH/own")"
	diag "! remade: $(tail -n 1 "$SCRATCH/own")"
	cmp_ok "there were some" "$(awk '$1 == "on" { print $2 }' "$SCRATCH/own")" -gt 100
	# 6.1 tells of a slot that is to be moved before it finds that it cannot be.
	case $(uname -r) in
	6.1.*) moved="move EINVAL flips 0 told 16" ;;
	*) moved="move EINVAL flips 16 told 0" ;;
	esac
	is "what a refused move does to flips" "$(head -n 1 "$SCRATCH/own")" "$moved"
	guest --rounds 0 --vcpus 2 --storm slot --storm-hz 10000
	release_vmm g
	storm=$(truth_get g gfn slot id=3)
	NR=1 wp_start keep "$gfn" -j
	for ((i = 0; i < 2; i++)); do
		"$WP" loop "$pid" "$fd" "$storm" 16 3000 >"$SCRATCH/loop$i" &
		loop[i]=$!
	done
	for ((i = 0; i < 2; i++)); do
		wait "${loop[i]}"
		result $? "and with a guest that uses it: loop $i"
	done
	diag "! remade, with a guest: $(cat "$SCRATCH/loop0" "$SCRATCH/loop1" | xargs), $(vmm_ctl g status)"
	is "one flip stays" "$(kmod_state flips)" 1
	wp_end keep
	is "and no count" "$(tracked "$storm") $(tracked "$gfn")" "0 0"
	end_vmm g
fi

# --- the stack of a guest's kernel: the CPU delivers page faults there, for which no instruction stands ---
if wanted events; then
	guest --paging 64 --rounds 3 --ro 4
	stack=$(truth_get g gfn stack)
	NR=2 wp_start events "$stack+2" -j
	for n in 2 3; do
		release_vmm g
		wait_checkpoint g $n
		result $? "page faults with the stack flipped: round $n"
	done
	cmp_ok "the guest had some" "$(truth_count g op fault=1)" -gt 20
	wp_end events
	cmp_ok "deliveries are told" "$(jq -s '[.[] | select(.kind == "event-delivery")] | length' "$SCRATCH/events.out")" -gt 5
	is "each on the stack" "$(jq -r 'select(.kind == "event-delivery") | .gpa[:-3]' "$SCRATCH/events.out" | sort -u |
		grep -vxE "$(printf '%s|0x%x' "$stack" $((stack + 1)))")" ""
	end_vmm g
fi

# --- killed ---
# L2 stores, for which KVM never has a second way when its emulator gives up: a store that it was told to emulate when the flip ended
# is the guard's until the end.
if wanted killed; then
	guest --rounds 0 --mode nested --stores --timeout 3000
	release_vmm g
	start_vmm keeper --pages 2 --timeout 3000
	wait_checkpoint keeper 1
	before=$(rounds_per_s)
	kills=50 active=0 from=$SECONDS
	[ "${MMUSCOPE_DEEP:-0}" = 0 ] || kills=1000
	# Most are of a program that starts faster than mmuscope; and after some the guard stays, which is dear to set up.
	for ((n = 0; n < kills; n++)); do
		if ((n == 10)); then
			# shellcheck disable=SC2046 # pid and descriptor
			"$WP" flip $(vm_of keeper) 0x10 1 >"$SCRATCH/holder" &
			holder=$!
		fi
		if ((n % 10 == 9)); then
			"$mmuscope" --write wp on "$gfn+$PAGES" "${vm[@]}" -j >/dev/null 2>&1 &
			victim=$!
			sleep 0.$((RANDOM % 7 + 2))
		else
			"$WP" flip "$pid" "$fd" "$gfn" $PAGES >/dev/null 2>&1 &
			victim=$!
			sleep 0.0$((RANDOM % 100))
		fi
		# The holder's is one.
		[ "${MMUSCOPE_DEEP:-0}" = 0 ] || [ "$(kmod_state flips)" -lt $PAGES ] || active=$((active + 1))
		kill -KILL $victim
		wait $victim
	done 2>/dev/null
	[ "${MMUSCOPE_DEEP:-0}" = 0 ] || diag "! killed: $kills in $((SECONDS - from)) s, $active of them with flips active"
	grep -q on "$SCRATCH/holder"
	result $? "and one of another VM stayed" || diag "$(cat "$SCRATCH/holder")"
	kill -KILL "$holder"
	wait "$holder" 2>/dev/null
	end_vmm keeper KILL 2>/dev/null
	within_s 3 flips_are 0
	result $? "$kills killed sessions leave no flip" || diag "$("$CTL" state)"
	for ((i = 0; i < PAGES; i++)); do
		printf 'rmap 0x%x --vm %s -j\n' $((gfn + i)) "${vmm_pid[g]}"
	done | "$mmuscope" prompt >"$SCRATCH/tracked"
	is "and KVM no count" "$(jq '[.counts[] | select(.counter == "gfn_write_track")] | length' "$SCRATCH/tracked" | sort | uniq -c | xargs)" "$PAGES 0"
	within_s 10 eval '[ "$(rounds_per_s)" -gt $((before / 3)) ]'
	result $? "the guest is as fast as it was" || diag "before $before rounds a second, now $(rounds_per_s)"
	end_vmm g
	is "and ends well" $? 0
fi

# --- the VM ---
if wanted gone; then
	guest --rounds 0
	release_vmm g
	NR=$PAGES wp_start gone "$gfn+$PAGES" -j
	end_vmm g KILL 2>/dev/null
	within_s 1 vm_gone "$pid" "$fd"
	result $? "killed, the VM is gone within a second, with flips on it"
	wait "${wp_pid[gone]}"
	is "the session ends by itself" $? 0
	ok "and says why" grep -q 'the VM ended' "$SCRATCH/gone.out"
	is "nothing is left" "$(kmod_state flips) $(kmod_state vms)" "0 0"
fi

kmod_unload
kmod_log_clean
done_testing
