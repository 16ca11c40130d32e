// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line: one table gives parsing, ranges and --help. It starts nothing; only main and ctl do.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vmm.h"

enum opt_kind { OPT_NUMBER, OPT_CHOICE, OPT_FLAG, OPT_TEXT, OPT_STORM, OPT_L1 };

struct opt {
	const char *name;
	enum opt_kind kind;
	size_t offset; /* in struct vmm_opts */
	uint64_t lo, hi; /* both inclusive; OPT_NUMBER */
	const char *choices; /* OPT_CHOICE: "a|b|c", the value is the position */
	const char *help;
};

#define NUMBER(n, f, lo, hi, h)                                              \
	{                                                                    \
		n, OPT_NUMBER, offsetof(struct vmm_opts, f), lo, hi, NULL, h \
	}
#define CHOICE(n, f, c, h)                                              \
	{                                                               \
		n, OPT_CHOICE, offsetof(struct vmm_opts, f), 0, 0, c, h \
	}
#define FLAG(n, f, h)                                                    \
	{                                                                \
		n, OPT_FLAG, offsetof(struct vmm_opts, f), 0, 1, NULL, h \
	}
#define TEXT(n, f, h)                                                    \
	{                                                                \
		n, OPT_TEXT, offsetof(struct vmm_opts, f), 0, 0, NULL, h \
	}

