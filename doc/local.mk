# SPDX-License-Identifier: GPL-2.0-or-later
dist_man_MANS += doc/mmuscope.1
dist_doc_DATA += doc/schema.json
