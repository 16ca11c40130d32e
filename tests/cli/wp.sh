#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# wp as far as it needs no kernel module: each line that `wp on' writes is by the schema, and what is refused before a target is opened.
. "$(dirname "$0")/tap-lib"
needs_schema
# wp WORDS...: of a made-up module's writes.
wp() {
	"$BUILD/tests/unit/mkwp" --vm 4242 "$@" >"$T/out" 2>"$T/err" && return
	sed 's/^/# /' "$T/err"
	return 1
}

wp --write on 0x10 --for 2 -j && $schema lines "$SRCDIR/doc/schema.json" "$T/out" wp_writes wp.wp
ok 'wp on -j: each write and the summary are by the schema'
[ "$(sed -n 's/.*"kind":"\([a-z-]*\)".*/\1/p' "$T/out" | tr '\n' ' ')" = 'store let-through page-walk lost-with-slot event-delivery not-finished ' ]
ok 'a write of each kind was there'
[ "$(sed -n 's/.*"guest":\([^,]*\),.*/\1/p' "$T/out" | tr '\n' ' ')" = '"l1" "l2" "l2" null "l1" "l1" ' ]
ok 'guests are named as those of events'
wp --write on 0x10 --for 2 -j --redact && $schema lines "$SRCDIR/doc/schema.json" "$T/out" wp_writes wp.wp && grep -q '"value":"hidden"' "$T/out"
ok 'with --redact, too'
finish
