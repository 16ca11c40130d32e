/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A listener of target live: between live_attach.c, which loads and attaches, and live_listen.c, which listens. */
#ifndef TARGET_LIVE_PRIVATE_H
#define TARGET_LIVE_PRIVATE_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "target/kmem.h"
#include "target/live_listen.h"

struct events_bpf;

#define MS_LISTEN_MIN_BUFFER 4096u

struct probe {
	bool wanted, there; /* by this kernel's BTF */
	u8 vendor; /* enum ms_probe_vendor: the module whose BTF has it */
	u32 btf_id;
	struct bpf_program *prog[2]; /* of an operation: entry and exit */
	struct bpf_link *link[2];
	char why[192];
};

struct live_listener {
	struct ms_listener l;
	struct ms_kmem *kmem;
	struct events_bpf *skel;
	struct probe *probes; /* as ms_probe_descs */
	struct ms_probe *shown;
	struct ring_buffer *rb;
	struct ms_event_queue queue;
	u8 ret_of[MS_PROBE_RETS];
	int btf_fd[3]; /* of each enum ms_probe_vendor's module; 0: built in */
	int handler[3]; /* of libbpf's, 0: none */
	int epoll_fd, timer_fd, stats_fd;
	u64 delivered;
	u64 drain_lo, drain_hi; /* code that empties the PML buffer, [lo, hi); 0: not known */
	bool amd, intel;
};

/* Load what listens for ll->l.listen. */
struct ms_err *ms_live_load(struct live_listener *ll) MS_MUST_CHECK;
/* Begin; and fill in ll->shown. The error: somebody has had enough. */
struct ms_err *ms_live_attach(struct live_listener *ll) MS_MUST_CHECK;
/*
 * End, and give everything of the above back. What is attached to many functions is taken away by a process of its
 * own, after this one went on or ended: the kernel does it one after the other, a tenth of a second each.
 */
void ms_live_detach(struct live_listener *ll);

#endif
