#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# events as they happen: text and JSON a line each, filters, counts, the end, losses, and the trace file.
. "$SRCDIR/tests/cli/tap-lib"
needs_schema
# so FILE PYTHON-EXPRESSION on e, the objects of its lines but the last, and s, the last one: it is true.
so() {
	$python -c 'import json, sys; r = [json.loads(line) for line in open(sys.argv[1])]; e = r[:-1]; s = r[-1]; sys.exit(not eval(sys.argv[2]))' "$1" "$2" && return 0
	echo "# not so: $2"
	return 1
}
# by_schema FILE [KIND]...: each line is by the schema, and there is one of each kind.
by_schema() {
	file=$1
	shift
	$python "$SRCDIR/tests/cli/schema.py" lines "$SRCDIR/doc/schema.json" "$file" events "$@"
}
# hidden FILE: nothing of the host in the events of this file, lines or a trace.
hidden() {
	$python - "$1" <<'END'
import json, sys
text = open(sys.argv[1]).read()
events = [e["args"] for e in json.loads(text)["traceEvents"]] if text.startswith('{"displayTimeUnit"') else [json.loads(line) for line in text.splitlines()][:-1]
seen = set()
for event in events:
    for name, value in event.items():
        if name in ("kvm", "sp", "hpa", "start", "end"):
            if value.split("#")[0] not in ("kvm", "sp", "pfn", "hva"):
                sys.exit("# %s of %s" % (name, event))
            seen.add(name)
        if name.endswith("_spte") and "xxxxxxxxxx" not in value and value not in ("0x8000000000000000", "0x0000000000000000") and int(value, 16) & 7 != 6:
            sys.exit("# %s of %s" % (name, event))
sys.exit(not {"sp", "hpa", "start"} <= seen)
END
}

# --- one object a line ---

run 0 -T sim events --for 0.4 -j && by_schema "$T/out" events.listened events.by_event fault fault_done spte_set rmap_add nested_exit inject flush dirty && mv "$T/out" "$T/all" &&
	so "$T/all" 'len(e) > 1000 and s["listened"]["raised"] == s["listened"]["delivered"] == len(e) and s["listened"]["ms"] == 400' &&
	so "$T/all" '[x["seq"] for x in e] == list(range(e[0]["seq"], e[0]["seq"] + len(e)))'
ok 'NDJSON by the schema: each event once, in order, and the summary'
so "$T/all" '{x["event"]: x["raised"] for x in s["by_event"]} == {n: sum(x["event"] == n for x in e) for n in {x["event"] for x in e}}' &&
	so "$T/all" '[x["raised"] for x in s["by_event"]] == sorted((x["raised"] for x in s["by_event"]), reverse=True)'
ok 'the summary counts what was shown, most first'
so "$T/all" 'all(a["time_ns"] <= b["time_ns"] for a, b in zip(e, e[1:])) and e[-1]["time_ns"] - e[0]["time_ns"] <= 400000000' &&
	so "$T/all" 'all(x["cause"] for x in e) and {"l1", "l2"} <= {x.get("guest") for x in e} and len({x["kvm"] for x in e}) == 1'
ok 'time, guest, VM and cause of each'
run 0 -T sim events --for 0.4 -j && mv "$T/out" "$T/again" && $python - "$T/all" "$T/again" <<'END'
import sys
a, b = (open(path).read().splitlines() for path in sys.argv[1:])
sys.exit(a[:-1] != b[:-1])
END
ok 'a simulated machine does the same again'

# --- text ---

run 0 -T sim events --for 0.4 && mv "$T/out" "$T/text" && $python - "$T/all" "$T/text" <<'END'
import json, re, sys
events = [json.loads(line) for line in open(sys.argv[1])][:-1]
text = open(sys.argv[2]).read()
head, rows = text.split("\n\n")[:2]
rows = rows.splitlines()
if not head.startswith("# target: sim; "):
    sys.exit("# no provenance")
if len([l for l in text.splitlines() if l.split()[:2] == ["SEQ", "TIME"]]) != 1 or len(rows) - 1 != len(events):
    sys.exit("# headings, or %d rows for %d events" % (len(rows) - 1, len(events)))