static const struct opt opts_table[] = {
	CHOICE("mode", mode, "plain|nested", "what L1 is (plain)"),
	CHOICE("paging", paging, "flat|32|pae|64",
	       "plain: flat, or the scripted guest with drawn tables of that format (flat)"),
	NUMBER("pages", pages, 1, 1 << 20, "data pages (256)"),
	CHOICE("size", size_2m, "4k|2m", "size of a data page: its step, and its leaf in NPT12 (4k)"),
	CHOICE("backing", thp, "4k|thp", "host memory behind the data slot (as --size)"),
	FLAG("sys-thp", sys_thp, "huge host memory behind the system slot, where L1 and L2 run"),
	FLAG("sys-hugetlb", sys_hugetlb, "the same from hugetlbfs, pages of 2M, which the host must have"),
	NUMBER("stride", stride, 1, 1 << 20, "distance of data pages in pages of that size (1)"),
	CHOICE("order", order, "seq|random", "order of the accesses (seq)"),
	CHOICE("map", map, "offset|identity|shuffle", "nested: L1 page of L2 page i (offset)"),
	NUMBER("seed", seed, 0, UINT64_MAX, "seed of geometry, orders and values (drawn, and printed)"),
	NUMBER("write", write_pct, 0, 100, "share of items written, percent (50)"),
	NUMBER("npt-ro", npt_ro_pct, 0, 100, "share of data leaves without W in NPT12, percent (0)"),
	CHOICE("npt", npt_fault, "prebuilt|fault", "when L1 fills NPT12 (prebuilt)"),
	NUMBER("ad", npt_ad, 0, 1, "NPT12 leaves start with A and D set (1)"),
	FLAG("npt-nx", npt_nx, "NX in NPT12 data leaves"),
	NUMBER("eptp-ad", eptp_ad, 0, 1, "VMX: accessed and dirty flags on in the EPTP (1)"),
	FLAG("pml", pml, "VMX: page-modification log of L2; D is clear in NPT12 when a round begins"),
	NUMBER("misconf", misconf, 0, 65536,
	       "pages whose NPT12 entry the CPU refuses; L2 skips the access (0)"),
	NUMBER("stubborn", stubborn, 0, UINT32_MAX,
	       "L2 writes pages that L1 never makes writable: so many faults, then L2 skips the write (0)"),
	NUMBER("stubborn-pages", stubborn_pages, 1, 65536, "number of these pages (1 with --stubborn)"),
	CHOICE("stubborn-on", stubborn_mmio, "data|mmio", "what they are to L1 (data)"),
	NUMBER("alias", alias, 0, 65536, "more L2 addresses on drawn data pages (0)"),
	NUMBER("ro", ro, 0, 65536, "pages of a read-only slot that are read (0)"),
	FLAG("odd", odd,
	     "--paging 64: each round begins with what tables that are only edited do not bring about"),
	FLAG("write-redraw", write_redraw, "the written share is drawn for each round anew"),
	FLAG("stores", stores,
	     "each round one store by each of many instructions into the first data pages, checked"),
	FLAG("stores-avx", stores_avx, "with --stores: by those of AVX, too, which TCG refuses to a guest"),
	FLAG("ro-write", ro_write, "write the --write share of them as well"),
	NUMBER("mmio", mmio, 0, 65536, "pages of an MMIO hole that are touched (0)"),
	NUMBER("rounds", rounds, 0, 1 << 20, "rounds; 0: one checkpoint, then without end (1)"),
	NUMBER("passes", passes, 0, 16,
	       "times a round goes over all items (1; 2 with --npt fault or --rewrite)"),
	CHOICE("rewrite", rewrite, "none|w|unmap|move|mix", "what L1 does to its NPT between rounds (none)"),
	NUMBER("rewrite-pct", rewrite_pct, 0, 100, "to this share of its data leaves, percent (50)"),
	FLAG("stop-rewritten", stop_rewritten,
	     "one more checkpoint a round from the 2nd: L1 rewrote, L2 did not run"),
	NUMBER("npt-roots", npt_roots, 1, 2, "2: even rounds run on a copy of NPT12's root (1)"),
	CHOICE("at", at_l2, "l1|l2", "who is active at a checkpoint (l1)"),
	CHOICE("hold", hold, "out|run|no", "held outside KVM_RUN, spinning inside, or not at all (out)"),
	NUMBER("vcpus", vcpus, 1, GF_MAX_VCPUS, "vCPUs of a VM (1)"),
	NUMBER("vms", vms, 1, VMM_MAX_VMS, "VMs in this process; VM i takes seed + i (1)"),
	NUMBER("dup", dups, 0, VMM_MAX_DUPS, "further descriptors on each VM (0)"),
	CHOICE("dirty", dirty, "off|on|get",
	       "dirty logging of the data slot; get: read and so cleared at checkpoints"),
	NUMBER("dirty-lose", dirty_lose, 0, 1 << 20,
	       "with --dirty get: so many drawn pages are cleared in the log before it is read (0)"),
	CHOICE("log-mode", log_mode, "plain|manual|all-set",
	       "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: not, alone, or with all pages dirty at first (plain)"),
	FLAG("dirty-ring", dirty_ring, "KVM_CAP_DIRTY_LOG_RING, which nobody empties"),
	FLAG("nx-off", nx_off, "let off from nx_huge_pages: KVM_CAP_VM_DISABLE_NX_HUGE_PAGES"),
	{ "storm", OPT_STORM, 0, 0, 0, "slot|madvise|mprotect",
	  "zap storm from the first release on; repeatable" },
	NUMBER("storm-pages", storm_pages, 0, 65536, "pages of the storm slot (16 if there is a storm)"),
	NUMBER("storm-hz", storm_hz, 0, 1000000, "storm operations per second; 0: as fast as it goes (100)"),
	FLAG("l1-touch", l1_touch, "nested: L1 reads all data pages itself after each round"),
	NUMBER("l1-write", l1_write, 0, 100,
	       "nested: L1 itself writes this share of data pages each round (0)"),
	{ "l1", OPT_L1, 0, 0, 0, NULL, "bits of L1's EFER, CR0 and CR4, of nx,wp,smep,smap,pse (nx,wp,pse)" },
	NUMBER("mmu-pages", mmu_pages, 0, 1 << 24, "KVM_SET_NR_MMU_PAGES; 0: enough for NPT12 (0)"),
	NUMBER("timeout", timeout_s, 0, 86400, "end with status 5 after so many seconds; 0: never (0)"),
	TEXT("comm", comm, "process name (at most 15 bytes are kept)"),
	TEXT("ctl", ctl, "path of the control socket"),
	TEXT("truth", truth, "file for the ground truth, see truth.md"),
	TEXT("trace", trace, "file for the trace of what KVM was told, see tests/conform/trace.md"),
	TEXT("l1-image", image, "flat L1 (l1.bin beside this program)"),
};

#define NR_OPTS (sizeof(opts_table) / sizeof(opts_table[0]))

