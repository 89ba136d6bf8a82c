/* SPDX-License-Identifier: Apache-2.0
 *
 * Time arrives from outside. `mono_ms` measures waits and never jumps; `wall_ms` is what
 * people call the time (milliseconds since 1970) and may jump. They are never compared.
 */
#pragma once

#include <stdint.h>

struct instant {
    int64_t mono_ms;
    int64_t wall_ms;
};