base = None
for row, x in zip(rows[1:], events):
    m = re.match(r"^ *(\d+)  (\d+\.\d+)(us|ms|s) +(\d+|-)  (l1|l2|-) *(\w+)  +(.*)", row)
    if not m or int(m[1]) != x["seq"] or m[6] != x["event"] or not m[7].startswith(x["cause"]):
        sys.exit("# %s" % row)
    if m[4] != ("-" if x["vcpu_id"] is None else str(x["vcpu_id"])):
        sys.exit("# vCPU: %s" % row)
    ns = round(float(m[2]) * {"us": 1e3, "ms": 1e6, "s": 1e9}[m[3]])
    base = x["time_ns"] - ns if base is None else base
    if x["time_ns"] - base != ns:
        sys.exit("# time: %s" % row)
    for name in ("gfn", "addr", "ret", "index", "level"):
        if name in x and (" " + m[7]).find(" %s=%s" % (name, str(x[name]).replace(" ", ","))) < 0:
            sys.exit("# %s: %s" % (name, row))
END
ok 'text: headings once, each event on a line, with what JSON has'
! grep -q ' error=0x[0-9a-f]*\( \|$\)\| reason=0x[0-9a-f]*\( \|$\)' "$T/text" && grep -q ' reason=0x30\[ept-violation\] qual=0x1aa\[tried:write,granted:read+fetch,translation\] ' "$T/text" &&
	grep -q ' error=0x[0-9a-f]*\[present,write,translation\] ' "$T/text" && run 0 -T sim:hv=svm events --for 0.2 && grep -q ' reason=0x400\[npf\] qual=0x[0-9a-f]*\[present,write,user,translation\] ' "$T/out"
ok 'text: error codes, exit reasons and qualifications also in words'
grep -q '^of these seen  *[0-9]' "$T/text" && grep -q '^By event' "$T/text" && [ "$(grep -c '^# target' "$T/text")" = 2 ]
ok 'text: the summary below'
run 0 -T sim events --for 0.2 --no-header && ! grep -q '^#\|^  *SEQ' "$T/out"
ok '--no-header'

run 0 -T sim events --last 5 -j && has "$T/out" 'len({e["time_ns"] for e in d["events"]}) == 1 and any("of one step" in n for n in d["notes"])' &&
	run 0 -T sim events --last 500 -j && has "$T/out" 'len({e["time_ns"] for e in d["events"]}) > 5 and not any("step" in n for n in d["notes"])' &&
	run 0 -T "sim:$SRCDIR/tests/scenarios/06-pml-full.scn" events -j && $schema check "$SRCDIR/doc/schema.json" "$T/out" && has "$T/out" 'd["events"] and all(e["time_ns"] is None for e in d["events"]) and any("has no clock" in n for n in d["notes"])' &&
	run 0 -T "sim:$SRCDIR/tests/scenarios/06-pml-full.scn" events && grep -q '^ *[0-9][0-9]*  -  ' "$T/out" && ! grep -q '0\.000us' "$T/out"
ok 'times of one step are the same, and a machine that has no clock has no times: both are said'

# --- which, how many ---

run 0 -T sim events --count 7 -j && so "$T/out" 'len(e) == s["listened"]["delivered"] == 7'
ok '--count ends it'
run 0 -T sim events --for 0.4 -e fault,flush -j && mv "$T/out" "$T/some" && so "$T/some" '{x["event"] for x in e} == {"fault", "flush"} == {x["event"] for x in s["by_event"]}' && $python - "$T/all" "$T/some" <<'END'
import json, sys
a, b = ([json.loads(line) for line in open(path)][:-1] for path in sys.argv[1:])
sys.exit([x for x in a if x["event"] in ("fault", "flush")] != b)
END
ok '--event: those and all of those'
run 0 -T sim events --for 0.4 -c 1 -j && so "$T/out" 'e and {x["vcpu_id"] for x in e} == {1}'
ok '--vcpu'
cat >"$T/frames.py" <<'END'
import json, sys
first, end = (int(a, 0) for a in sys.argv[2:])
def frames(x):
    nr = x.get("pages") or 1 if x["event"] in ("slot", "log_clear") else 512 ** (x["level"] - 1) if x["event"] in ("spte_set", "split") else 1
    gfn = int(x["gfn"], 16) if x.get("gfn") else int(x["gpa"], 16) >> 12
    return gfn, gfn + nr
