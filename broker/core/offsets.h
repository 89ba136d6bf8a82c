/* SPDX-License-Identifier: Apache-2.0
 *
 * Ask partitions, on whatever shard they are, for the offset that belongs to a time: what
 * the list-offsets request, the reset of a group and trimming need. A client that asks is
 * sent to the partition's leader; we ourselves may ask it wherever it is (`anywhere`). */
#pragma once

#include "broker/core/wire.h"
#include "proto/base/uuid.h"

struct offset_query;
typedef void offset_query_done(struct offset_query *q);

enum { OFFSET_QUERY_LATEST = -1, OFFSET_QUERY_EARLIEST = -2 };

struct offset_question {
    struct uuid topic_id;
    int32_t partition;
    int64_t timestamp_ms; /* or a constant above */
    /* The answer. */
    enum status status;
    int64_t offset;             /* high watermark if nothing is so late */
    int64_t found_timestamp_ms; /* -1: not looked up by time, or nothing so late */
    int32_t leader_epoch;
    int64_t log_start;
    int64_t high_watermark;
};

struct offset_query {
    struct offset_question *questions; /* the caller's, until `done` */
    size_t count;
    offset_query_done *done; /* once, later, on the asking shard */
    bool anywhere;           /* ask other brokers for what they lead */
    size_t pending;          /* private */
};

void offset_query_start(struct node *n, struct offset_query *q);
