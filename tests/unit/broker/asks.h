/* SPDX-License-Identifier: Apache-2.0
 *
 * The requests that tests of the node send, in few words. All go to the shard of the
 * connection that ask_from chose, the first one unless told. */
#pragma once

#include "tests/support/fake_store.h"
#include "tests/support/fake_wire.h"

void ask_from(unsigned shard);

void ask_create(struct fake_wire *w, const char *name, int32_t partitions);
void ask_create_with(struct fake_wire *w, const char *name, const char *key,
                     const char *value);
/* More partitions (0: as many as there are), and one key set or (value NULL) unset. */
void ask_alter(struct fake_wire *w, const char *name, int32_t partitions, const char *key,
               const char *value);
void ask_topic_config(struct fake_wire *w, const char *name, const char *key);
void ask_delete(struct fake_wire *w, const char *name);
void ask_trim(struct fake_wire *w, const char *name, int32_t partition, int64_t before);
void ask_metadata(struct fake_wire *w);
void ask_logs(struct fake_wire *w);
void ask_set(struct fake_wire *w, const char *key, const char *value);
void ask_config(struct fake_wire *w, const char *key);
void ask_hello(struct fake_wire *w);
void ask_list(struct fake_wire *w, const char *name, int32_t partition, int64_t time);

/* A batch of `records` values of `bytes` bytes, stamped from `time_ms` on, one a ms. */
struct ask_batch {
    int32_t partition;
    int32_t records;
    size_t bytes;
    int64_t time_ms;
    uint16_t attributes; /* set after the build, with a checksum that fits */
    bool damaged;
    int64_t producer; /* 0: none */
    int16_t epoch;
    int32_t sequence;
};

struct ask_produce {
    const char *topic;
    struct bytes topic_id;
    int32_t acks;
    int32_t timeout_ms;
    const struct ask_batch *batches;
    size_t count;
    const char *surplus; /* payload that belongs to no batch */
};

void ask_produce(struct fake_wire *w, const struct ask_produce *q);
/* acks=all, one batch of `records` small records. */
void ask_produce_to(struct fake_wire *w, const char *topic, int32_t partition,
                    int32_t records);
/* Plain records with these keys (NULL: none), partition -1. */
void ask_produce_keys(struct fake_wire *w, const char *topic, const char *const *keys,
                      size_t count);

struct ask_fetch {
    const char *topic;
    int32_t partitions[8];
    int64_t offsets[8];
    size_t count;
    uint32_t partition_bytes; /* 0: 1 MiB */
    uint32_t min_bytes, max_bytes;
    int32_t max_wait_ms;
};

void ask_fetch(struct fake_wire *w, const struct ask_fetch *q);
/* One partition, waiting up to 500 ms for one byte. */
void ask_fetch_from(struct fake_wire *w, const char *topic, int32_t partition,
                    int64_t offset);
