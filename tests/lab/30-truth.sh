#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd intel
#
# What mmuscope says of a guest against what the guest really did (truth.py), inside the lab. Geometry comes from a seed that is drawn and printed.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck source=tests/conform/take.sh
. "$(dirname "$0")/../conform/take.sh"

here=$(dirname "$0")
mmuscope=$BUILD/mmuscope
seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

truth_py()
{
	/usr/bin/python3 "$here/truth.py" "$@"
}

# held NAME OPTION...: a guest at its first checkpoint, and all facts of it.
held()
{
	local name=$1
	shift
	start_vmm g --seed "$seed" "$@"
	if ! wait_checkpoint g 1; then
		result 1 "$name: guest"
		return
	fi
	if [ "$vendor" = amd ] || [ -z "${asked_live-}" ]; then
		asked_live=1
		ok "$name: live" truth_py check "$mmuscope" "$SCRATCH/g.truth"
	else
		# Each look at a live host takes that emulator seconds: one for all questions.
		ok "$name: saved" "$mmuscope" save --force "$SCRATCH/s.snap"
		ok "$name: as it was saved" truth_py check "$mmuscope" "$SCRATCH/g.truth" --target "snap:$SCRATCH/s.snap"
	fi
	grep 'facts' "$SCRATCH/ok.out" | sed 's/^/# /'
}

# corrupt NAME SED-EXPRESSION: a truth that is wrong in one point must be noticed. By the snapshot, which was just shown to agree.
corrupt()
{
	sed "$2" "$SCRATCH/g.truth" >"$SCRATCH/wrong.truth"
	if cmp -s "$SCRATCH/g.truth" "$SCRATCH/wrong.truth"; then
		result 1 "corrupted truth ($1): the corruption changed nothing"
		return
	fi
	status_is "corrupted truth is noticed: $1" 1 truth_py check "$mmuscope" "$SCRATCH/wrong.truth" --target "snap:$SCRATCH/s.snap"
	grep -v facts "$SCRATCH/ok.out" | head -n 1 | sed 's/^/# /'
}

# What every vendor's guests can be.
held "plain" --pages 256 --order random --ro 6 --mmio 3
end_vmm g
look=()
[ "$vendor" = amd ] || look=(-T "snap:$SCRATCH/s.snap")
held "plain, 2M" --pages 12 --size 2m
is "plain, 2M: huge leaves are shown" "$("$mmuscope" "${look[@]}" leaves --level 2 -j | jq '[.leaves[] | select(.gfn_source == "page")] | length')" \
	"$(kvmstat g pages_2m)"
end_vmm g
held "plain, dirty logging" --pages 200 --dirty get --rounds 2
if [ "$vendor" = intel ]; then
	# With PML the CPU logs what sets a D bit: KVM clears that and protects nothing.
	is "plain, dirty logging: D bits cleared for the log" \
		"$("$mmuscope" "${look[@]}" leaves -j | jq '[.leaves[] | select(.state == "RW" and (.dirty | not))] | length')" "$(truth_count g gmap kind=data)"
else
	is "plain, dirty logging: protected for the log" \
		"$("$mmuscope" leaves --state DL -j | jq '.leaves | length')" "$(truth_count g gmap kind=data)"
fi
end_vmm g

if [ "$vendor" = intel ]; then
	held "plain, with everything" --pages 60 --ro 9 --ro-write --mmio 6 --order random --vms 2 --dup 2 --dirty on
	corrupt "a mapping that was not made" '/^gmap .*touched=rw- .*kind=data/{s/ gfn=0x/ gfn=0x7/;:a;n;ba}'
	corrupt "a slot's flags" '/^slot .*flags=0x2/s/flags=0x2/flags=0x0/'
	end_vmm g
	ok "without A and D bits" modules '' eptad=0
	held "plain, no A/D bits" --pages 40 --order random --ro 3 --mmio 2
	end_vmm g
	modules '' ''
	done_testing
fi

held "nested" --mode nested --pages 400 --map shuffle --alias 7 --ro 9 --ro-write --mmio 6 --vcpus 2 --order random --npt-ro 20
ok "nested: saved" "$mmuscope" save "$SCRATCH/s.snap"
ok "nested: the snapshot says the same" truth_py check "$mmuscope" "$SCRATCH/g.truth" --target "snap:$SCRATCH/s.snap"
ok "nested: the same through a buffer of 64 pages" truth_py check "$mmuscope" "$SCRATCH/g.truth" --arg=--buffer-pages --arg=64
corrupt "an L1 frame" '/^l2map .*kind=data/{s/l1gfn=0x\([0-9a-f]*\)/l1gfn=0x\1f/;:a;n;ba}'
corrupt "a mapping that was not made" '/^l2map .*touched=rw- kind=data/{s/l2gfn=0x/l2gfn=0x7/;:a;n;ba}'
corrupt "a slot's flags" '/^slot .*flags=0x2/s/flags=0x2/flags=0x0/'
corrupt "a counter" 's/^\(kvmstat .*name=pages_4k value=\)/\11/'
corrupt "nCR3" 's/npt_cr3=0x/npt_cr3=0x1/'
corrupt "L1's CR4" 's/l1_cr4=0x20/l1_cr4=0x100020/'
corrupt "an access right" '/^l2map .*touched=rw- kind=data/{s/access=rwx/access=r-x/;:a;n;ba}'
end_vmm g

held "nested, L2 active, 2M, NX" --mode nested --pages 20 --size 2m --at l2 --hold run --npt-nx
end_vmm g
held "nested by faults, SMEP and SMAP" --mode nested --pages 200 --npt fault --ad 0 --map identity --l1-touch \
	--l1 nx,wp,smep,smap
end_vmm g
held "nested, rewritten tables" --mode nested --pages 300 --rewrite mix --vcpus 2 --rounds 3
release_vmm g
wait_checkpoint g 2
release_vmm g
ok "nested, rewritten tables: third checkpoint" wait_checkpoint g 3
ok "nested, rewritten tables: third time" truth_py check "$mmuscope" "$SCRATCH/g.truth"
end_vmm g
held "two VMs in one process" --vms 2 --dup 2 --pages 64 --mmio 2 --comm $'e\e[31m\a\\x'
end_vmm g

start_vmm g --seed "$seed" --mode nested --pages 1500 --stride 256 --vcpus 2 --rounds 0 --rewrite unmap --storm slot --storm madvise \
	--storm-hz 200
ok "storm: checkpoint" wait_checkpoint g 1
release_vmm g
ok "storm: no false leaf, and what is torn says so" truth_py storm "$mmuscope" "$SCRATCH/g.truth"
sed 's/^/# /' "$SCRATCH/ok.out"
end_vmm g TERM
done_testing