e = [x for x in map(json.loads, open(sys.argv[1])) if "event" in x]
sys.exit(not e or not all(a < end and b > first for a, b in map(frames, e)))
END
run 0 -T sim events --for 0.4 -g 0x3000-0x3800 -j && python3 "$T/frames.py" "$T/out" 0x3000 0x3800
ok '--gfn'
run 0 -T sim events --for 8 -e spte_set -g 0xe05 -j && python3 "$T/frames.py" "$T/out" 0xe05 0xe06 && so "$T/out" 'any(x["gfn"] == "0xe00" and x["level"] == 2 for x in e)'
ok '--gfn: entries of a higher level are about each frame that they map'
run 0 -T sim events -F -n 5 --count 4 -j && so "$T/out" 'len(e) == 9 and s["listened"]["delivered"] == 4 and [x["seq"] for x in e] == list(range(e[0]["seq"], e[0]["seq"] + 9))'
ok '--follow goes on where the last ones end'
run 0 -T sim events -F -n 3 --count 2 -e fault -j && so "$T/out" 'len(e) == 5 and s["listened"]["delivered"] == 2 and {x["event"] for x in e} == {"fault"}'
ok '--follow --last --event: the last of these, --count counts from now on'
run 0 -T sim events --for 0.2 --redact -j && by_schema "$T/out" && hidden "$T/out" && so "$T/out" '{x["kvm"] for x in e} == {"kvm#0"}' && ! grep -q 'sim:hypervisor\|0xffffc9' "$T/out"
ok '--redact'
cat >"$T/alike.py" <<'END'
import json, re, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
events = {e["seq"]: e for e in (lines[0]["events"] if "events" in lines[0] else lines[:-1])}
seen = set()
for row in open(sys.argv[2]).read().splitlines():
    m = re.match(r" *(\d+) .*? ((?:\w+=\S+ ?)+)$", row)
    if not m or int(m[1]) not in events:
        continue
    for name, value in re.findall(r"(\w+)=([^\s\[]+)", m[2]):
        want = events[int(m[1])].get(name)
        if name in ("sp", "hpa", "start", "end") or name.endswith("_spte"):
            if value != (want or "-") and not (name.endswith("_spte") and int(value, 16) == int(want, 16)):
                sys.exit("# %s=%s, not %s: %s" % (name, value, want, row))
            seen.add(value.split("#")[0])
sys.exit(not {"sp", "pfn", "hva"} <= seen or not any("xxxxxxxxxx" in s for s in seen))
END
mv "$T/out" "$T/once" && run 0 -T sim events --for 0.2 --redact && $python "$T/alike.py" "$T/once" "$T/out" && ! grep -q hidden "$T/out" &&
	run 0 -T sim events --last 2000 --redact -j && mv "$T/out" "$T/once" && run 0 -T sim events --last 2000 --redact && $python "$T/alike.py" "$T/once" "$T/out"
ok '--redact in text: the pseudonyms that JSON has'

# --- counts ---

run 0 -T sim events --for 0.4 --by event,cause,ret,vcpu,guest,level -j && [ "$(wc -l <"$T/out")" = 1 ] && $python - "$T/all" "$T/out" <<'END'
import collections, json, sys
events = [json.loads(line) for line in open(sys.argv[1])][:-1]
s = json.loads(open(sys.argv[2]).read())
key = lambda x: (x["event"], x.get("cause"), x.get("ret"), x["vcpu_id"], x.get("guest"), x.get("level"))
want = collections.Counter(map(key, events))
got = {key(c): c["count"] for c in s["counts"]}
if got != want or len(got) != len(s["counts"]):
    sys.exit("# %s" % [(k, got.get(k), want.get(k)) for k in set(got) | set(want) if got.get(k) != want.get(k)][:5])
