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
# Each line but the last is an event by the schema, and the last a whole answer.
by_schema() {
	PYTHONPATH=$SRCDIR/tests/cli PYTHONDONTWRITEBYTECODE=1 $python - "$SRCDIR/doc/schema.json" "$1" "$T/line" <<'END'
import json, schema, sys
lines = open(sys.argv[2], encoding="utf-8").read().splitlines()
check, whole = schema.validator(sys.argv[1])
event = type(check)({"$ref": "#/definitions/events_events", "definitions": whole["definitions"]})
for line in lines[:-1]:
    for error in event.iter_errors(json.loads(line)):
        sys.exit("# %s: %s" % (error.message[:200], line[:300]))
with open(sys.argv[3], "w", encoding="utf-8") as file:
    file.write(lines[-1])
schema.cmd_check(sys.argv[1], sys.argv[3])
END
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

run 0 -T sim events --for 0.4 -j && by_schema "$T/out" && mv "$T/out" "$T/all" &&
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
grep -q '^of these seen  *[0-9]' "$T/text" && grep -q '^By event' "$T/text" && [ "$(grep -c '^# target' "$T/text")" = 2 ]
ok 'text: the summary below'
run 0 -T sim events --for 0.2 --no-header && ! grep -q '^#\|^  *SEQ' "$T/out"
ok '--no-header'

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
run 0 -T sim events --for 0.4 -g 0x3000-0x3800 -j && so "$T/out" 'e and all(0x3000 <= int(x.get("gfn") or hex(int(x["gpa"], 16) >> 12), 16) < 0x3800 for x in e)'
ok '--gfn'
run 0 -T sim events -F -n 5 --count 4 -j && so "$T/out" 'len(e) == 9 and s["listened"]["delivered"] == 4 and [x["seq"] for x in e] == list(range(e[0]["seq"], e[0]["seq"] + 9))'
ok '--follow goes on where the last ones end'
run 0 -T sim events -F -n 3 --count 2 -e fault -j && so "$T/out" 'len(e) == 5 and s["listened"]["delivered"] == 2 and {x["event"] for x in e} == {"fault"}'
ok '--follow --last --event: the last of these, --count counts from now on'
run 0 -T sim events --for 0.2 --redact -j && by_schema "$T/out" && hidden "$T/out" && so "$T/out" '{x["kvm"] for x in e} == {"kvm#0"}' && ! grep -q 'sim:hypervisor\|0xffffc9' "$T/out"
ok '--redact'

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
run 0 -T sim events --by cause --watch 0.2 --for 0.5 -j && by_schema "$T/out" 2>/dev/null
so "$T/out" 'len(r) == 3 and [sum(c["count"] for c in x["counts"]) for x in r] == sorted(sum(c["count"] for c in x["counts"]) for x in r)' &&
	so "$T/out" 's["listened"]["raised"] == sum(c["count"] for c in s["counts"]) and "listened" not in r[0]'
ok '--by --watch: again and again, one object a line'
run 0 -T sim events --by cause --watch 0.1 --count 2 -j && so "$T/out" 'len(r) == 2'
ok '--by --watch --count'
run 0 -T sim events --by event --for 0.3 && grep -q '^Counts (' "$T/out" && grep -q '^ *[0-9]*  fault_done$' "$T/out"
ok '--by: a table'

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
run 0 -T sim events --for 0.4 --trace - -j && mv "$T/out" "$T/piped" && mv "$T/err" "$T/out" && $python "$T/judge.py" "$T/piped" "$T/all" && by_schema "$T/out" &&
	so "$T/out" 's["trace"] == {"file": "-", "events": s["listened"]["raised"]}' && [ ! -e ./- ]
ok '--trace -: the trace on stdout, the summary on stderr'
run 0 -T sim events --for 0.2 --trace "$T/hidden" --redact && hidden "$T/hidden" && ! grep -q 'sim:hypervisor\|0xffffc9' "$T/hidden" && grep -q '"VM kvm#0"' "$T/hidden"
ok 'the trace with --redact'
run 2 -T sim events --for 0.1 --trace /nowhere/at/all && [ "$(wc -l <"$T/err")" = 1 ] && run 3 -T sim events --for 2 --trace /dev/full --force && grep -q 'not complete' "$T/err"
ok 'a file that cannot be written'

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
if p.returncode or err:
    sys.exit("# status %d: %r" % (p.returncode, err))
END
		[ $? -eq 0 ] && so "$T/out" 's["listened"]["raised"] > 0 and s["schema"] == "mmuscope/1"' && { [ $what != --trace ] || $python -m json.tool "$T/cut" >/dev/null; }
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
for words in '--by nope' '--by event,event' '--by cause --follow' '--by cause --stack' '--by cause --count 3' '--watch' '--force' '--list --follow' '--list --by vm' '--for 0' \
	'--count 0' '--by gfn --trace x' '--follow --pretty' '--vcpu 7 --for 1' '--last 3 --for 1'; do
	# shellcheck disable=SC2086
	run 2 -T sim events $words && [ "$(wc -l <"$T/err")" = 1 ] && [ ! -s "$T/out" ] || { echo "# $words"; break; }
done
ok 'words that do not go together'
finish
