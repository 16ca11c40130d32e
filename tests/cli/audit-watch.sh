#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# audit --watch: a line a round, what came and went, one object a line, and every way it ends.
. "$SRCDIR/tests/cli/tap-lib"
needs_schema
# rounds FILE PYTHON-EXPRESSION on r, the objects of its lines: it is true.
rounds() {
	$python -c 'import json, sys; r = [json.loads(line) for line in open(sys.argv[1])]; sys.exit(not eval(sys.argv[2]))' "$1" "$2" && return 0
	echo "# not so: $2"
	return 1
}
# Each line is an object by the schema.
by_schema() {
	PYTHONPATH=$SRCDIR/tests/cli PYTHONDONTWRITEBYTECODE=1 $python - "$SRCDIR/doc/schema.json" "$1" "$T/line" <<'END'
import schema, sys
lines = open(sys.argv[2], encoding="utf-8").read().splitlines()
for line in lines:
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        file.write(line)
    schema.cmd_check(sys.argv[1], sys.argv[3])
sys.exit(not lines)
END
}

# Without a bug.
run 0 -T sim audit --watch 0.1 --count 4 && [ "$(grep -c '^# target: sim; ' "$T/out")" = 1 ] && [ "$(wc -l <"$T/out")" = 5 ] &&
	[ "$(grep -c '; nothing changed; findings 0; ' "$T/out")" = 4 ] && [ ! -s "$T/err" ]
ok 'nothing changed: provenance once, then a line a round'
cut -d ' ' -f 1-3 "$T/out" | sed -n '2,5p' | grep -c -E '^20[0-9-]+T[0-9:]+Z; round [1-4];$' | grep -q 4
ok 'each with its time and number'
run 0 -T sim audit --watch 0.1 --count 3 --no-header && [ "$(wc -l <"$T/out")" = 3 ]
ok '--no-header: no provenance'
run 0 -T sim audit -w 0.1 --count 3 -j && by_schema "$T/out" && rounds "$T/out" 'len(r) == 3 and [x["watch"]["round"] for x in r] == [1, 2, 3]' &&
	rounds "$T/out" 'all(x["changes"] == [] and x["watch"]["findings"] == 0 and x["provenance"]["time"] for x in r)' &&
	rounds "$T/out" 'all(x["watch"]["checked"] + x["watch"]["skipped"] == 44 for x in r)'
ok 'JSON: an object a line, by the schema'
run 0 -T sim audit --watch=0.1 --count 2 --row 1,2 -j && rounds "$T/out" 'all(x["watch"]["checked"] == 2 and x["watch"]["skipped"] == 0 for x in r)'
ok '--row; --watch=SECONDS'

# With a bug: each round's findings are those of the rounds before, with what came and without what went.
run 1 -T sim:bug=pml-l2 audit --watch 0.1 --count 12 -j && by_schema "$T/out" &&
	rounds "$T/out" 'all(x["watch"]["came"] == sum(c["change"] == "came" for c in x["changes"]) for x in r)' &&
	rounds "$T/out" 'all(x["watch"]["went"] == sum(c["change"] == "went" for c in x["changes"]) for x in r)' &&
	rounds "$T/out" 'r[0]["watch"]["went"] == 0 < r[0]["watch"]["findings"] == r[0]["watch"]["came"]' &&
	rounds "$T/out" 'sum(x["watch"]["came"] for x in r[1:]) > 0 and sum(x["watch"]["went"] for x in r) > 0'
ok 'findings come and go; status 1'
cat >"$T/replay.py" <<END
import json, sys
known = set()
for line in open(sys.argv[1]):
    x = json.loads(line)
    for c in x["changes"]:
        key = (c["row"], c["sp"], c["index"], c["mmu"], c["vcpu"], c["gfn"], c["spte"], c["text"])
        if (c["change"] == "came") == (key in known):
            sys.exit("# round %d: %s %s" % (x["watch"]["round"], c["change"], key))
        known ^= {key}
    if len(known) != x["watch"]["findings"]:
        sys.exit("# round %d: %d, not %d" % (x["watch"]["round"], len(known), x["watch"]["findings"]))
END
$python "$T/replay.py" "$T/out"
ok 'what came and went adds up to what there is'
mv "$T/out" "$T/plain"
run 1 -T sim:bug=pml-l2 audit --watch 0.1 --count 12 -j --redact && by_schema "$T/out" && $python "$T/replay.py" "$T/out" && ! grep -q 0xffff8 "$T/out"
ok '--redact: pseudonyms hold from round to round'
cmp -s "$T/plain" "$T/out"
[ $? -eq 1 ] && $python - "$T/plain" "$T/out" <<END
import json, sys
a, b = ([json.loads(line)["watch"] for line in open(path)] for path in sys.argv[1:3])
sys.exit(a != b)
END
ok 'the same moments with and without'
run 1 -T sim:bug=pml-l2 audit --watch 0.1 --count 12 && $python - "$T/plain" "$T/out" <<END
import json, re, sys
text = open(sys.argv[2]).read()
at = 0
for line in open(sys.argv[1]):
    x = json.loads(line)
    w = x["watch"]
    what = "%d came, %d went" % (w["came"], w["went"]) if x["changes"] else "nothing changed"
    m = re.compile(r"^\S+; round %d; %s; findings %d; " % (w["round"], what, w["findings"]), re.M).search(text, at)
    if not m:
        sys.exit("# no line of round %d" % w["round"])
    at = m.end()
