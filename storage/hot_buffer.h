/* SPDX-License-Identifier: Apache-2.0
 *
 * The aligned memory that journal groups are gathered in and consumers are served from.
 * Fresh memory is dear (microseconds per page), so buffers are used again: one goes back
 * to its pool when the last reference goes, on whatever thread that is. The pool lives
 * until its owner has closed it and all its buffers are home. */
#pragma once

#include "proto/base/buf.h"
#include "storage/journal.h"

struct hot_pool;

struct hot_buffer {
    struct buf buf;
    size_t used;      /* bytes given out, a multiple of DISK_ALIGN between groups */
    journal_seq last; /* the newest group in it */
    TAILQ_ENTRY(hot_buffer) link; /* the owner's */
    struct hot_pool *pool;        /* NULL: a large one, freed after use */
    struct hot_buffer *next_free;
};

struct hot_pool *hot_pool_open(void);
void hot_pool_close(struct hot_pool *p);
/* Now and then: give back the memory of as many buffers as were free all the time since
 * the last call. */
void hot_pool_trim(struct hot_pool *p);
/* A buffer with one reference and at least `bytes` of memory; up to JOURNAL_BUFFER it
 * comes from the pool. */
struct hot_buffer *hot_buffer_new(struct hot_pool *p, size_t bytes);