counts = [c["count"] for c in s["counts"]]
sys.exit(counts != sorted(counts, reverse=True) or s["listened"]["delivered"] != 0)
END
ok '--by: counted where they happen, the same numbers'
run 0 -T sim events --for 0.4 -e dirty --by gfn,vm -j && $python - "$T/all" "$T/out" <<'END'
import collections, json, sys
want = collections.Counter(x["gfn"] for x in map(json.loads, open(sys.argv[1])) if x.get("event") == "dirty")
s = json.loads(open(sys.argv[2]).read())
sys.exit({c["gfn"]: c["count"] for c in s["counts"]} != want or {c["event"] for c in s["counts"]} != {"dirty"} or not s["counts"][0]["kvm"])
END
ok '--by gfn,vm'
run 0 -T sim events --by cause --watch 0.2 --for 0.5 -j && by_schema "$T/out" events.counts events.listened &&
so "$T/out" 'len(r) == 3 and [sum(c["count"] for c in x["counts"]) for x in r] == sorted(sum(c["count"] for c in x["counts"]) for x in r)' &&
	so "$T/out" 's["listened"]["raised"] == sum(c["count"] for c in s["counts"]) and "listened" not in r[0]'
ok '--by --watch: again and again, one object a line'
run 0 -T sim events --by cause --watch 0.1 --count 2 -j && so "$T/out" 'len(r) == 2'
ok '--by --watch --count'
run 0 -T sim events --by event --for 0.3 && grep -q '^Counts (' "$T/out" && grep -q '^ *[0-9]*  fault_done$' "$T/out"
ok '--by: a table'
[ "$(grep -c '^ *[0-9]*  fault_done$\|^fault_done  *[0-9]*$' "$T/out")" = 1 ] && ! grep -q 'By event\|of these seen' "$T/out" && grep -q '^events, counted where they happened  *[0-9]' "$T/out" &&
	run 0 -T sim events --by cause --for 0.3 && grep -q '^By event' "$T/out" && ! grep -q 'since the beginning' "$T/out" && run 0 -T sim events --by cause --watch 0.1 --for 0.3 &&
	[ "$(grep -c '^Counts since the beginning (' "$T/out")" = 3 ]
ok '--by in text: once, in words of their own, and that --watch adds up'

run 0 -T sim events --for 2 && $python - "$T/out" <<'END'
import re, sys
rows = open(sys.argv[1]).read().split("\n\n")[1].splitlines()
head, rows = rows[0], rows[1:]
at = [head.index(word) for word in ("OF", "EVENT", "CAUSE", "FIELDS")]
for row in rows:
    if any(row[a - 2:a] != "  " or row[a] == " " for a in at) or len(re.match(r" *\d+  \S+ +(\d+|-)", row)[0]) != head.index("VCPU") + 4:
        sys.exit("# %s\n# %s" % (head, row))
sys.exit(len(rows) < 10000 or "SEQ" in " ".join(rows))
END
ok 'text: one heading, and each row below it'

