/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Readings of a VM under its lock, made by hand: with other budgets than mmuscope's, with layouts that are wrong, and
 * over and over. Takes from mmuscope where the kernel's members lie, and how a session is opened; not how a reading
 * is put together.
 *
 *	exact budgets PID FD KVM	each kind of reading of a VM at rest, a page for each hold of the lock, as
 *					mmuscope does, and as much as may be:
 *					"KIND RECORDS one-by-one|together same|differs LONGEST HELD": ns of the
 *					lock with a budget of 10 us, the shortest of five readings' longest
 *					holds; and all holds of one
 *	exact refuse PID FD KVM		requests that must be refused: NAME ERRNO-NAME
 *	exact wrong PID FD KVM		layouts that are not this kernel's: NAME KIND ERRNO-NAME and what came before it
 *	exact storm SECONDS PID FD KVM	readings of a VM in motion, a page for each hold of the lock
 *	exact kill-at N PID COMMAND...	runs the command; when it asks for its Nth piece of a reading, PID is killed and
 *					the VM let go of before it goes on. Ends with the command's status
 *	exact lists SNAPSHOT PID	lists of SPTEs, counts of frames and pages' headers of a VM in a snapshot: a
 *					line for each
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "abi/kmod_exact.h"
#include "layout/layout.h"
#include "target/device.h"
#include "target/target.h"

#define MAX_PAGES 65536u

static const char *const kinds[] = {
	[MMUSCOPE_EXACT_LEGACY] = "legacy",
	[MMUSCOPE_EXACT_TDP] = "tdp",
	[MMUSCOPE_EXACT_PARENTS] = "parents",
	[MMUSCOPE_EXACT_RMAPS] = "rmaps",
};

static struct ms_layout layout;
static u8 buf[MMUSCOPE_EXACT_BYTES];
static s32 pid, fd;
static u64 kvm;

struct told {
	u64 sum, nr, nr_steps, holds, twice, odd; /* a list and its descriptors are one step */
	u32 flags, longest_ns;
	u64 held_ns;
	u64 where;
	int err; /* that ended it, 0: its end */
};

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "exact: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void must(struct ms_err *err)
{
	if (!err)
		return;
	fprintf(stderr, "exact: %s\n", ms_err_text(err));
	exit(2);
}

static int session(const struct ms_layout *l)
{
	int dev;

	must(ms_device_open(MMUSCOPE_HAS_EXACT, &dev, NULL));
	must(ms_device_attach(dev, pid, fd, kvm));
	if (l)
		must(ms_device_layout(dev, l));
	return dev;
}

/* Pages of one reading, to tell those that come twice. */
static u64 pages[MAX_PAGES];

static void look(struct told *t, u32 type, const u8 *rec, u32 bytes)
{
	const struct ms_rec_sp *sp = (const void *)rec;
	u64 word;
	u32 i;

	if (type == MS_REC_SP) {
		for (i = 0; i < t->nr && pages[i] != sp->sp; i++)
			;
		t->twice += i < t->nr;
		if (t->nr < MAX_PAGES)
			pages[t->nr] = sp->sp;
		/* Not more than one page of the VM's has this address; what else it says the audit judges. */
		t->odd += sp->kvm != kvm || sp->state != MS_SP_CONFIRMED || !(sp->role & 0xf) ||
			  (sp->role & 0xf) > 5;
	}
	t->nr++;
	t->nr_steps += type != MS_REC_RMAP_DESC;
	for (i = 0; i + 8 <= bytes; i += 8) {
		memcpy(&word, rec + i, 8);
		/* A and D of an NPT or shadow SPTE are the CPU's. */
		if (type == MS_REC_SP && i >= sizeof(*sp) && i < sizeof(*sp) + 4096)
			word &= ~0x60ull;
		t->sum = (t->sum ^ word) * 0x100000001b3ull;
	}
}