static void print_help(void)
{
	char left[64];

	printf("vmm: fixture guests for the tests of mmuscope, on raw KVM\n"
	       "usage: vmm [OPTION...]\n"
	       "       vmm ctl PATH [-t SECONDS] wait N | go | zap | log on|off | clock |\n"
	       "                                translate | evict | faults | device | refill | status | quit\n\n");
	for (size_t i = 0; i < NR_OPTS; i++) {
		const struct opt *o = &opts_table[i];
		const char *arg = o->choices ? o->choices : o->kind == OPT_NUMBER ? "N" : "TEXT";

		snprintf(left, sizeof(left), "--%s %s", o->name, o->kind == OPT_FLAG ? "" : arg);
		printf("  %-34s %s\n", left, o->help);
	}
	printf("\n"
	       "At a checkpoint the truth is complete before `wait' answers. SIGUSR1: `go', SIGTERM: quit.\n"
	       "`zap', while held: the storm slot is deleted and made again, and its memory dropped.\n"
	       "`log on', while held: the data slot is logged from now on, with what is mapped there.\n"
	       "`clock', `translate', while held: KVM writes the wall clock into guest memory; sets A bits of tables.\n"
	       "`evict', while held: NPT12's pages are dropped and left to userfaultfd; `faults': how many faults\n"
	       "wait there; `device', while held: VGA memory of the host in place of NPT12's root; `refill': what was\n"
	       "there is put back.\n"
	       "Exit status: 0 the guest ended well, or was told to; 1 wrong data seen by guest or host, or\n"
	       "records that contradict memory; 2 wrong use; 3 no KVM, no nested SVM or VMX, a system call failed;\n"
	       "4 the guest did something unexpected; 5 timeout.\n"
	       "`vmm ctl': 0 done, 1 refused or ended, 5 timeout.\n");
}

static void __attribute__((noreturn)) bad_value(const char *name, const char *text, const char *want)
{
	vmm_fail(VMM_USAGE, "--%s: `%s' is not %s; see --help", name, text, want);
}

/* Position of text in "a|b|c", or -1. */
static int choice_find(const char *choices, const char *text, size_t len)
{
	for (int i = 0;; i++) {
		size_t n = strcspn(choices, "|");

		if (n == len && !memcmp(choices, text, len))
			return i;
		if (!choices[n])
			return -1;
		choices += n + 1;
	}
}

static uint64_t parse_number(const struct opt *o, const char *text)
{
	char range[80], *end;
	uint64_t v;

	snprintf(range, sizeof(range), "a number from %llu to %llu", (unsigned long long)o->lo,
		 (unsigned long long)o->hi);
	errno = 0;
	v = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || v < o->lo || v > o->hi)
		bad_value(o->name, text, range);
	return v;
}

static unsigned int parse_l1_bits(const char *text)
{
	unsigned int bits = 0;

	while (*text) {
		size_t n = strcspn(text, ",");
		int i = choice_find("nx|wp|smep|smap|pse", text, n);

		if (i < 0)
			bad_value("l1", text, "a list of nx,wp,smep,smap,pse");
		bits |= 1u << i;
		text += n + (text[n] == ',');
	}
	return bits;
}

static void opt_set(struct vmm_opts *opts, const struct opt *o, const char *text)
{
	void *field = (char *)opts + o->offset;
	int i;

	switch (o->kind) {
	case OPT_NUMBER:
		*(uint64_t *)field = parse_number(o, text);
		break;
	case OPT_FLAG:
		*(uint64_t *)field = 1;
		break;
	case OPT_TEXT:
		*(const char **)field = text;
		break;
	case OPT_L1:
		opts->l1_bits = parse_l1_bits(text);
		break;
	default:
		i = choice_find(o->choices, text, strlen(text));
		if (i < 0)
			bad_value(o->name, text, o->choices);
		if (o->kind == OPT_STORM)
			opts->storms |= 1u << i;
		else
			*(uint64_t *)field = i;
	}
}

static void refuse(bool wrong, const char *why)
{
	if (wrong)
		vmm_fail(VMM_USAGE, "%s; see --help", why);
}

