/* SPDX-License-Identifier: Apache-2.0
 *
 * The only place that asks what time it is. */
#pragma once

#include "proto/base/time.h"

struct instant clock_now(void);
int64_t clock_mono_us(void);
