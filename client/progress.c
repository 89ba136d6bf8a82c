/* SPDX-License-Identifier: Apache-2.0 */
#include "client/progress.h"

#include "proto/base/check.h"

void progress_start(struct progress *p, int64_t position, int64_t committed)
{
    *p = (struct progress){
        .position = position,
        .done = -1,
        .committed = committed,
        .committing = -1,
    };
}

void progress_hand_out(struct progress *p, int64_t next)
{
    CHECK(next > p->position);
    /* Handing out something establishes where "done" begins. */
    if (p->done < 0)
        p->done = p->position;
    p->position = next;
}

void progress_finish(struct progress *p)
{
    if (p->done >= 0)
        p->done = p->position;
}

void progress_ack(struct progress *p, int64_t offset)
{
    if (offset < p->position && offset >= p->done)
        p->done = offset + 1;
}

void progress_seek(struct progress *p, int64_t offset)
{
    p->position = offset;
    p->done = -1;
}

int64_t progress_to_commit(const struct progress *p, bool automatic)
{
    if (p->done < 0 || p->done == p->committed)
        return -1;
    if (automatic && (p->done < p->committed || p->done < p->committing))
        return -1;
    return p->done;
}

void progress_commit_begin(struct progress *p, int64_t offset)
{
    if (offset > p->committing)
        p->committing = offset;
}

void progress_commit_end(struct progress *p, int64_t offset, bool accepted)
{
    if (accepted)
        p->committed = offset;
    if (p->committing == offset)
        p->committing = -1;
}