static void piece(struct told *t, const struct mmuscope_exact_next *next)
{
	const struct mmuscope_exact_rec *rec;
	u32 at, n;

	for (at = n = 0; at < next->used; at += (u32)sizeof(*rec) + rec->bytes, n++) {
		rec = (const void *)(buf + at);
		look(t, rec->type, (const u8 *)(rec + 1), rec->bytes);
	}
	t->odd += at != next->used || n != next->nr;
}

static struct told reading(int dev, u32 kind, u32 budget_ns)
{
	struct mmuscope_exact_begin begin = { .kind = kind,
					      .budget_ns = budget_ns,
					      .flags = kind <= MMUSCOPE_EXACT_TDP ? MMUSCOPE_EXACT_TABLES
										  : 0 };
	struct mmuscope_exact_next next;
	struct told t = { 0 };

	if (ioctl(dev, MMUSCOPE_EXACT_BEGIN, &begin) < 0)
		die("MMUSCOPE_EXACT_BEGIN");
	do {
		next = (struct mmuscope_exact_next){ .buf = (u64)(uintptr_t)buf, .bytes = sizeof(buf) };
		if (ioctl(dev, MMUSCOPE_EXACT_NEXT, &next) < 0) {
			t.err = errno;
			t.where = next.where;
			break;
		}
		t.holds += next.holds;
		t.held_ns += next.held_ns;
		t.flags |= next.flags;
		if (next.longest_ns > t.longest_ns)
			t.longest_ns = next.longest_ns;
		piece(&t, &next);
	} while (!(next.flags & (MMUSCOPE_EXACT_END | MMUSCOPE_EXACT_GAVE_UP)));
	return t;
}

static int budgets(void)
{
	static const u32 ns[] = { 1, 0, MMUSCOPE_EXACT_BUDGET_MAX_NS };
	int dev = session(&layout);
	u32 kind, i, longest_ns;

	for (kind = MMUSCOPE_EXACT_LEGACY; kind <= MMUSCOPE_EXACT_RMAPS; kind++) {
		struct told t[3];
		bool same = true;

		for (i = 0; i < 3; i++) {
			t[i] = reading(dev, kind, ns[i]);
			if (t[i].err)
				printf("%s: %s at 0x%llx\n", kinds[kind], strerrorname_np(t[i].err),
				       (unsigned long long)t[i].where);
			same &= !t[i].err && !t[i].odd && !t[i].twice && t[i].nr == t[0].nr &&
				t[i].sum == t[0].sum &&
				(t[i].flags & ~MMUSCOPE_EXACT_NO_ARRAY) == MMUSCOPE_EXACT_END;
		}
		/* What else runs on that CPU makes a hold longer, never shorter. */
		longest_ns = ~0u;
		for (i = 0; i < 5; i++) {
			const struct told short_holds = reading(dev, kind, 10000);

			if (short_holds.longest_ns < longest_ns)
				longest_ns = short_holds.longest_ns;
		}
		printf("%s %llu %s %s %u %llu\n", kinds[kind], (unsigned long long)t[0].nr,
		       t[0].holds >= t[0].nr_steps ? "one-by-one" : "together", same ? "same" : "differs",
		       longest_ns, (unsigned long long)t[1].held_ns);
	}
	close(dev);
	return 0;
}

static void told(const char *name, int ret)
{
	printf("%s %s\n", name, ret < 0 ? strerrorname_np(errno) : "OK");
}

/* A piece that could not be copied comes again: what comes now is what a reading begins with. */
static bool is_first_piece(int dev, const struct mmuscope_exact_begin *begin)
{
	struct told t[2] = { { 0 } };
	u32 i;

	for (i = 0; i < 2; i++) {
		struct mmuscope_exact_next next = { .buf = (u64)(uintptr_t)buf, .bytes = sizeof(buf) };

		if ((i && ioctl(dev, MMUSCOPE_EXACT_BEGIN, begin) < 0) ||
		    ioctl(dev, MMUSCOPE_EXACT_NEXT, &next) < 0)
			die("the first piece");
		piece(&t[i], &next);
	}
	return t[0].nr && !t[0].odd && pages[0] && t[0].nr == t[1].nr && t[0].sum == t[1].sum;
}