# A simulated machine that is listened to without an end passes time as a clock does; one that has an end does not wait.
$python - "$M" >"$T/out" <<'END'
import json, signal, subprocess, sys, time
p = subprocess.Popen([sys.argv[1], "-T", "sim", "events", "--follow", "-j"], stdout=subprocess.PIPE,
                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
begin = time.monotonic()
p.stdout.readline()
time.sleep(1)
p.send_signal(signal.SIGINT)
for line in p.stdout:
    pass
wall = (time.monotonic() - begin) * 1000
ms = json.loads(line)["listened"]["ms"]
# It is behind where the CPU is not its own.
if not 0 < ms <= wall + 500:
    sys.exit("# %d ms in %d ms" % (ms, wall))
END
ok 'a machine without an end to it: as fast as a clock'
start=$(date +%s) && run 0 -T sim events --for 20 --by event && [ $(($(date +%s) - start)) -lt 15 ]
ok 'with an end: faster'
run 0 --help && grep -q -e '^--for .*a second of a simulated machine is 1000 of its steps' "$T/out" && run 0 events --list -j && grep -q 'absent (raw ~0): not known' "$T/out"
ok 'which is said'

# --- no end by itself ---
scn=$SRCDIR/tests/scenarios/06-pml-full.scn
for words in '-F' '--by event' '--by event --watch 0.1' "--trace $T/over"; do
	# shellcheck disable=SC2086 # several words
	timeout 20 "$M" -T "sim:$scn" events $words -j >"$T/out" 2>"$T/err" </dev/null && by_schema "$T/out" events.listened || { broken=1; break; }
done
ok 'a scenario that was played ends it by itself'
timeout -s INT 2 "$M" -T sim events --trace "$T/endless" >"$T/out" 2>"$T/err" </dev/null
[ "$(cat "$T/err")" = 'mmuscope: listening to sim until it is interrupted (^C); --for ends it by itself' ]
ok '--trace without an end says how it ends'
run 0 -T sim events --for 0.1 --trace "$T/ends" && [ ! -s "$T/err" ]
ok 'and with one does not'

# --- the trace ---

run 0 -T sim events --for 0.4 --trace "$T/trace" -j && by_schema "$T/out" && so "$T/out" 'len(r) == 1 and s["trace"]["file"].endswith("/trace")' &&
	[ "$(stat -c %a "$T/trace")" = 600 ]
ok '--trace: the summary on stdout, a file of its owner'
cat >"$T/judge.py" <<'END'
import collections, json, sys

trace = json.load(open(sys.argv[1]), object_pairs_hook=lambda p: dict(p) if len(dict(p)) == len(p) else sys.exit("# twice in one object: %s" % p))
events = [json.loads(line) for line in open(sys.argv[2])][:-1]
out = trace["traceEvents"]
named = {(e["pid"], e["tid"]): e["args"]["name"] for e in out if e["ph"] == "M" and e["name"] == "thread_name"}
processes = {e["pid"] for e in out if e["ph"] == "M" and e["name"] == "process_name"}
count = collections.Counter()
tracks = collections.defaultdict(list)
open_slices = {}
by_seq = {}
for e in out:
    if e["ph"] == "M":
        continue
    if (e["pid"], e["tid"]) not in named or e["pid"] not in processes:
        sys.exit("# a track without name: %s" % e)
    if e["cat"] != "mmu" or e["ts"] < 0:
        sys.exit("# %s" % e)
    if e["ph"] == "X":
        tracks[e["pid"], e["tid"]].append((e["ts"], -e["dur"], e))
        count[e["name"]] += 1
        if "fault_done" in e["args"]:
            count["fault_done"] += 1
            by_seq[e["args"]["fault_done"]["seq"]] = (e, e["args"]["fault_done"], e["ts"] + e["dur"])
        elif e["name"] == "fault" and not e["args"].get("unfinished"):
            sys.exit("# a fault that ended nowhere: %s" % e)
    elif e["ph"] == "b":
        if e["id"] in open_slices:
            sys.exit("# begun twice: %s" % e)
        open_slices[e["id"]] = e
        count[e["name"]] += 1
    elif e["ph"] == "e":
        if open_slices.pop(e["id"])["ts"] > e["ts"]:
            sys.exit("# it ends before it begins: %s" % e)
        count["invalidate_end"] += 1
        continue
    elif e["ph"] == "i" and e["s"] == "t":
        count[e["name"]] += 1
    else:
        sys.exit("# %s" % e)
    by_seq[e["args"]["seq"]] = (e, e["args"], e["ts"])
if open_slices:
    sys.exit("# never ended: %s" % open_slices)
# Slices of one track lie within or behind each other.
for track in tracks.values():
    stack = []
    for ts, neg, e in sorted(track, key=lambda t: t[:2]):
        while stack and stack[-1] <= ts:
            stack.pop()
        if stack and ts - neg > stack[-1] + 1e-6:
            sys.exit("# half in another: %s" % e)
        stack.append(ts - neg)
want = collections.Counter(x["event"] for x in events)
cut = want["invalidate"] - want["invalidate_end"]
count["invalidate_end"] -= max(cut, 0)
if +count != +want:
    sys.exit("# %s" % ((count - want) or (want - count)))
for x in events:
    if x["event"] == "invalidate_end":
        continue
    e, args, us = by_seq[x["seq"]]
    if abs(us - x["time_ns"] / 1000) > 0.001:
        sys.exit("# time of %s" % x)
    want_track = "host" if x["vcpu_id"] is None else "vCPU %d" % x["vcpu_id"]
    if named[e["pid"], e["tid"]] != want_track:
        sys.exit("# %s: on %s" % (x, named[e["pid"], e["tid"]]))
    for name, value in x.items():
        if name not in ("time_ns", "kvm", "vcpu_id", "tid") and args.get(name) != value:
            sys.exit("# %s of %s" % (name, x))
END
$python "$T/judge.py" "$T/trace" "$T/all"
ok 'the trace: structure, nesting, every event of the same run with its time, track and fields'
run 2 -T sim events --for 0.1 --trace "$T/trace" && grep -q -- '--force replaces it' "$T/err" && run 0 -T sim events --for 0.1 --trace "$T/trace" --force &&
	run 0 -T sim events --for 0.1 -j && $python "$T/judge.py" "$T/trace" "$T/out"
ok 'a file that is there is kept, but with --force'
mkdir "$T/dir" && for words in "$T/dir" "$T/dir/" "$T/dir --force"; do
	# shellcheck disable=SC2086
	run 2 -T sim events --for 0.1 --trace $words && [ "$(wc -l <"$T/err")" = 1 ] && grep -q "Is a directory: .*name a file in it, as $T/dir/trace.json$" "$T/err" && ! grep -q force "$T/err" || { broken=1; break; }
done
ok 'a directory: what to name instead'
run 0 -T sim events --for 0.4 --trace - -j && mv "$T/out" "$T/piped" && mv "$T/err" "$T/out" && $python "$T/judge.py" "$T/piped" "$T/all" && by_schema "$T/out" &&
	so "$T/out" 's["trace"] == {"file": "-", "events": s["listened"]["raised"]}' && [ ! -e ./- ]
ok '--trace -: the trace on stdout, the summary on stderr'
run 0 -T sim events --for 0.2 --trace "$T/hidden" --redact && hidden "$T/hidden" && ! grep -q 'sim:hypervisor\|0xffffc9' "$T/hidden" && grep -q '"VM kvm#0"' "$T/hidden"
ok 'the trace with --redact'
run 2 -T sim events --for 0.1 --trace /nowhere/at/all && [ "$(wc -l <"$T/err")" = 1 ] && run 3 -T sim events --for 2 --trace /dev/full --force && grep -q 'not complete' "$T/err"
ok 'a file that cannot be written'
rm -f "$T/none" && run 2 -T sim events --for 0.1 --vcpu 77 --trace "$T/none" && [ ! -e "$T/none" ] && run 2 -T sim events --for 0.1 --trace "$T/none" -j --pretty && [ ! -e "$T/none" ] &&
	run 2 -T sim events --for 0.1 --vm 99999 --trace "$T/none" && [ ! -e "$T/none" ]
ok 'what fails before anybody listens leaves no trace file'
echo old >"$T/old" && run 2 -T sim events --for 0.1 --vcpu 77 --trace "$T/old" --force && [ "$(cat "$T/old")" = old ]
ok 'and with --force an old one as it was'

# --- how it ends ---

for sig in INT TERM HUP; do
	for what in -j --trace --by; do
		rm -f "$T/cut"
		$python - "$M" "$T/out" "$sig" $what "$T/cut" <<'END'
import signal, subprocess, sys, time
m, out, sig, what, cut = sys.argv[1:]
words = {"-j": ["--follow"], "--trace": ["--follow", "--trace", cut], "--by": ["--by", "event"]}[what]
with open(out, "wb") as f:
    p = subprocess.Popen([m, "-T", "sim", "events", "-j"] + words,
                         stdout=f, stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    time.sleep(0.5)
    p.send_signal(getattr(signal, "SIG" + sig))
    try:
        _, err = p.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        p.kill()
        sys.exit("# it goes on")
said = b"mmuscope: listening to sim until it is interrupted (^C); --for ends it by itself\n"
if p.returncode or err != (said if what == "--by" else b""):
    sys.exit("# status %d: %r" % (p.returncode, err))
if what == "--trace":
    import json
    of = [e for e in json.load(open(cut))["traceEvents"] if e["ph"] != "M"]
    begun = sum("seq" in e["args"] for e in of) + sum("fault_done" in e["args"] for e in of)
    ends = sum(e["ph"] == "e" for e in of)  # some of them the trace's own
    if not 0 < begun <= json.loads(open(out).read())["trace"]["events"] <= begun + ends:
        sys.exit("# not what was heard: %d events and %d ends" % (begun, ends))
END
		[ $? -eq 0 ] && so "$T/out" 's["listened"]["raised"] > 0 and s["schema"] == "mmuscope/1"'
		ok "SIG$sig: the summary, status 0: $what"
	done
done
$python - "$M" <<'END'
import subprocess, sys
p = subprocess.Popen([sys.argv[1], "-T", "sim", "events", "--follow"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
p.stdout.readline()
p.stdout.close()
try:
    p.wait(60)
except subprocess.TimeoutExpired:
    p.kill()
    sys.exit("# it goes on")
err = p.stderr.read().decode()
if p.returncode != 3 or not err.startswith("mmuscope: events: nobody reads the output any more: ") or err.count("\n") != 1:
    sys.exit("# status %d: %r" % (p.returncode, err))
END
ok 'a closed pipe ends it, with status 3 and one line'
# A reader that does not read any more: the pipe is full, and an interrupt ends it all the same; one that goes on reading gets the summary.
cat >"$T/full.py" <<'END'
import fcntl, os, signal, subprocess, sys, termios, time
m, goes_on, words = sys.argv[1], sys.argv[2] == "reads", sys.argv[3:]
p = subprocess.Popen([m, "-T", "sim"] + words, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
fcntl.fcntl(p.stdout, 1031, 4096)  # F_SETPIPE_SZ
held, same = -1, 0
for _ in range(600):
    time.sleep(0.1)
    now = int.from_bytes(fcntl.ioctl(p.stdout, termios.FIONREAD, b"1234"), sys.byteorder)
    same = same + 1 if now == held and now else 0
    held = now
    if same >= 5:
        break
else:
    sys.exit("# the pipe never filled")
p.send_signal(signal.SIGINT)
try:
    if goes_on:
        out, err = p.communicate(timeout=60)
    else:
        p.wait(60)
        out, err = b"", p.stderr.read()
except subprocess.TimeoutExpired:
    p.kill()
    sys.exit("# it goes on")
if goes_on:
    sys.exit(p.returncode or err or b"listened for, ms" not in out)
if p.returncode != 3 or err.count(b"\n") != 1 or not err.startswith(b"mmuscope: "):
    sys.exit("# status %d: %r" % (p.returncode, err))
END
for words in 'events --follow' 'events --follow -j' 'events --follow --trace -' 'stuck --watch 0.1' 'dirty --for 0.2' 'audit --watch 0.1'; do
	# shellcheck disable=SC2086
	$python "$T/full.py" "$M" stops $words
	ok "an interrupt, and nobody reads the pipe: $words"
done
$python "$T/full.py" "$M" reads events --follow
ok 'an interrupt, and the reader is only slow: the summary, status 0'
# The same of a terminal that takes nothing more, for its errors, too.
cat >"$T/stalled.py" <<'END'
import os, pty, signal, sys, time
pid, fd = pty.fork()
if not pid:
    os.execv(sys.argv[1], [sys.argv[1], "-T", "sim"] + sys.argv[3:])
spent, same = None, 0
for _ in range(600):
    time.sleep(0.1)
    # It sleeps, and spends no more time: its output waits.
    now = open("/proc/%d/stat" % pid).read().rsplit(") ", 1)[1].split()
    same = same + 1 if now[0] == "S" and now[11:13] == spent else 0
    spent = now[11:13]
    if same >= 5:
        break
else:
    sys.exit("# the terminal never filled")
os.kill(pid, getattr(signal, "SIG" + sys.argv[2]))
for _ in range(600):
    time.sleep(0.1)
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended:
        sys.exit(os.waitstatus_to_exitcode(status) != 3 and "# status %d" % status)
os.kill(pid, signal.SIGKILL)
sys.exit("# it goes on")
END
for sig in INT TERM HUP; do
	$python "$T/stalled.py" "$M" $sig events --follow
	ok "SIG$sig, and the terminal takes nothing more"
done
printf 'events --count 2 --no-header\nvms --no-header\nevents --for 0.1 -j | wc -l\n' >"$T/lines"
"$M" -T sim prompt <"$T/lines" >"$T/out" 2>"$T/err" && grep -q sim:hypervisor "$T/out" && [ "$(tail -n 1 "$T/out")" -gt 100 ]
ok 'at the prompt, which goes on'

# --- probes, stacks, wrong words ---

run 0 -T sim events --probes && grep -q 'note: target sim has events without probes' "$T/out" && run 0 -T sim events --stack --count 1 && grep -q 'has no kernel stacks' "$T/out"
ok 'a simulated machine has neither probes nor stacks, and says so'
run 0 -T sim save "$T/a.snap" && run 2 -T "snap:$T/a.snap" events --follow && grep -q 'has no events to listen to' "$T/err"
ok 'a snapshot is not listened to'
for words in '--by nope' '--by event,event' '--by cause --follow' '--by cause --stack' '--by cause --count 3' '--watch' '--force' '--list --follow' '--list --by vm' '--list --last 3' '--for 0' \
	'--count 0' '--by gfn --trace x' '--follow --pretty' '--vcpu 7 --for 1' '--last 3 --for 1'; do
	# shellcheck disable=SC2086
	run 2 -T sim events $words && [ "$(wc -l <"$T/err")" = 1 ] && [ ! -s "$T/out" ] || { echo "# $words"; broken=1; break; }
done
ok 'words that do not go together'
for words in flsuh:flush spte_sets:spte_set nested_e:nested_enter fault,emualte:emulate; do
	run 2 -T sim events --for 0.1 --event "${words%:*}" && grep -qx "mmuscope: --event: '.*' is no event: did you mean \`${words#*:}'?" "$T/err" || { broken=1; break; }
done && run 2 -T sim events --event wholly-else && grep -q "is no event: \`mmuscope events --list' has them" "$T/err"
ok 'a name that is no event: the nearest one'
run 0 events --list --event mmio,flush_vcpu -j && has "$T/out" '{r["event"] for r in d["list"]} == {"mmio", "flush_vcpu"} and
	[r["field"] for r in d["list"]] == [None, "what", None, "gpa", "write"] and {r["unit"] for r in d["values"]} == {"CAUSE", "FLUSH"}' &&
	run 0 events --list -j && has "$T/out" 'len({r["event"] for r in d["list"]}) > 40 and {"RET", "MMU"} < {r["unit"] for r in d["values"]}'
ok '--list --event: these and their values'
# Rows of a table: the first ones, and how many are left out.
run 0 -T sim events --by event,cause --for 1 -j && cp "$T/out" "$T/all" && run 0 -T sim events --by event,cause --for 1 -n 3 -j && $python - "$T/out" "$T/all" <<'END'
import json, sys
some, every = (json.loads(open(p).read().splitlines()[-1]) for p in sys.argv[1:])
left = "not shown: %d counts" % (len(every["counts"]) - 3)
sys.exit(some["counts"] != every["counts"][:3] or some["notes"] != [left] or every["notes"] != [] or some["by_event"] != every["by_event"])
END
ok '--by and --last: so many rows'
finish
