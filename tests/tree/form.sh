#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2086 # lists of names without blanks
#
# The form of the tree: licence tags, length of files and lines, clang-format, nothing of one machine in it (TAP).
set -u
cd "${SRCDIR:-.}" || exit 1

files=$(git ls-files 2>/dev/null)
# A release has no git: then all that is there, but for what a build makes.
[ -n "$files" ] || files=$(find . -type f | sed 's,^\./,,' |
	grep -vE '^(build|autom4te\.cache|\.git)|^(configure|config\.h\.in|aclocal\.m4|Makefile\.in)~?$|\.tar\.')
files=$(printf '%s\n' "$files" | grep -vE '^(build-aux/|COPYING)')
sources=$(printf '%s\n' "$files" | grep -E '\.(c|h|def|sh|py|am|ac|mk)$|^scripts/|^\.ci/')
code=$(printf '%s\n' "$files" | grep -E '\.(c|h)$')
nr=0
failed=0

# none NAME COMMAND...: what the command prints are offences.
none()
{
	name=$1
	shift
	found=$("$@" 2>&1)
	nr=$((nr + 1))
	if [ -z "$found" ]; then
		echo "ok $nr - $name"
	else
		echo "not ok $nr - $name"
		printf '%s\n' "$found" | head -n 20 | sed 's/^/# /'
		failed=1
	fi
}

untagged()
{
	for f in $sources; do
		head -n 3 "$f" | grep -q 'SPDX-License-Identifier: GPL-2.0-or-later' || echo "$f"
	done
}

too_long()
{
	for f in $sources; do
		n=$(wc -l <"$f")
		[ "$n" -le 800 ] || echo "$f: $n lines"
	done
}

too_wide()
{
	for f in $code; do
		expand -t 8 "$f" | awk -v f="$f" '!/^ *"/ && length($0) > 120 { print f ":" NR ": " length($0) " columns" }'
	done
}

unformatted()
{
	clang-format-14 --version >/dev/null || return
	clang-format-14 --dry-run $code 2>&1 | grep 'warning:'
}

no_vendor()
{
	for f in tests/lab/[0-9]*.sh; do
		sed -n 3p "$f" | grep -qE '^# Vendors:( amd)?( intel)?$' && ! sed -n 3p "$f" | grep -q ':$' || echo "$f"
	done
}

echo 1..8
none "every source has its licence tag" untagged
none "no source is longer than 800 lines" too_long
none "no line of code but a literal is wider than 120 columns" too_wide
# shellcheck disable=SC2086
none "no blanks at the end of a line" grep -nE '[ 	]+$' $sources
# shellcheck disable=SC2046,SC2086
none "no path of one machine" grep -nE '(^|[^a-z."$])/(work|home/[a-z]+|root)/' $files
# shellcheck disable=SC2046,SC2086
none "nothing is left to do" grep -nE '\b(TO''DO|FIX''ME|X''XX)\b' $sources
none "every script of the lab says on which vendor's KVM it runs" no_vendor
none "clang-format has nothing to say" unformatted
exit $failed
