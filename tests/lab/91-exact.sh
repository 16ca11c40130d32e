#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# Target exact, inside the lab: what the kernel module reads under a VM's lock against what the guest did (truth.py), against what the
# live target reads without it, and against itself with a page for each hold of the lock; in a storm, with a VM that is killed
# meanwhile, and with layouts that are not this kernel's. ONLY: which parts of it run ("still legacy shadow hostile storm kill"), all.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-kmod.sh
. "$(dirname "$0")/lib-kmod.sh"
# shellcheck source=tests/conform/take.sh
. "$(dirname "$0")/../conform/take.sh"

here=$(dirname "$0")
parts="still legacy shadow hostile storm kill"
# Without MMUSCOPE_DEEP=1 6.12 leaves to 6.1 what is the same there.
case $(uname -r),${MMUSCOPE_DEEP:-0} in
6.12.*,0) parts="still legacy hostile" ;;
esac
only=${ONLY:-$parts}
EXACT=$BUILD/tests/lab/kmod/exact
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

part()
{
	case " $only " in *" $1 "*) ;; *) return 1 ;; esac
}

truth_py()
{
	/usr/bin/python3 "$here/truth.py" "$@"
}

# by_hand REQUEST... NAME: the tool on that guest's VM.
by_hand()
{
	local pid fd
	read -r pid fd < <(vm_of "${*: -1}")
	"$EXACT" "${@:1:$#-1}" "$pid" "$fd" "$("$mmuscope" vms -j | jq -r --argjson pid "$pid" --argjson fd "$fd" \
		'.files[] | select(.pid == $pid and .fd == $fd) | .kvm')"
}

attached()
{
	[ "$(kmod_state vms)" = 1 ]
}

none_held()
{
	[ "$(kmod_state vms)" = 0 ]
}

# note_of FILE: what mmuscope said of the lock.
note_of()
{
	jq -r '.notes[] | select(startswith("exact:"))' "$1"
}

# held NAME VMM-OPTION...: a guest at its first checkpoint: exact is as the guest did it, as live has it, and as it is page by page.
held()
{
	local name=$1 kind vm
	shift
	start_vmm g --seed "$seed" "$@"
	if ! wait_checkpoint g 1; then
		result 1 "$name: guest"
		return
	fi
	vm=${vmm_pid[g]}
	if [ -n "$by_truth" ]; then
		ok "$name: as the guest did it" truth_py check "$mmuscope" "$SCRATCH/g.truth" --target exact
		grep 'facts' "$SCRATCH/ok.out" | sed 's/^/# /'
	fi
	ok "$name: saved" "$mmuscope" -T exact save --force "$SCRATCH/e.snap"
	ok "$name: saved without the lock" "$mmuscope" save --force "$SCRATCH/l.snap"
	"$mmuscope" diff "$SCRATCH/e.snap" "$SCRATCH/l.snap" --vm "$vm" -j >"$SCRATCH/diff.json"
	is "$name: pages and entries are those that live reads" "$(jq -c '[.sides[].pages > 3, .counts, .not_compared]' "$SCRATCH/diff.json")" \
		"$(jq -c '[(.sides[] | .pages > 3), [], []]' "$SCRATCH/diff.json")"
	for kind in e l; do
		"$EXACT" lists "$SCRATCH/$kind.snap" "$vm" | sort >"$SCRATCH/$kind.lists"
	done
	cmp_ok "$name: there are pages" "$(grep -c ^page "$SCRATCH/e.lists")" -gt 3
	diag "$name: $(cut -d ' ' -f 1 "$SCRATCH/e.lists" | uniq -c | awk '{ printf "%s %s, ", $2, $1 }')"
	ok "$name: headers, lists and counts are those that live reads" cmp "$SCRATCH/e.lists" "$SCRATCH/l.lists"
	is "$name: all was confirmed, of one moment, and said to be read so" \
		"$(jq -c '.provenance | [.target, .pages == .confirmed, (.walk | index("exact", "one-moment") != null)]' \
			<("$mmuscope" -T exact sps --vm "$vm" -j))" '["exact",true,true,true]'
	by_hand budgets g >"$SCRATCH/budgets"
	is "$name: the same with other budgets" "$(awk '$4 != "same" || $3 != ($2 ? "one-by-one" : $3)' "$SCRATCH/budgets")" ""
	# How long holds last is told and not judged: whatever else this host does makes one of an emulated CPU longer.
	diag "! $name: $(tr '\n' ' ' <"$SCRATCH/budgets")"
	"$mmuscope" -T exact audit --vm "$vm" -j >"$SCRATCH/a.json"
	is "$name: an audit finds nothing" "$(jq -c '[.findings[] | select(.counts)]' "$SCRATCH/a.json")" "[]"
	diag "! $name: $(note_of "$SCRATCH/a.json")"
	end_vmm g
}

# The truth knows what KVM does with two-dimensional paging and its TDP MMU.
by_truth=1
if part still; then
	kmod_load
	held plain --pages 256 --order random --ro 6 --mmio 3
	held nested --mode nested --pages 300 --map shuffle --alias 7 --ro 9 --mmio 6 --vcpus 2 --stride 64
	held "many parents" --mode nested --pages 48 --stride 120 --map identity --npt-roots 2
	kmod_unload
fi
by_truth=
if part legacy; then
	ok "KVM without the TDP MMU" modules tdp_mmu=0 ''
	kmod_load
	held "legacy MMU" --mode nested --pages 300 --alias 40 --ro 9 --mmio 6 --stride 64
	kmod_unload
	ok "KVM as it was" modules '' ''
