/* SPDX-License-Identifier: Apache-2.0
 *
 * Errands on their way from one shard to another. A mailbox has one writer and one
 * reader: a bounded ring, and behind it a queue of the writer's own for what did not fit,
 * so that nothing is lost and nothing overtakes. Slots are the only memory both touch. */
#pragma once

#include "broker/core/wire.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { MAILBOX_SLOTS = 1024 };

struct mailbox {
    _Alignas(64) atomic_size_t written; /* the writer's */
    struct errand *queue;               /* the writer's: did not fit yet */
    struct errand **queue_last;
    _Alignas(64) atomic_size_t read; /* the reader's */
    _Alignas(64) struct errand *slots[MAILBOX_SLOTS];
};

void mailbox_init(struct mailbox *m);

/* The writer's side. */
void mailbox_post(struct mailbox *m, struct errand *e);
/* Move what is queued into free slots; true if any is left. */
bool mailbox_push(struct mailbox *m);

/* The reader's side: the next errand, or NULL. */
struct errand *mailbox_take(struct mailbox *m);
/* Either side: whether something lies in the slots. */
bool mailbox_is_empty(const struct mailbox *m);
