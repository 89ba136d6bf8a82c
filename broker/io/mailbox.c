/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/mailbox.h"

#include "proto/base/check.h"

STATIC_CHECK((MAILBOX_SLOTS & (MAILBOX_SLOTS - 1)) == 0);

void mailbox_init(struct mailbox *m)
{
    atomic_init(&m->written, 0);
    atomic_init(&m->read, 0);
    m->queue = NULL;
    m->queue_last = &m->queue;
}

static bool put(struct mailbox *m, struct errand *e)
{
    size_t written = atomic_load_explicit(&m->written, memory_order_relaxed);
    size_t read = atomic_load_explicit(&m->read, memory_order_acquire);

    CHECK(written - read <= MAILBOX_SLOTS);
    if (written - read == MAILBOX_SLOTS)
        return false;
    m->slots[written % MAILBOX_SLOTS] = e;
    /* Sequentially consistent: the reader's word that it sleeps is looked at next. */
    atomic_store(&m->written, written + 1);
    return true;
}

bool mailbox_push(struct mailbox *m)
{
    struct errand *e;

    while ((e = m->queue) != NULL) {
        struct errand *next = e->link;

        if (!put(m, e))
            return true;
        m->queue = next;
    }
    m->queue_last = &m->queue;
    return false;
}

void mailbox_post(struct mailbox *m, struct errand *e)
{
    if (m->queue == NULL && put(m, e))
        return;
    e->link = NULL;
    *m->queue_last = e;
    m->queue_last = &e->link;
}

struct errand *mailbox_take(struct mailbox *m)
{
    size_t read = atomic_load_explicit(&m->read, memory_order_relaxed);
    struct errand *e;

    if (atomic_load_explicit(&m->written, memory_order_acquire) == read)
        return NULL;
    e = m->slots[read % MAILBOX_SLOTS];
    atomic_store_explicit(&m->read, read + 1, memory_order_release);
    return e;
}

bool mailbox_is_empty(const struct mailbox *m)
{
    return atomic_load(&m->written) == atomic_load(&m->read);
}