fi
if part shadow; then
	ok "KVM without two-dimensional paging" modules '' npt=0
	kmod_load
	held "shadow paging" --paging 64 --pages 300 --ro 4 --mmio 4
	kmod_unload
	ok "KVM as it was" modules '' ''
fi
if part hostile; then
	modprobe "kvm_$vendor"
	status_is "without the module there is no such target" 3 "$mmuscope" -T exact vms
	is "that is said" "$(grep -c 'the kernel module is not loaded' "$SCRATCH/ok.out")" 1
	status_is "it takes no argument" 2 "$mmuscope" -T exact:x vms
	kmod_load
	start_vmm g --mode nested --pages 60
	wait_checkpoint g 1
	by_hand refuse g >"$SCRATCH/refused"
	is "what must be refused is, each for its reason" "$(tr '\n' ' ' <"$SCRATCH/refused")" "no-vm ENOTCONN no-reading ENODATA \
no-layout ENODATA kind-0 EINVAL kind-5 EINVAL flags EINVAL budget EINVAL pad EINVAL good OK small EINVAL kernel-memory EFAULT \
no-memory EFAULT kept OK over ENODATA "
	# Whatever member is where it is not, the first page that is looked at is none.
	by_hand wrong g >"$SCRATCH/wrong"
	is "a layout of another kernel is refused at the first page" "$(awk '$3 != "EUCLEAN" || $4 != "somewhere" || $5' "$SCRATCH/wrong")" ""
	cmp_ok "each of them" "$(wc -l <"$SCRATCH/wrong")" -eq 15
	end_vmm g
	kmod_unload
fi
storm="--vcpus 2 --rounds 0 --storm slot --storm madvise --storm-hz 200"
if part storm; then
	kmod_load
	# shellcheck disable=SC2086 # words
	start_vmm g --seed "$seed" --timeout 280 $storm --mode nested --pages 600 --stride 64 --rewrite mix
	ok "storm: guest" wait_checkpoint g 1
	release_vmm g
	by_hand storm 3 g >"$SCRATCH/storm"
	is "storm: no page is anything else, none comes twice, none is odd" "$(tail -n 1 "$SCRATCH/storm")" "twice 0 odd 0 failed 0" ||
		diag "$(head -n 5 "$SCRATCH/storm")"
	diag "! storm, a page for each hold: $(head -n 1 "$SCRATCH/storm")"
	cmp_ok "storm: readings were made" "$(awk '$1 == "rounds" { print $2 }' "$SCRATCH/storm")" -gt 2
	: >"$SCRATCH/bad"
	: >"$SCRATCH/notes"
	: >"$SCRATCH/pages"
	for ((i = 0; i < 4; i++)); do
		"$mmuscope" -T exact audit --vm "${vmm_pid[g]}" -j >"$SCRATCH/a.json" 2>"$SCRATCH/a.err" || [ $? = 1 ] ||
			head -n 1 "$SCRATCH/a.err" >>"$SCRATCH/bad"
		jq -r '(.findings[] | select(.counts)), (select(.audit.pages_unconfirmed > 0) | .audit)' \
			"$SCRATCH/a.json" >>"$SCRATCH/bad"
		jq .audit.pages "$SCRATCH/a.json" >>"$SCRATCH/pages"
		note_of "$SCRATCH/a.json" >>"$SCRATCH/notes"
	done
	is "storm: every page is confirmed, and no finding counts" "$(head -n 5 "$SCRATCH/bad")" ""
	cmp_ok "storm: pages were judged" "$(awk '{ n += $1 } END { print n }' "$SCRATCH/pages")" -gt 20
	is "storm: each reading says how the lock was held" "$(wc -l <"$SCRATCH/notes")" 4
	diag "! storm: $(sort "$SCRATCH/notes" | tail -n 1)"
	end_vmm g TERM
	kmod_unload
fi
if part kill; then
	kmod_load
	start_vmm g --mode nested --pages 300 --stride 512
	wait_checkpoint g 1
	by_hand storm 30 g >"$SCRATCH/storm" &
	pid=$!
	within_s 10 attached
	sleep 0.3
	end_vmm g KILL 2>/dev/null
	wait $pid
	is "killed between two holds of the lock: the next request says so" "$(cut -d ' ' -f 2 "$SCRATCH/storm")" ESRCH ||
		diag "$(cat "$SCRATCH/storm")"
	for nth in 1 4; do
		start_vmm g --mode nested --pages 300 --stride 512
		wait_checkpoint g 1
		status_is "killed before piece $nth of what mmuscope reads: not all was read" 1 \
			"$EXACT" kill-at $nth "${vmm_pid[g]}" "$mmuscope" -T exact sps --vm "${vmm_pid[g]}" -j
		is "killed before piece $nth: that is told" "$(jq -c '[(.provenance.walk | index("vm-gone") != null),
			(.notes | any(contains("the VM was gone"))), (.provenance.walk | index("one-moment") == null)]' "$SCRATCH/ok.out")" \
			"[true,true,true]"
		diag "killed before piece $nth: $(jq '.provenance.pages' "$SCRATCH/ok.out") pages"
		end_vmm g 2>/dev/null
	done
	within_s 2 none_held
	result $? "killed meanwhile: no VM is left"
	kmod_unload
fi
kmod_log_clean
done_testing