static int refuse(void)
{
	/* A page for each hold of the lock. */
	struct mmuscope_exact_begin begin = { .kind = MMUSCOPE_EXACT_LEGACY, .budget_ns = 1 }, b;
	struct mmuscope_exact_next next = { .buf = (u64)(uintptr_t)buf, .bytes = sizeof(buf) }, n;
	int dev;

	must(ms_device_open(MMUSCOPE_HAS_EXACT, &dev, NULL));
	told("no-vm", ioctl(dev, MMUSCOPE_EXACT_BEGIN, &begin));
	n = next;
	told("no-reading", ioctl(dev, MMUSCOPE_EXACT_NEXT, &n));
	close(dev);
	dev = session(NULL);
	told("no-layout", ioctl(dev, MMUSCOPE_EXACT_BEGIN, &begin));
	must(ms_device_layout(dev, &layout));
#define WITH(name, change)                                        \
	do {                                                      \
		b = begin;                                        \
		change;                                           \
		told(name, ioctl(dev, MMUSCOPE_EXACT_BEGIN, &b)); \
	} while (0)
	WITH("kind-0", b.kind = 0);
	WITH("kind-5", b.kind = 5);
	WITH("flags", b.flags = 2);
	WITH("budget", b.budget_ns = MMUSCOPE_EXACT_BUDGET_MAX_NS + 1);
	WITH("pad", b.pad = 1);
	WITH("good", (void)b);
#undef WITH
	n = next;
	n.bytes--;
	told("small", ioctl(dev, MMUSCOPE_EXACT_NEXT, &n));
	n = next;
	n.buf = 0xffff888000000000ull;
	told("kernel-memory", ioctl(dev, MMUSCOPE_EXACT_NEXT, &n));
	n = next;
	n.buf = 0;
	told("no-memory", ioctl(dev, MMUSCOPE_EXACT_NEXT, &n));
	printf("kept %s\n", is_first_piece(dev, &begin) ? "OK" : "EILSEQ");
	/* It is over when it was told so. */
	reading(dev, MMUSCOPE_EXACT_LEGACY, 0);
	n = next;
	told("over", ioctl(dev, MMUSCOPE_EXACT_NEXT, &n));
	close(dev);
	return 0;
}

static void swap(struct ms_layout *l, enum ms_field_id a, enum ms_field_id b)
{
	const struct ms_field f = l->f[a];

	l->f[a].off = l->f[b].off;
	l->f[b].off = f.off;
}

/* Each passes what can be checked without a page. */
static int wrong(void)
{
	static const struct {
		const char *name;
		enum ms_field_id a, b;
	} swaps[] = {
		{ "table-translations", MS_F_sp_spt, MS_F_sp_shadowed_translation },
		{ "table-frame", MS_F_sp_spt, MS_F_sp_gfn },
		{ "links", MS_F_sp_link, MS_F_sp_hash_link },
		{ "role-count", MS_F_sp_role, MS_F_sp_unsync_children },
	};
	u32 i, kind, f;

	for (i = 0; i <= sizeof(swaps) / sizeof(swaps[0]); i++)
		for (kind = MMUSCOPE_EXACT_LEGACY; kind <= MMUSCOPE_EXACT_PARENTS; kind++) {
			struct ms_layout l = layout;
			const char *name = "all-shifted";
			struct told t;
			int dev;

			if (i < sizeof(swaps) / sizeof(swaps[0])) {
				name = swaps[i].name;
				swap(&l, swaps[i].a, swaps[i].b);
			} else {
				for (f = MS_F_sp_link; f <= MS_F_sp_write_flooding_count; f++)
					l.f[f].off += 8;
				l.type_size[MS_T_kvm_mmu_page] += 8;
			}
			dev = session(&l);
			t = reading(dev, kind, 0);
			printf("%s %s %s %s %llu\n", name, kinds[kind], t.err ? strerrorname_np(t.err) : "OK",
			       t.where ? "somewhere" : "nowhere", (unsigned long long)t.nr);
			close(dev);
		}
	return 0;
}

