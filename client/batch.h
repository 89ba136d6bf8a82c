/* SPDX-License-Identifier: Apache-2.0
 *
 * From the bytes of a fetch answer to the records that the program reads. A *haul* is
 * what one answer brought, in the buffer that it was received into. A *chunk* is one
 * partition's share of it: whole record batches, taken off the front. A *leat_batch* is
 * what the program gets: records that point into the haul, or into memory of their own
 * where a batch had been compressed. All of them count against one *budget*, until the
 * last one is given back; batches may outlive the consumer, so the budget may as well. */
#pragma once

#include "client/include/leat/leat.h"
#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/record/iterate.h"

#include <pthread.h>
#include <sys/queue.h>

/* ---- budget ---- */

struct budget {
    atomic_uint refs;
    atomic_size_t used;   /* bytes */
    atomic_bool wanted;   /* somebody waits for room */
    pthread_mutex_t lock; /* guards `owner` */
    void *owner;          /* NULL: nobody is interested any more */
    void (*freed)(void *owner);
};

/* `freed(owner)` runs, on any thread and without a lock of ours but the budget's, when
 * something was given back while `wanted`. NULL without memory. */
struct budget *budget_new(void *owner, void (*freed)(void *owner));
/* The owner is about to give something back itself, and will look for room by itself. */
void budget_hush(struct budget *b);
/* The owner goes: `freed` is not running and will not run. Gives back its reference. */
void budget_leave(struct budget *b);

/* ---- haul and chunk ---- */

struct haul {
    atomic_uint refs;
    struct budget *budget;
    struct buf *buf;
    size_t bytes;
};

/* Shares the buffer; one reference. NULL without memory. */
struct haul *haul_new(struct budget *budget, struct buf *buf, size_t bytes);
void haul_unref(struct haul *h);

struct chunk {
    STAILQ_ENTRY(chunk) link;
    struct haul *haul;
    struct bytes data; /* record batches that were not read yet */
    int64_t next;      /* the offset after its last batch */
};

/* The whole batches at the front of `data`, for a reader that asked for `from`: in order,
 * none of them wholly before it. CORRUPT_MESSAGE if they are not, or if there is not even
 * one. Shares the haul. */
STATUS_MUST_CHECK enum status chunk_new(struct haul *haul, struct bytes data,
                                        int64_t from, struct chunk **out);
void chunk_free(struct chunk *c);

/* ---- batch ---- */

enum {
    BATCH_RECORDS_WANTED = 1000,                /* small batches are joined up to this */
    BATCH_DECOMPRESSED_MAX = 256 * 1024 * 1024, /* bytes that one may unfold into */
};

struct leat_batch {
    struct haul *haul;
    leat_record *records;
    size_t first; /* records before it were handed out one by one */
    size_t count;
    size_t capacity;
    int64_t next;             /* the offset after the last record batch in it */
    struct arena headers;     /* arrays of leat_header */
    struct iterate *unfolded; /* the decompressed ones */
    size_t unfolded_count;
    size_t unfolded_bytes;
    int32_t partition;
    char topic[]; /* its own copy: it may outlive everything else */
};

/* Take record batches off the front of `c`, verify them, and decode the records from
 * offset `from` on. `*out` is NULL if there were none. CORRUPT_MESSAGE, NO_MEMORY,
 * UNSUPPORTED_COMPRESSION, MESSAGE_TOO_LARGE: the chunk is left before the batch that
 * could not be read; the ones before it come out first. */
STATUS_MUST_CHECK enum status chunk_decode(struct chunk *c, int64_t from,
                                           const char *topic, int32_t partition,
                                           struct leat_batch **out);