if len(re.findall(r"^came  ", text, re.M)) != sum(json.loads(l)["watch"]["came"] for l in open(sys.argv[1])):
    sys.exit("# another number of lines that came")
END
ok 'text says the same'

# How it ends. A minute between rounds: only what is waited for ends it.
# begin WORDS...: in the background, until the first round is there.
begin() {
	"$M" "$@" >"$T/out" 2>"$T/err" </dev/null &
	pid=$!
	i=0
	while [ ! -s "$T/out" ] && [ $i -lt 600 ]; do
		sleep 0.1
		i=$((i + 1))
	done
}
for sig in INT TERM HUP; do
	for bug in '' :bug=pml-l2; do
		# A shell's background commands ignore SIGINT, and so would what is started by them.
		$python - "$M" "$T/out" "$sig" "sim$bug" <<'END'
import signal, subprocess, sys, time
m, out, sig, spec = sys.argv[1:]
with open(out, "wb") as f:
    p = subprocess.Popen([m, "-T", spec, "audit", "--watch", "60", "-j"], stdout=f, stderr=subprocess.PIPE,
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    for _ in range(600):
        if open(out, "rb").read().endswith(b"\n"):
            break
        time.sleep(0.1)
    p.send_signal(getattr(signal, "SIG" + sig))
    try:
        _, err = p.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        p.kill()
        sys.exit("# it goes on")
want = 1 if ":" in spec else 0
if p.returncode != want or err:
    sys.exit("# status %d, not %d: %r" % (p.returncode, want, err))
END
		[ $? -eq 0 ] && rounds "$T/out" 'len(r) == 1'
		ok "SIG$sig ends it with the status of its rounds: sim$bug"
	done
done
$python - "$M" <<'END'
import subprocess, sys, time
p = subprocess.Popen([sys.argv[1], "-T", "sim", "audit", "--watch", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
p.stdout.readline()
p.stdout.readline()
p.stdout.close()
try:
    p.wait(60)
except subprocess.TimeoutExpired:
    p.kill()
    sys.exit("# it goes on")
err = p.stderr.read().decode()
if p.returncode != 3 or err != "mmuscope: audit: nobody reads the output any more: it was carried out 1 times\n":
    sys.exit("# status %d: %r" % (p.returncode, err))
END
ok 'a closed pipe ends it at once, with status 3 and one line'
start=$(date +%s%N)
run 0 -T sim audit --watch 0.5 --count 3 -j
took=$((($(date +%s%N) - start) / 1000000))
[ "$got" -eq 0 ] && [ $took -ge 1000 ]
ok 'the interval is kept, and nothing is waited for after the last round'
printf 'audit -w 0.1 --count 2\nvms --no-header\naudit --watch 0.1 --count 2 -j | wc -l\n' >"$T/lines"
"$M" -T sim prompt <"$T/lines" >"$T/out" 2>"$T/err" && grep -q '; round 2; ' "$T/out" && grep -q sim:hypervisor "$T/out" && tail -n 1 "$T/out" | grep -q '^ *2$'
ok 'at the prompt, which goes on'

# Wrong words. The rounds would go on for ever.
run_briefly() {
	run 2 -T sim audit --count 1 "$@"
}
for words in '--watch 0' '--watch 0.05' '--watch 1.' '--watch 1.2345' '--watch 86401' '--watch .' '--watch 1..2' '--watch 123456789012'; do
	# shellcheck disable=SC2086
	run_briefly $words && grep -q 'number of seconds from 0.1 to 86400' "$T/err" && [ "$(wc -l <"$T/err")" = 1 ] || { broken=1; break; }
done
ok 'intervals that are none'
run 2 -T sim audit --count 3 && grep -q -- '--watch' "$T/err" && run 2 -T sim audit --watch --count 0 && run 2 -T sim audit --watch 5 5 &&
	run 2 -T sim audit --watch x && run 2 -T sim audit --watch --list && run 2 -T sim audit --watch --pretty && run 2 -T sim vms --watch
ok 'other words that do not go with it'
run 0 -T sim save "$T/a.snap" && run 2 -T "snap:$T/a.snap" audit --watch && grep -q 'nothing to watch in a file' "$T/err"
ok 'a snapshot is not watched'
run 3 -T "sim:$T/none.scn" audit --watch && [ "$(wc -l <"$T/err")" = 1 ]
ok 'a target that is not there'
finish
