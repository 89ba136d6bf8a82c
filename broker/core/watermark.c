/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/watermark.h"

#include "proto/base/check.h"

int64_t watermark(const struct replica_end *replicas, size_t n, int64_t before)
{
    int64_t low = INT64_MAX;

    for (size_t i = 0; i < n; i++)
        if (replicas[i].in_sync && replicas[i].durable < low)
            low = replicas[i].durable;

    CHECK(low != INT64_MAX); /* a leader is always in sync with itself */
    return low > before ? low : before;
}

int64_t majority_end(const int64_t *durable, size_t voters)
{
    int64_t best = -1;

    CHECK(voters > 0);
    for (size_t i = 0; i < voters; i++) {
        size_t holders = 0;

        for (size_t j = 0; j < voters; j++)
            holders += durable[j] >= durable[i];
        if (2 * holders > voters && durable[i] > best)
            best = durable[i];
    }
    return best;
}
