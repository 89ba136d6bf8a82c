/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/mark.h"

#ifdef LEAT_PLANTS
int plant_chosen;
#endif
