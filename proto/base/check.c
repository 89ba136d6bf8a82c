/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *func, const char *claim)
{
    fprintf(stderr, "leat: %s:%d: %s: broken invariant: %s\n", file, line, func, claim);
    abort();
}
