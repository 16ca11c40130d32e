#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Judges outputs for tests/cli: by the schema, text against JSON, redaction, the manual. Says what is wrong, exits 1."""
import json
import re
import sys


def load(path):
    with open(path, encoding="utf-8", errors="strict") as file:
        return json.load(file)


def fail(text):
    print("#", text)
    sys.exit(1)


def validator(path):
    import jsonschema

    schema = load(path)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema), schema


def cmd_self(path):
    _, schema = validator(path)

    def strict(node, where):
        if isinstance(node, dict):
            if "properties" in node and node.get("additionalProperties") is not False:
                fail("%s lets other members pass" % where)
            for key, value in node.items():
                strict(value, where + "/" + key)
        elif isinstance(node, list):
            for i, value in enumerate(node):
                strict(value, "%s/%d" % (where, i))

    strict(schema, "")
    reached = set()

    def reach(node):
        if isinstance(node, dict):
            name = node.get("$ref", "").rpartition("/")[2]
            if name and name not in reached:
                reached.add(name)
                reach(schema["definitions"][name])
            node = list(node.values())
        if isinstance(node, list):
            for value in node:
                reach(value)

    reach(schema["oneOf"])
    for name in schema["definitions"]:
        if name not in reached:
            fail("definition %s: nothing that is written refers to it" % name)


def kind_of(branch):
    """The command; of lines that name none, events and writes, the definition."""
    return branch["properties"]["command"].get("const") if "properties" in branch else branch["allOf"][0]["$ref"].rpartition("/")[2]


def kind_in(data):
    return data.get("command") or ("events_events" if "event" in data else "wp_writes")


def check_one(check, schema, data, where=""):
    # The branch of this command alone, so that an error names its place.
    for branch in schema["oneOf"]:
        if kind_of(branch) == kind_in(data):
            branch = dict(branch, definitions=schema["definitions"])
            for error in type(check)(branch).iter_errors(data):
                fail("%s%s: %s" % (where, "/".join(map(str, error.path)), error.message[:200]))
    for error in check.iter_errors(data):
        fail(where + error.message[:200])


def cmd_check(path, output):
    check, schema = validator(path)
    check_one(check, schema, load(output))


def cmd_lines(path, output, *kinds):
    """An object a line, by the schema as it is. Each of the kinds is there: the name of an event, wp_writes, or COMMAND[.MEMBER]."""
    check, schema = validator(path)
    branches = {kind_of(branch): type(check)(dict(branch, definitions=schema["definitions"])) for branch in schema["oneOf"]}
    seen = set()
    with open(output, encoding="utf-8", errors="strict") as file:
        lines = file.read().splitlines()
    for i, line in enumerate(lines):
        data = json.loads(line)
        # That it is none of the others is asked of the first lines only: there are many.
        if i < 20 or i == len(lines) - 1:
            check_one(check, schema, data, "line %d: " % (i + 1))
        for error in branches[kind_in(data)].iter_errors(data):
            fail("line %d: %s" % (i + 1, error.message[:200]))
        name = data.get("event") or kind_in(data)
        seen |= {name} | {name + "." + member for member in data}
    for kind in kinds:
        if kind not in seen:
            fail("no line of the kind %s" % kind)


def shown(value):
    if value is None:
        return "-"
    if value is True or value is False:
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(value) or "-"
    return str(value) or "-"


def cmd_agree(text_path, json_path):
    with open(text_path, encoding="utf-8") as file:
        blocks = file.read().split("\n\n")
    data = load(json_path)
    names = [k for k in data if k not in ("schema", "command", "target", "provenance", "notes")]
    blocks = [b for b in blocks if not b.startswith(("#", "note:"))]
    if len(blocks) < len(names):
        fail("%d sections, not %d" % (len(blocks), len(names)))
    for name, block in zip(names, blocks):
        lines = block.rstrip("\n").split("\n")[1:]
        rows = data[name]
        if isinstance(rows, dict):
            got = [re.split(r"  +", line, maxsplit=1)[1] for line in lines]
            want = [shown(v) for v in rows.values() if v is not None]
            if got != want:
                fail("%s: %s is not %s" % (name, got, want))
            continue
        if not rows:
            continue
        if len(lines) != len(rows) + 1:
            fail("%s: %d rows, not %d" % (name, len(lines) - 1, len(rows)))
        for line, row in zip(lines[1:], rows):
            got = re.split(r"  +", line.strip())
            want = [shown(v) for k, v in row.items() if k != "depth"]
            if got != want:
                fail("%s: %s is not %s" % (name, got, want))


