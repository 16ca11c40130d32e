// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the live target runs in the kernel: iterators over symbols and over open files, a batched reader of
 * kernel memory and a chase along a list. None of them writes to anything but its own maps, takes a lock, or
 * knows what a shadow page is: all of that is in user space, where it can be tested. Contract: abi/kread.h.
 *
 * Works without CO-RE: the few offsets needed come as read-only data from the layout table.
 */
#include "abi/kread.h"
#include "abi/types.h"

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define FD_VM 1
#define FD_VCPU 2

/* Filled before load; the verifier treats them as constants. */
const volatile u32 off_ksym_value;
const volatile u32 off_ksym_name;
const volatile u32 off_ksym_module;
const volatile u32 off_ksym_show_value;
const volatile u64 ksyms_wanted[MS_KSYM_BITS / 64];
const volatile u32 off_file_f_op;
const volatile u32 off_file_private_data;
const volatile u32 off_task_tgid;
const volatile u32 off_task_comm;

/* Known once the symbols have been read. */
u64 addr_kvm_vm_fops;
u64 addr_kvm_vcpu_fops;

struct kbuf {
	u8 data[MS_KREAD_BUF_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MS_KREAD_MAX_REQS);
	__type(key, u32);
	__type(value, struct ms_kreq);
} reqs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct kbuf);
} buf SEC(".maps");

/* The context of an iter/task_file program: fixed by the kernel's ABI, four 8-byte slots. */
struct iter_task_file {
	struct bpf_iter_meta *meta;
	void *task;
	u64 fd;
	void *file;
};

struct bpf_iter_meta {
	void *seq;
};

struct iter_ksym {
	struct bpf_iter_meta *meta;
	void *ksym;
};

SEC("iter/ksym")
int ksyms(struct iter_ksym *ctx)
{
	struct bpf_iter_meta *meta = ctx->meta;
	void *ksym = ctx->ksym;
	struct ms_ksym rec;
	u32 show = 0, bit;
	u64 key = 0;

	if (!ksym)
		return 0;
	bpf_probe_read_kernel(&key, sizeof(key), ksym + off_ksym_name);
	bit = ms_ksym_bit(key);
	if (!(ksyms_wanted[bit / 64] >> bit % 64 & 1))
		return 0;
	/* Not before: nearly all of 200,000 symbols end above. */
	__builtin_memset(&rec, 0, sizeof(rec));
	/* The iterator leaves it to us to hide what kptr_restrict wants hidden. */
	bpf_probe_read_kernel(&show, sizeof(show), ksym + off_ksym_show_value);
	if (show)
		bpf_probe_read_kernel(&rec.addr, sizeof(rec.addr), ksym + off_ksym_value);
	bpf_probe_read_kernel(rec.module, sizeof(rec.module), ksym + off_ksym_module);
	bpf_probe_read_kernel(rec.name, sizeof(rec.name), ksym + off_ksym_name);
	bpf_seq_write(meta->seq, &rec, sizeof(rec));
	return 0;
}

SEC("iter/task_file")
int files(struct iter_task_file *ctx)
{
	struct bpf_iter_meta *meta = ctx->meta;
	void *file = ctx->file, *task = ctx->task;
	struct ms_kfile rec = {};
	u64 f_op = 0;

	if (!file || !task)
		return 0;
	bpf_probe_read_kernel(&f_op, sizeof(f_op), file + off_file_f_op);
	if (f_op == addr_kvm_vm_fops)
		rec.kind = FD_VM;
	else if (f_op == addr_kvm_vcpu_fops)
		rec.kind = FD_VCPU;
	else
		return 0;
	rec.fd = (s32)ctx->fd;
	bpf_probe_read_kernel(&rec.private_data, sizeof(rec.private_data), file + off_file_private_data);
	bpf_probe_read_kernel(&rec.pid, sizeof(rec.pid), task + off_task_tgid);
	bpf_probe_read_kernel(rec.comm, sizeof(rec.comm), task + off_task_comm);
	bpf_seq_write(meta->seq, &rec, sizeof(rec));
	return 0;
}

struct read_ctx {
	u32 nr;
};

static long read_one(u32 i, struct read_ctx *ctx)
{
	struct ms_kreq *req;
	struct kbuf *out;
	u64 len, off;
	u32 zero = 0;

	req = bpf_map_lookup_elem(&reqs, &i);
	out = bpf_map_lookup_elem(&buf, &zero);
	if (!req || !out)
		return 1;
	len = req->len;
	off = req->off;
	/* Read once: user space maps the requests and could change them under the checks. */
	asm volatile(""
		     : "+r"(len),
		       "+r"(off)); /* 64 bits wide: the verifier loses bounds over a zero extension */
	if (len == 0 || len > MS_KREAD_MAX_LEN || off > MS_KREAD_BUF_BYTES - MS_KREAD_MAX_LEN) {
		req->status = -22; /* EINVAL */
		return 0;
	}
	req->status = (s32)bpf_probe_read_kernel(out->data + off, len, (const void *)req->addr);
	return 0;
}

SEC("syscall")
int kread(struct ms_kread_args *args)
{
	struct read_ctx ctx = { .nr = args->nr };

	return bpf_loop(ctx.nr, read_one, &ctx, 0) < 0;
}

struct chase_ctx {
	u64 cur, stop, lo, hi;
	u32 next_off, nr, end;
};

static long chase_one(u32 i, struct chase_ctx *ctx)
{
	struct kbuf *out;
	u64 next = 0, off;
	u32 zero = 0;

	if (ctx->cur == ctx->stop) {
		ctx->end = MS_CHASE_STOP;
		return 1;
	}
	if (ctx->cur < ctx->lo || ctx->cur >= ctx->hi) {
		ctx->end = MS_CHASE_RANGE;
		return 1;
	}
	out = bpf_map_lookup_elem(&buf, &zero);
	if (!out)
		return 1;
	off = ctx->nr * 8ull;
	if (off > MS_KREAD_BUF_BYTES - 8)
		return 1;
	if (bpf_probe_read_kernel(&next, sizeof(next), (const void *)(ctx->cur + ctx->next_off))) {
		ctx->end = MS_CHASE_FAULT;
		return 1;
	}
	*(u64 *)(out->data + off) = ctx->cur;
	ctx->nr++;
	ctx->cur = next;
	return 0;
}

SEC("syscall")
int chase(struct ms_chase_args *args)
{
	struct chase_ctx ctx = {
		.cur = args->cur,
		.stop = args->stop,
		.lo = args->lo,
		.hi = args->hi,
		.next_off = args->next_off,
		.end = MS_CHASE_MAX,
	};
	long ret = bpf_loop(args->max, chase_one, &ctx, 0);

	args->cur = ctx.cur;
	args->nr = ctx.nr;
	/* A list whose last node filled the buffer is closed all the same. */
	args->end = ctx.end == MS_CHASE_MAX && ctx.cur == ctx.stop ? MS_CHASE_STOP : ctx.end;
	return ret < 0;
}
