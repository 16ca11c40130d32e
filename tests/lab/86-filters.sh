#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# Of all that happens on the real KVM only what was asked for: of a VM, a vCPU, a frame, some events, with stacks; and nothing is left
# in the kernel by a listener that was killed or interrupted.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-listen.sh
. "$(dirname "$0")/lib-listen.sh"

seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

guests()
{
	kill "-$1" "${vmm_pid[g]}" "${vmm_pid[other]}"
}

# a_second LISTEN-OPTION...: what is heard of a second of both guests, which stand still while probes come and go.
a_second()
{
	listen_start "$@"
	guests CONT
	sleep 1
	guests STOP
	listen_stop
}

hold_kvm
start_vmm other --seed "$seed" --timeout 0 --pages 50 --rounds 0 --storm madvise
wait_checkpoint other 1
release_vmm other
start_vmm g --seed "$seed" --timeout 0 --mode nested --pages 100 --vcpus 2 --rounds 0 --rewrite mix --storm madvise --storm slot
wait_checkpoint g 1
kvm=$(kvm_of g)
[ "${kvm#0x}" != "$kvm" ] || result 1 "the guest's struct kvm"
some=fault,fault_done,spte_set,rmap_add,rmap_remove,sp_create,sp_zap,sp_find,flush
release_vmm g
guests STOP
a_second -e $some -k "${kvm#0x}"
is "of one VM: no other's" "$(grep -c '^event' "$heard") $(grep '^event' "$heard" | grep -cv " kvm=$kvm " | sed 's/^0$/none/')" \
	"$(stat_of delivered) none"
cmp_ok "of one VM: its own" "$(stat_of delivered)" -ge 1
a_second -e sp_free,sp_zap -k "${kvm#0x}"
cmp_ok "pages that are freed: of one VM" "$(heard_nr sp_free)" -ge 1
is "pages that are freed: no other's, and none of nobody's" "$(grep '^event' "$heard" | grep -cv " kvm=$kvm ")" 0
diag "pages that are freed: $(heard_nr sp_free), $(stat_of unknown_vm) of no known VM left out"
a_second -e $some -v 1
cmp_ok "of one vCPU: its own" "$(stat_of delivered)" -ge 1
is "of one vCPU: no other's" "$(grep '^event' "$heard" | grep -vc ' vcpu=1 ')" 0
a_second -e spte_set,rmap_add
is "of two events: those" "$(grep '^event' "$heard" | cut -d ' ' -f 2 | sort -u | xargs)" "rmap_add spte_set"
gfn=$(grep '^event rmap_add' "$heard" | grep -o 'gfn=[^ ]*' | sort | uniq -c | sort -rn | awk '{ print $2; exit }' | cut -d = -f 2)
a_second -e rmap_add,spte_set,fault -g "${gfn#0x}-$(printf %x $((gfn + 1)))"
cmp_ok "of one frame: its own" "$(heard_nr rmap_add)" -ge 1
is "of one frame: no other's" \
	"$(grep '^event' "$heard" | grep -v " gfn=$gfn " | grep -v 'spte_set.* level=[2-5]' | head -n 3)" ""
a_second -s -e rmap_add
cmp_ok "stacks: one for each" "$(grep -c 'stack=ffffffff' "$heard")" -ge "$(heard_nr rmap_add)"
is "stacks: all are kept" "$(stat_of lost_stack)" 0
diag "a stack: $(grep -o 'stack=.*' "$heard" | head -n 1 | cut -c 1-120)"
guests CONT
listen_start -e $some
kill -KILL "$listener"
wait "$listener" 2>/dev/null
ok "killed: no program and no probe is left" nothing_left
"$BUILD/mmuscope" events --probes >"$SCRATCH/probes" 2>"$SCRATCH/err" &
pid=$!
# While the first are attached, and long before the last.
for ((i = 0; i < 600; i++)); do
	[ "$(bpftool prog show 2>/dev/null | grep -cE 'tracing|kprobe')" -lt 100 ] || break
	sleep 0.1
done
kill -INT "$pid"
wait "$pid"
is "interrupted while probes are attached: an error, and no table" "$? $(grep -v '^mmuscope: attaching' "$SCRATCH/err" "$SCRATCH/probes" -h)" \
	"3 mmuscope: live: interrupted while probes were attached"
ok "interrupted while probes are attached: nothing is left" nothing_left
end_vmm g TERM
end_vmm other TERM
done_testing
