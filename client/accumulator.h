/* SPDX-License-Identifier: Apache-2.0
 *
 * Where records wait to be sent. Each partition has a *lane*: a queue of *parcels*, each
 * one record batch in the making or on its way, oldest first. Records go straight into
 * the encoded batch of the last parcel; nothing is allocated per record.
 *
 * Order is kept by a simple rule: of one lane only one request is ever on its way. It may
 * carry several of its first parcels, which the broker stores in this order or, from the
 * first that it refuses, not at all; and a parcel stays in its place until it is
 * delivered or has failed for good. Speed is kept because meanwhile the last parcel may
 * grow beyond batch.bytes and others queue up: the slower the answers, the larger the
 * requests.
 *
 * Pure: no clock, no lock, no sockets. */
#pragma once

#include "client/engine.h"
#include "proto/base/buf.h"
#include "proto/record/build.h"

enum {
    PARCEL_GROWTH = 8,             /* times batch.bytes, while the lane is busy */
    PARCEL_GROWN_MAX = 768 * 1024, /* stays below a broker's usual max.message.bytes */
    PARCEL_TEXT = 128,
    PARCELS_SPARE = 16,
};

/* A caller of send_sync who waits for one record. */
struct ticket {
    LIST_ENTRY(ticket) link;
    int32_t index; /* of the record in its parcel */
    bool queued;   /* in a parcel's list */
    bool done;
    int code;
    int32_t partition;
    int64_t offset;
    char text[PARCEL_TEXT];
};

/* What a delivery tells besides partition and offset. */
struct entry {
    void *arg;
    int64_t timestamp_ms;
};

/* An entry with this argument has no callback. */
extern char entry_silent;

struct parcel {
    struct buf
        buf; /* the finished batch as requests share it; owns the parcel's memory */
    TAILQ_ENTRY(parcel) link;
    struct lane *lane;
    struct build build;
    struct bytes batch; /* finished; data NULL before */
    int32_t count;
    struct entry *entries; /* NULL if nobody is to be told */
    size_t entries_max;
    LIST_HEAD(, ticket) tickets;
    int64_t opened_ms;
    size_t bytes; /* counted against buffer.bytes */
    unsigned tries;
    size_t place;     /* in the request that carries it */
    bool maybe_sent;  /* an answer was lost */
    bool numbered;    /* its records have numbers in the lane's sequence, */
    int32_t sequence; /* from this one on */
    /* The outcome. */
    struct notice notice;
    int32_t told; /* callbacks that ran */
    int code;
    int64_t base_offset;
    char text[PARCEL_TEXT];
};

TAILQ_HEAD(parcels, parcel);

struct lane {
    TAILQ_ENTRY(lane) link; /* among the lanes that hold parcels */
    bool active;
    struct lanes *topic;
    int32_t partition;
    struct parcels parcels;
    bool sending;      /* a request with its first parcels is on its way */
    int64_t retry_ms;  /* not before */
    size_t parcel_max; /* a parcel grows no further */
    /* The producer as the partition knows it (KIP-98). A parcel that is given up leaves a
     * gap in the numbers, so the lane begins anew under the next epoch. */
    int64_t producer_id; /* -1: not numbered */
    int16_t producer_epoch;
    int32_t next_sequence;
    bool renumber; /* before anything more is sent */
};

/* A record that waits for its topic's partitions to be known. One allocation. */
struct staged {
    TAILQ_ENTRY(staged) link;
    struct lanes *topic;
    int32_t partition;
    void *arg;
    struct ticket *ticket;
    int64_t timestamp_ms;
    int64_t staged_ms;
    int code; /* the outcome, when it failed */
    struct bytes key;
    struct bytes value;
    struct record_header *headers;
    size_t header_count;
    size_t bytes;
};

TAILQ_HEAD(stage, staged);

/* All lanes of one topic. */
struct lanes {
    struct accumulator *accumulator;
    char *name;
    struct lane **at;
    int32_t count; /* 0: not known */
    int32_t sticky;
    unsigned misses; /* times in a row that the cluster did not know the topic */
    struct stage stage;
    bool moving; /* the first staged record is on its way into a lane */
};

TAILQ_HEAD(lane_row, lane);

struct accumulator {
    size_t batch_bytes;
    size_t bytes_max;
    size_t bytes;
    size_t records; /* not yet told */
    bool keep_entries;
    struct lane_row active;
    struct parcels spare;
    unsigned spare_count;
};

/* One record to be sent. */
struct item {
    int64_t timestamp_ms;
    struct bytes key;
    struct bytes value;
    const struct record_header *headers;
    size_t header_count;
    void *arg;
    struct ticket *ticket; /* NULL: a callback tells */
};

void accumulator_init(struct accumulator *a, size_t batch_bytes, size_t bytes_max,
                      bool keep_entries);
/* Everything must have been taken out. */
void accumulator_release(struct accumulator *a);

/* QUEUE_FULL, or MESSAGE_TOO_LARGE for what never fits, or OK. */
STATUS_MUST_CHECK enum status accumulator_admit(const struct accumulator *a, size_t size);

/* Put the record into the lane's last parcel or a new one, which then is in `*opened`.
 * NO_MEMORY: nothing happened. */
STATUS_MUST_CHECK enum status accumulator_append(struct accumulator *a, struct lane *lane,
                                                 const struct item *item,
                                                 struct parcel **opened);

/* Close the batch of a parcel, so that it can be sent, and number its records if its lane
 * has a producer. Parcels of a lane are closed in their order. Slow (compression,
 * checksum): without the lock. */
STATUS_MUST_CHECK enum status parcel_finish(struct parcel *p, enum codec codec);

/* Begin to number anew, as this producer and epoch: what is closed already is numbered
 * again. Nothing of the lane may be on its way, or in doubt. */
void lane_number(struct lane *lane, int64_t producer_id, int16_t producer_epoch);

/* Take the first parcel off its lane: it is delivered, or failed. */
struct parcel *lane_take(struct accumulator *a, struct lane *lane);
struct parcel *lane_first(const struct lane *lane);
/* Bytes in the last parcel; 0 without one. */
size_t lane_open_bytes(const struct lane *lane);

/* Replace the lane's first parcel by two of half its size each: the broker found it too
 * large. Its lane makes smaller ones from now on. NO_MEMORY: nothing happened. */
STATUS_MUST_CHECK enum status lane_split(struct accumulator *a, struct lane *lane);

/* The parcel is through, callbacks included. */
void parcel_retire(struct accumulator *a, struct parcel *p);

/* Tickets of this parcel get its outcome. True if any did. */
bool parcel_tell_tickets(struct parcel *p);

struct lanes *lanes_new(struct accumulator *a, const char *name);
void lanes_free(struct lanes *t);
STATUS_MUST_CHECK enum status lanes_grow(struct lanes *t, int32_t count);

/* A copy of the item, waiting; NULL without memory. */
struct staged *staged_new(struct accumulator *a, struct lanes *t, int32_t partition,
                          const struct item *item);
/* It is out of all lists, and told, or in a lane. */
void staged_free(struct accumulator *a, struct staged *s);
