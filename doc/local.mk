# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += doc/audit.md doc/benchmarks.md doc/differences.md doc/dirty.md doc/internals.md doc/kmod.md doc/lab.md doc/scenarios.md doc/security.md doc/sim.md
dist_man_MANS += doc/mmuscope.1 doc/mmuscope-kmod.4
dist_doc_DATA += doc/schema.json
