#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Vendors: amd
#
# As 83-values.sh, for events that not every guest brings about: their fields against the kernel's own tracing and the VMM's ioctls
# (rarer.py), and where KVM keeps a count of its own, against that. Not here are age and write_track: 81-causes.sh and 92-wp.sh
# have them seen, and compare no fields.

# shellcheck source=tests/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/lab/lib-listen.sh
. "$(dirname "$0")/lib-listen.sh"
# shellcheck source=tests/conform/take.sh
. "$(dirname "$0")/../conform/take.sh"

seed=${SEED:-0x$(od -An -N6 -tx8 /dev/urandom | tr -d ' ' | cut -c5-16)}
diag "seed $seed (SEED to repeat), kernel $(uname -r)"

hold_kvm
if want logs; then
	end_vmm keeper
	nx 1 100 force
	hold_kvm
	rarer_begin
	run_through --pages 300 --dirty get --dirty-lose 10 --rounds 2
	run_through --pages 20 --dirty get --rounds 2
	guest --pages 4 --size 2m --sys-thp --rounds 0
	is "a log begins over huge pages" "$(vmm_ctl g log on)" ok
	is "and ends" "$(vmm_ctl g log off)" ok
	release_vmm g
	until_heard nx_recover
	end_vmm g TERM
	guest --mode nested --pages 150 --stride 256 --rounds 2 --mmu-pages 64
	release_vmm g
	wait_checkpoint g 2 || result 1 "guest with few shadow pages"
	recycled=$(kvmstat g mmu_recycled)
	end_vmm g
	rarer_end logs "log_enable,log_disable,log_read,log_clear,split,nx_recover,recycle,wp"
	is "pages zapped at the limit, as KVM counts them" "$(heard_sum recycle pages)" "$recycled"
	diag "$recycled pages in $(heard_nr recycle) times; frames write-protected $(heard_nr wp), with SPTEs $(heard_sum wp sptes)"
	again '' ''
fi

# A fault that is taken again takes two at once; who does little else leaves them most time to meet.
if want stale; then
	rarer_begin stale
	guest --pages 100 --vcpus 2 --rounds 0 --storm slot --storm madvise --storm mprotect --storm-hz 0
	release_vmm g
	until_heard stale 5
	end_vmm g TERM
	rarer_end stale stale
fi

done_testing