SECRET = {"pid", "name", "kvm", "mm", "vcpu", "mmu_address", "walk_mmu_address", "hva", "dirty_bitmap", "root_hpa", "pae_root", "pml4_root",
          "pml5_root", "address_mmu", "hpa", "sp", "pfn", "table_pfn", "parents", "translations", "child_sp", "root", "vm_pid", "vm_name",
          "vm_kvm", "userspace_pid", "target"}
MAPPED = {"leaf", "table", "unknown"}


def secrets(node, found):
    if isinstance(node, list):
        for value in node:
            secrets(value, found)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in SECRET and isinstance(value, (str, int)) and not isinstance(value, bool):
                # A small number such as a frame 0x8 occurs everywhere and tells nothing.
                if len(str(value)) > 3 and not re.fullmatch(r"0x0*", str(value)) and value not in ("confirmed", "current"):
                    found.add(str(value))
            if key == "raw" and node.get("class") in MAPPED:
                found.add(value)
            # Of an event: present by the bit that says so in every profile.
            if key in ("old_spte", "new_spte") and value and int(value, 16) >> 11 & 1:
                found.add(value)
            secrets(value, found)


def cmd_leaks(plain, output, tmp):
    found = {tmp}
    secrets(load(plain), found)
    if len(found) < 4:
        fail("too little to look for: %s" % found)
    with open(output, encoding="utf-8") as file:
        text = file.read()
    words = set(re.findall(r"[0-9a-zA-Z_./#\\]+", text))
    for secret in found:
        if secret in words or (len(secret) > 8 and secret in text):
            fail("%s is in it" % secret)


def cmd_manual(help_path, text_path, manual_path):
    data = load(help_path)
    with open(text_path, encoding="utf-8") as file:
        text = file.read()
    with open(manual_path, encoding="utf-8") as file:
        manual = file.read()
    for row in data["commands"]:
        if not re.search(r"^%s " % row["command"], text, re.M) or not re.search(r"^\.It Cm %s\b" % row["command"], manual, re.M):
            fail("command %s" % row["command"])
    for row in data["options"]:
        if not re.search(r"^%s " % row["option"], text, re.M) or \
           not re.search(r"^\.It .*Fl %s\b" % re.escape(row["option"][1:]), manual, re.M):
            fail("option %s" % row["option"])
        if row["letter"] and not re.search(r"^\.It Fl %s , Fl %s" % (row["letter"][1:], row["option"][1:]), manual, re.M):
            fail("option %s" % row["letter"])
    for name in re.findall(r"^\.It (?:Fl \w , )?Fl (-[a-z-]+)", manual, re.M):
        if "-" + name not in [row["option"] for row in data["options"]]:
            fail("the manual's option -%s is none" % name)


def cmd_bugs(help_path, manual_path, readme_dir):
    """Every bug switch is in the manual, in the words of its table, and its scenario is there."""
    import os

    with open(manual_path, encoding="utf-8") as file:
        manual = " ".join(file.read().split())
    rows = load(help_path)["bugs"]
    for row in rows:
        wrong, harm = row["wrong"], row["harm"]
        if ".It Cm %s %s%s. Harm: %s." % (row["name"], wrong[0].upper(), wrong[1:], harm) not in manual:
            fail("bug %s" % row["name"])
        if not os.path.exists(os.path.join(readme_dir, row["see"].split()[-1])):
            fail(row["see"])
    if not rows:
        fail("no bugs")


if __name__ == "__main__":
    globals()["cmd_" + sys.argv[1]](*sys.argv[2:])