static void opts_check(struct vmm_opts *o)
{
	bool nested = o->mode == GF_NESTED, endless = o->rounds == 0;

	refuse(!nested && o->alias, "--alias needs --mode nested");
	refuse(!nested && o->at_l2, "--at l2 needs --mode nested");
	refuse(!nested && o->rewrite, "--rewrite needs --mode nested");
	refuse(!nested && (o->npt_fault || o->npt_ro_pct || o->npt_nx), "--npt* need --mode nested");
	refuse(!nested && o->l1_touch, "--l1-touch needs --mode nested");
	refuse(!nested && (o->misconf || o->stubborn), "--misconf and --stubborn need --mode nested");
	refuse(!nested && (o->pml || !o->eptp_ad), "--pml and --eptp-ad need --mode nested");
	refuse(o->pml && !o->eptp_ad, "--pml excludes --eptp-ad 0: EPT's log goes by its dirty flags");
	refuse(o->pml && o->at_l2, "--pml excludes --at l2: L1 reads the log when L2's round is over");
	refuse(o->map == 1 && (o->misconf || o->stubborn),
	       "--map identity excludes --misconf and --stubborn");
	refuse(o->stubborn_pages && !o->stubborn, "--stubborn-pages needs --stubborn");
	refuse(!nested && o->l1_write, "--l1-write needs --mode nested");
	refuse(o->l1_write && o->at_l2, "--l1-write excludes --at l2: L1 writes after L2's round");
	refuse(o->dirty_lose && o->dirty != DIRTY_GET, "--dirty-lose needs --dirty get");
	refuse(o->dirty_lose && (o->paging || o->trace), "--dirty-lose excludes --paging and --trace");
	refuse(o->log_mode && o->dirty == DIRTY_GET, "--log-mode excludes --dirty get");
	refuse(o->dirty_ring && o->dirty == DIRTY_GET, "--dirty-ring excludes --dirty get");
	refuse(o->npt_nx && !(o->l1_bits & L1_NX), "--npt-nx needs --l1 with nx");
	refuse(o->map == 1 && (o->rewrite == GF_REWRITE_MOVE || o->rewrite == GF_REWRITE_MIX),
	       "--map identity excludes --rewrite move and mix");
	refuse(o->map == 1 && o->alias, "--map identity excludes --alias");
	refuse(o->stop_rewritten && (!o->rewrite || o->vcpus > 1 || o->hold != HOLD_OUT),
	       "--stop-rewritten needs --rewrite, one vCPU and --hold out");
	refuse(o->npt_roots > 1 && (!nested || o->npt_fault),
	       "--npt-roots 2 needs --mode nested, and no --npt fault");
	refuse(endless && o->hold == HOLD_NO && !o->storms && !o->rewrite,
	       "--rounds 0 --hold no would do nothing");
	refuse(o->paging && (nested || o->size_2m || o->storms || o->vcpus > 1 || endless),
	       "--paging needs --mode plain, --size 4k, one vCPU, a number of rounds and no storm");
	refuse(o->trace && (o->vms > 1 || o->vcpus > 1 || o->storms || o->hold == HOLD_RUN),
	       "--trace needs one VM, one vCPU, no storm and no --hold run");
	if (o->passes == 0)
		o->passes = o->npt_fault || o->rewrite || o->storms ? 2 : 1;
	if (o->stubborn && !o->stubborn_pages)
		o->stubborn_pages = 1;
	if (o->storms && !o->storm_pages)
		o->storm_pages = 16;
}

void opts_parse(struct vmm_opts *opts, int argc, char **argv)
{
	struct option longopts[NR_OPTS + 2] = { 0 };
	bool thp_given = false, seed_given = false;
	int c;

	*opts = (struct vmm_opts){ .pages = 256,
				   .stride = 1,
				   .write_pct = 50,
				   .npt_ad = 1,
				   .eptp_ad = 1,
				   .npt_roots = 1,
				   .rounds = 1,
				   .rewrite_pct = 50,
				   .vcpus = 1,
				   .vms = 1,
				   .storm_hz = 100,
				   .l1_bits = L1_NX | L1_WP | L1_PSE };
	for (size_t i = 0; i < NR_OPTS; i++)
		longopts[i] = (struct option){ opts_table[i].name, opts_table[i].kind != OPT_FLAG, NULL,
					       (int)i + 256 };
	longopts[NR_OPTS] = (struct option){ "help", no_argument, NULL, 'h' };
	while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		if (c == 'h') {
			print_help();
			exit(VMM_OK);
		}
		if (c < 256)
			vmm_fail(VMM_USAGE, "wrong option; see --help");
		opt_set(opts, &opts_table[c - 256], optarg);
		thp_given |= !strcmp(opts_table[c - 256].name, "backing");
		seed_given |= !strcmp(opts_table[c - 256].name, "seed");
	}
	if (optind < argc)
		vmm_fail(VMM_USAGE, "`%s' is no option; see --help", argv[optind]);
	if (!thp_given)
		opts->thp = opts->size_2m;
	if (!seed_given && getrandom(&opts->seed, sizeof(opts->seed), 0) != sizeof(opts->seed))
		vmm_fail(VMM_ENVIRONMENT, "getrandom: %s", strerror(errno));
	opts_check(opts);
}

const char *opts_vendor_name(enum gf_vendor vendor)
{
	return vendor == GF_SVM ? "svm" : vendor == GF_VMX ? "vmx" : "none";
}

const char *opts_paging_name(const struct vmm_opts *opts)
{
	static const char *const name[] = { "flat", "32", "pae", "64" };

	return name[opts->paging];
}

const char *opts_mode_name(const struct vmm_opts *opts)
{
	return opts->mode == GF_NESTED ? "nested" : "plain";
}