static int storm(double seconds)
{
	u64 nr[MMUSCOPE_EXACT_RMAPS + 1] = { 0 }, records = 0, twice = 0, odd = 0, again = 0, gave_up = 0,
				      failed = 0;
	struct timespec ts;
	double end;
	int dev = session(&layout);

	clock_gettime(CLOCK_MONOTONIC, &ts);
	end = (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec + seconds;
	do {
		u32 kind;

		for (kind = MMUSCOPE_EXACT_LEGACY; kind <= MMUSCOPE_EXACT_RMAPS; kind++) {
			struct told t = reading(dev, kind, 1);

			nr[kind]++;
			records += t.nr;
			odd += t.odd;
			again += (t.flags & MMUSCOPE_EXACT_AGAIN) != 0;
			gave_up += (t.flags & MMUSCOPE_EXACT_GAVE_UP) != 0;
			/* A page that went and is used again comes twice, where KVM puts new ones behind the place. */
			if (kind == MMUSCOPE_EXACT_LEGACY && !(t.flags & MMUSCOPE_EXACT_AGAIN))
				twice += t.twice;
			if (t.err) {
				failed++;
				printf("%s: %s at 0x%llx\n", kinds[kind], strerrorname_np(t.err),
				       (unsigned long long)t.where);
				if (t.err == ESRCH)
					return 0;
			}
		}
		clock_gettime(CLOCK_MONOTONIC, &ts);
	} while ((double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec < end);
	close(dev);
	printf("rounds %llu records %llu begun-anew %llu gave-up %llu\n", (unsigned long long)nr[1],
	       (unsigned long long)records, (unsigned long long)again, (unsigned long long)gave_up);
	printf("twice %llu odd %llu failed %llu\n", (unsigned long long)twice, (unsigned long long)odd,
	       (unsigned long long)failed);
	return 0;
}

/* --- another's reading --- */

/* Kill the VMM, and see that the module has no VM any more. */
static void kill_vm(pid_t vmm)
{
	struct mmuscope_state state = { 0 };
	int dev;

	must(ms_device_open(MMUSCOPE_HAS_EXACT, &dev, NULL));
	if (ioctl(dev, MMUSCOPE_STATE, &state) < 0 || state.vms != 1)
		die("the command has no VM");
	kill(vmm, SIGKILL);
	do {
		usleep(2000);
		if (ioctl(dev, MMUSCOPE_STATE, &state) < 0)
			die("MMUSCOPE_STATE");
	} while (state.vms);
	close(dev);
}

static int kill_at(int nth, pid_t vmm, char **command)
{
	struct user_regs_struct regs;
	bool entry = true;
	int status, n = 0;
	pid_t child = fork();

	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execvp(command[0], command);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		die("fork");
	ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	while (ptrace(PTRACE_SYSCALL, child, NULL, NULL) >= 0 && waitpid(child, &status, 0) >= 0 &&
	       WIFSTOPPED(status)) {
		/* Others (of the exec) say nothing here. */
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		if (entry && !ptrace(PTRACE_GETREGS, child, NULL, &regs) && regs.orig_rax == SYS_ioctl &&
		    (u32)regs.rsi == MMUSCOPE_EXACT_NEXT && ++n == nth)
			kill_vm(vmm);
		entry = !entry;
	}
	if (n < nth)
		fprintf(stderr, "exact: it asked for %d pieces only\n", n);
	return n >= nth && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

/* --- what a snapshot has --- */

static struct ms_err *list(void *ctx, enum ms_rec_type type, const void *rec,
			   const struct ms_sp_tables *tables)
{
	static bool tail; /* of the list that descriptors are of */
	const struct ms_rec_vm *vm = rec;
	const struct ms_rec_rmap *r = rec;
	const struct ms_rec_rmap_desc *d = rec;
	const struct ms_rec_gfn *g = rec;
	const struct ms_rec_sp *sp = rec;
	u32 i;

	(void)tables;
	(void)ctx;
	if (type == MS_REC_VM && vm->pid == pid)
		kvm = vm->kvm;
	if (ms_rec_kvm(type, rec) != kvm)
		return NULL;
	if (type == MS_REC_RMAP) {
		tail = r->have & MS_RMAP_HAVE_TAIL_COUNT;
		printf("list %llx %llx %llx %llx %x %x %u %u %u", (unsigned long long)r->have,
		       (unsigned long long)r->gfn, (unsigned long long)r->sp, (unsigned long long)r->head,
		       r->nr_entries, r->nr_descs, r->as_id, r->level, r->state);
		printf(r->nr_descs ? " " : "\n");
		fd = (s32)r->nr_descs;
	} else if (type == MS_REC_RMAP_DESC) {
		printf("[%llx %llx %llx %llx", (unsigned long long)d->desc, (unsigned long long)d->more,
		       (unsigned long long)d->count, (unsigned long long)(tail ? d->tail_count : 0));
		for (i = 0; i < MS_RMAP_EXT; i++)
			printf(" %llx", (unsigned long long)d->sptes[i]);
		printf(--fd ? "] " : "]\n");
	} else if (type == MS_REC_GFN) {
		printf("count %u %u %llx %x %u\n", g->as_id, g->level, (unsigned long long)g->gfn, g->count,
		       g->state);
	} else if (type == MS_REC_SP) {
		printf("page %llx %llx %llx %llx %llx %llx %x %x %x %x %u %u %u %u %u %u\n",
		       (unsigned long long)sp->have, (unsigned long long)sp->sp, (unsigned long long)sp->gfn,
		       (unsigned long long)sp->spt_pfn, (unsigned long long)sp->parents,
		       (unsigned long long)sp->translation, sp->role, sp->root_count, sp->unsync_children,
		       sp->write_flooding, sp->tdp_mmu_page, sp->unsync, sp->mmu_valid_gen, sp->nx_disallowed,
		       sp->state, sp->nx_possible);
	}
	return NULL;
}

static int lists(const char *snapshot)
{
	const struct ms_want want = { .what = MS_WANT_ALL };
	const struct ms_sink sink = { .put = list };
	struct ms_target *target;
	char spec[300];

	snprintf(spec, sizeof(spec), "snap:%s", snapshot);
	must(ms_target_open(spec, NULL, &target));
	must(ms_target_read(target, &want, &sink));
	ms_target_close(target);
	return 0;
}

int main(int argc, char **argv)
{
	bool is_storm = argc == 6 && !strcmp(argv[1], "storm");
	char **vm = argv + (is_storm ? 3 : 2);

	if (argc > 4 && !strcmp(argv[1], "kill-at"))
		return kill_at(atoi(argv[2]), atoi(argv[3]), argv + 4);
	if (argc == 4 && !strcmp(argv[1], "lists")) {
		pid = atoi(argv[3]);
		return lists(argv[2]);
	}
	if (argc != 5 && !is_storm) {
		fprintf(stderr,
			"usage: exact budgets|refuse|wrong PID FD KVM, exact storm SECONDS PID FD KVM\n");
		return 2;
	}
	pid = atoi(vm[0]);
	fd = atoi(vm[1]);
	kvm = strtoull(vm[2], NULL, 16);
	must(ms_layout_from_btf("/sys/kernel/btf/vmlinux", "/sys/kernel/btf/kvm", NULL, &layout));
	if (is_storm)
		return storm(atof(argv[2]));
	return !strcmp(argv[1], "budgets") ? budgets() : !strcmp(argv[1], "refuse") ? refuse() : wrong();
}
