/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared within src/model only. */
#ifndef MODEL_PRIVATE_H
#define MODEL_PRIVATE_H

#include "model/model.h"

/*
 * Choose profile and role layouts, then fill level and counts of every page. Says in the notes what was in
 * doubt.
 */
void model_decode(struct ms_model *model);

#endif
