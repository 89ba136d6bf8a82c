/* SPDX-License-Identifier: Apache-2.0
 *
 * libleat: publish to, subscribe to and manage a Leat cluster.
 *
 * The story. A *client* is one pool of connections to a cluster, with an I/O thread of
 * its own (the default) or none. *Producers* and *consumers* hang on a client, and so do
 * the administrative calls. Everything that the library wants to tell the program arrives
 * in callbacks, and callbacks run only inside leat_client_dispatch, leat_client_wait and
 * the calls that are documented to dispatch (flush, poll, close, send_sync), on the
 * thread that called them, never on the library's own. leat_client_fd is readable exactly
 * while something waits to be dispatched, so a client fits into any event loop.
 *
 * Ownership. `_open`/`_new` gives the caller an object to `_close`/`_free`. What a call
 * takes it copies, unless it says that it borrows. Pointers in a callback's arguments are
 * valid until the callback returns.
 *
 * Errors. Functions return LEAT_OK or a code; 0 < code are the broker's answers (Kafka's
 * numbers below 1000), code < 0 are the library's own. If a leat_error is given it says
 * what failed, where, and whether trying again makes sense; it needs no freeing. Running
 * out of memory is LEAT_E_NO_MEMORY, never an abort.
 *
 * Time. Every blocking call takes a deadline in milliseconds and returns by it. Close
 * always frees, even when it misses its deadline.
 *
 * Threads. All functions may be called from any thread at any time unless they say
 * otherwise. A consumer belongs to one thread at a time (leat_consumer_wakeup excepted).
 * A callback may call anything but a close function; flush and wait, which would wait for
 * other callbacks, return at once there.
 * After fork() the child may only close and free. */
#ifndef LEAT_LEAT_H
#define LEAT_LEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LEAT_API        __attribute__((visibility("default")))
#define LEAT_MUST_CHECK __attribute__((warn_unused_result))
#else
#define LEAT_API
#define LEAT_MUST_CHECK
#endif

/* ---- errors --------------------------------------------------------------------------
 */

/* The library's own codes, and the broker's codes that programs commonly ask for. The
 * full table is in PROTOCOL.md; numbers are never reused. */
enum leat_code {
    LEAT_OK = 0,
    LEAT_E_INVALID_ARGUMENT = -2,
    LEAT_E_NO_MEMORY = -3,
    LEAT_E_TIMED_OUT = -4,
    LEAT_E_QUEUE_FULL = -5,
    LEAT_E_CLOSED = -6,
    LEAT_E_AGAIN = -7,
    LEAT_E_UNREACHABLE = -8,
    LEAT_E_PROTOCOL = -9,
    LEAT_E_FORKED = -10,
    LEAT_E_NOT_ASSIGNED = -11,
    LEAT_E_RESOLVE = -12,
    LEAT_E_BAD_STATE = -13,
    LEAT_E_IO = -14,
    LEAT_E_MAYBE_PERSISTED = -20,
    LEAT_E_OFFSET_OUT_OF_RANGE = 1,
    LEAT_E_CORRUPT_MESSAGE = 2,
    LEAT_E_UNKNOWN_TOPIC_OR_PARTITION = 3,
    LEAT_E_MESSAGE_TOO_LARGE = 10,
    LEAT_E_INVALID_TOPIC = 17,
    LEAT_E_UNKNOWN_MEMBER = 25,
    LEAT_E_TOPIC_EXISTS = 36,
    LEAT_E_INVALID_CONFIG = 40,
    LEAT_E_NON_EMPTY_GROUP = 68,
    LEAT_E_GROUP_NOT_FOUND = 69,
};

typedef struct leat_error {
    int code;
    bool retriable; /* the same call may succeed later */
    bool fatal;     /* this object is of no more use: close it */
    char where[96]; /* "produce orders/3", "connect 127.0.0.1:9092" */
    char text[256]; /* one sentence */
} leat_error;

LEAT_API const char *leat_code_name(int code); /* "NOT_LEADER" */
LEAT_API const char *leat_code_text(int code); /* a sentence */
LEAT_API const char *leat_version(void);       /* "0.1.0" */

/* ---- data ----------------------------------------------------------------------------
 */

typedef struct leat_bytes {
    const void *data; /* NULL: null, which is not the same as empty */
    size_t len;
} leat_bytes;

typedef struct leat_header {
    leat_bytes name;
    leat_bytes value;
} leat_header;

enum {
    LEAT_PARTITION_ANY = -1,
    LEAT_OFFSET_LATEST = -1, /* after the newest record */
    LEAT_OFFSET_EARLIEST = -2,
    LEAT_OFFSET_COMMITTED = -1000 /* the group's, or else auto.offset.reset */
};

typedef struct leat_record {
    size_t size; /* sizeof(leat_record): lets the structure grow */
    const char *topic;
    int32_t partition;    /* sending: LEAT_PARTITION_ANY lets the partitioner choose */
    int64_t offset;       /* received records only */
    int64_t timestamp_ms; /* sending: 0 is now */
    leat_bytes key;
    leat_bytes value;
    const leat_header *headers;
    size_t header_count;
} leat_record;

typedef struct leat_partition {
    const char *topic;
    int32_t partition;
} leat_partition;

typedef struct leat_offset {
    const char *topic;
    int32_t partition;
    int64_t offset;       /* the next record to read; or a LEAT_OFFSET_ constant */
    const char *metadata; /* committed along with it; may be NULL */
    int code;             /* per-partition outcome, where a call reports one */
} leat_offset;

/* ---- configuration -------------------------------------------------------------------
 */

/* Keys and values as text, with Kafka's names and meanings where Kafka has them; sizes
 * and durations take units (64K, 30s). leat_conf_each lists every key. */
typedef struct leat_conf leat_conf;

LEAT_API leat_conf *leat_conf_new(void); /* NULL without memory */
LEAT_API void leat_conf_free(leat_conf *conf);
/* Unknown keys and impossible values are LEAT_E_INVALID_ARGUMENT, with the nearest key
 * or the permitted range in `error`. */
LEAT_API LEAT_MUST_CHECK int leat_conf_set(leat_conf *conf, const char *key,
                                           const char *value, leat_error *error);
/* Every key with its value, default and a sentence, in order. */
LEAT_API void leat_conf_each(const leat_conf *conf,
                             void (*each)(const char *key, const char *value,
                                          const char *fallback, const char *text,
                                          void *arg),
                             void *arg);
/* Where the library's own messages go: level 0 error, 1 warning, 2 info, 3 debug. By
 * default warnings and errors go to stderr. May run on the library's thread. */
LEAT_API void leat_conf_log(leat_conf *conf,
                            void (*log)(int level, const char *message, void *arg),
                            void *arg);

/* ---- client --------------------------------------------------------------------------
 */

typedef struct leat_client leat_client;

/* Copies `conf` (NULL: defaults). Does not connect: that happens when it is needed, and
 * again whenever a connection is lost. `bootstrap.servers` names the first brokers,
 * `client.threads` 0 asks for no thread: then I/O happens inside dispatch. */
LEAT_API LEAT_MUST_CHECK leat_client *leat_client_open(const leat_conf *conf,
                                                       leat_error *error);
/* Close producers and consumers that are still open, then the connections. LEAT_OK or
 * LEAT_E_TIMED_OUT; freed either way. */
LEAT_API int leat_client_close(leat_client *client, int timeout_ms);

/* Readable while callbacks wait (or, without a thread, I/O): level-triggered. */
LEAT_API int leat_client_fd(const leat_client *client);
/* Run what waits, at most `max` callbacks, without blocking. Returns how many ran. */
LEAT_API int leat_client_dispatch(leat_client *client, int max);
/* Wait until something can be dispatched, dispatch it. Returns how many ran, 0 on
 * time-out. */
LEAT_API int leat_client_wait(leat_client *client, int timeout_ms);

/* ---- producer ------------------------------------------------------------------------
 */

typedef struct leat_producer leat_producer;

typedef struct leat_delivery {
    int code; /* LEAT_OK: acknowledged as `acks` demands */
    const char *topic;
    int32_t partition;
    int64_t offset; /* -1 when unknown (acks=none, failures) */
    int64_t timestamp_ms;
    void *arg;               /* what was given to leat_producer_send */
    const leat_error *error; /* NULL when code is LEAT_OK */
} leat_delivery;

typedef void leat_delivery_fn(const leat_delivery *delivery, void *producer_arg);
typedef int32_t leat_partitioner_fn(const char *topic, leat_bytes key, int32_t partitions,
                                    void *arg);

/* `conf` (NULL: the client's) gives acks, linger.ms, batch.bytes, compression.type,
 * buffer.bytes, delivery.timeout.ms, retry.backoff.ms, max.in.flight. `delivered` may be
 * NULL: then only flush and pending tell. */
LEAT_API LEAT_MUST_CHECK leat_producer *leat_producer_open(leat_client *client,
                                                           const leat_conf *conf,
                                                           leat_delivery_fn *delivered,
                                                           void *producer_arg,
                                                           leat_error *error);

/* Records with a key go to (murmur2(key) & 0x7fffffff) % partitions, as Kafka's Java
 * client sends them; records without one stick to a partition until a batch is full. This
 * replaces that rule; set it before the first send. */
LEAT_API void leat_producer_partitioner(leat_producer *producer, leat_partitioner_fn *fn,
                                        void *arg);

/* Queue one record. LEAT_OK: `delivered` will run for it exactly once. LEAT_E_QUEUE_FULL:
 * buffer.bytes are in use; dispatch (leat_client_wait) and try again. The order of
 * records of one partition is kept, also through retries. A record whose acknowledgement
 * was lost is sent again and may then be stored twice. */
LEAT_API LEAT_MUST_CHECK int leat_producer_send(leat_producer *producer,
                                                const leat_record *record, void *arg,
                                                leat_error *error);

/* Send and wait for the outcome, dispatching meanwhile. `offset` may be NULL. */
LEAT_API LEAT_MUST_CHECK int leat_producer_send_sync(leat_producer *producer,
                                                     const leat_record *record,
                                                     int32_t *partition, int64_t *offset,
                                                     int timeout_ms, leat_error *error);

/* Send what lingers and dispatch until all is delivered. Returns how many records are
 * still undelivered. */
LEAT_API size_t leat_producer_flush(leat_producer *producer, int timeout_ms);
LEAT_API size_t leat_producer_pending(const leat_producer *producer);

/* Flush, then fail what is left (its callbacks run). Returns how many records failed
 * here; frees the producer in any case. */
LEAT_API size_t leat_producer_close(leat_producer *producer, int timeout_ms);

/* ---- consumer ------------------------------------------------------------------------
 */

/* At least once is the automatic mode: a record counts as done when the program asks for
 * the next one (leat_consumer_poll, leat_consumer_next) or says so (leat_consumer_ack),
 * and only what is done is ever committed: every auto.commit.interval.ms, before
 * partitions are given up, and on close. */
typedef struct leat_consumer leat_consumer;
typedef struct leat_batch leat_batch;

enum leat_rebalance {
    LEAT_ASSIGNED = 1, /* these partitions are ours now; seeking is allowed */
    LEAT_REVOKED = 2,  /* about to be given up; what is done was committed */
    LEAT_LOST = 3,     /* already taken away (the session expired): nothing to commit */
};

typedef void leat_rebalance_fn(leat_consumer *consumer, enum leat_rebalance what,
                               const leat_offset *partitions, size_t count, void *arg);

/* `conf` (NULL: the client's) gives group.id, auto.offset.reset (earliest, latest, or
 * @<ms since 1970>), enable.auto.commit, session.timeout.ms, group.assignor, fetch sizes
 * and waits. */
LEAT_API LEAT_MUST_CHECK leat_consumer *leat_consumer_open(leat_client *client,
                                                           const leat_conf *conf,
                                                           leat_error *error);
LEAT_API void leat_consumer_on_rebalance(leat_consumer *consumer, leat_rebalance_fn *fn,
                                         void *arg);

/* Join the group and share the topics' partitions with its other members; replaces an
 * earlier subscription or assignment. */
LEAT_API LEAT_MUST_CHECK int leat_consumer_subscribe(leat_consumer *consumer,
                                                     const char *const *topics,
                                                     size_t count, leat_error *error);
/* Read exactly these partitions, from `offset` each, without a membership. With a
 * group.id commits still work as long as the group has no members. */
LEAT_API LEAT_MUST_CHECK int leat_consumer_assign(leat_consumer *consumer,
                                                  const leat_offset *partitions,
                                                  size_t count, leat_error *error);

/* Wait for records; dispatches meanwhile. > 0: that many records of one partition are in
 * `*batch`, to be freed with leat_batch_free. 0: none in this time. < 0: -1, with `error`
 * filled; unless error.fatal just poll again. Polling is what keeps a group member alive:
 * one that does not poll for max.poll.interval.ms while it holds records leaves. */
LEAT_API LEAT_MUST_CHECK int leat_consumer_poll(leat_consumer *consumer,
                                                leat_batch **batch, int timeout_ms,
                                                leat_error *error);
LEAT_API size_t leat_batch_len(const leat_batch *batch);
LEAT_API const leat_record *leat_batch_at(const leat_batch *batch, size_t index);
LEAT_API void leat_batch_free(leat_batch *batch); /* from any thread */

/* One record at a time: valid until the next call on this consumer. 1, 0 or -1 as poll.
 */
LEAT_API LEAT_MUST_CHECK int leat_consumer_next(leat_consumer *consumer,
                                                const leat_record **record,
                                                int timeout_ms, leat_error *error);

/* This record and those before it in its partition are done. LEAT_E_NOT_ASSIGNED if the
 * partition was taken away meanwhile. */
LEAT_API LEAT_MUST_CHECK int leat_consumer_ack(leat_consumer *consumer,
                                               const leat_record *record);

typedef void leat_commit_fn(const leat_offset *offsets, size_t count, int code,
                            void *arg);

/* Commit these offsets, or with NULL, 0 all that is done; waits and dispatches. */
LEAT_API LEAT_MUST_CHECK int leat_consumer_commit(leat_consumer *consumer,
                                                  const leat_offset *offsets,
                                                  size_t count, int timeout_ms,
                                                  leat_error *error);
/* The same without waiting: `committed` (may be NULL) runs once from a later dispatch. */
LEAT_API LEAT_MUST_CHECK int leat_consumer_commit_async(leat_consumer *consumer,
                                                        const leat_offset *offsets,
                                                        size_t count,
                                                        leat_commit_fn *committed,
                                                        void *arg);

/* Go on from another offset (or LEAT_OFFSET_EARLIEST, LEAT_OFFSET_LATEST). */
LEAT_API LEAT_MUST_CHECK int leat_consumer_seek(leat_consumer *consumer,
                                                const char *topic, int32_t partition,
                                                int64_t offset, leat_error *error);
LEAT_API LEAT_MUST_CHECK int leat_consumer_pause(leat_consumer *consumer,
                                                 const char *topic, int32_t partition,
                                                 bool paused);
/* The next offset that poll will return. */
LEAT_API LEAT_MUST_CHECK int leat_consumer_position(leat_consumer *consumer,
                                                    const char *topic, int32_t partition,
                                                    int64_t *offset);
/* Records between the position and the high watermark of the last fetch; LEAT_E_AGAIN
 * before the first one. */
LEAT_API LEAT_MUST_CHECK int leat_consumer_lag(leat_consumer *consumer, const char *topic,
                                               int32_t partition, int64_t *lag);
/* What is assigned now, with positions: writes at most `max`, returns how many there are.
 * The topic names live until the next call on this consumer. */
LEAT_API size_t leat_consumer_assignment(leat_consumer *consumer, leat_offset *out,
                                         size_t max);

/* Make a poll in progress (or the next one) return 0 at once. Async-signal-safe. */
LEAT_API void leat_consumer_wakeup(leat_consumer *consumer);

/* Commit what is done, leave the group, free. LEAT_OK, or why committing failed. */
LEAT_API int leat_consumer_close(leat_consumer *consumer, int timeout_ms);

/* ---- administration ------------------------------------------------------------------
 */

/* All of these wait for the answer, at most `timeout_ms`. Lists come back in a
 * leat_reply, which owns everything in it and is to be freed; its rows are read with the
 * accessor of the row's type (NULL past the end). */
typedef struct leat_reply leat_reply;

LEAT_API size_t leat_reply_len(const leat_reply *reply);
LEAT_API void leat_reply_free(leat_reply *reply);

typedef struct leat_cluster_row { /* one row per broker */
    const char *cluster_id;       /* 32 hex digits */
    int32_t node_id;
    const char *host;
    uint16_t port;
    const char *rack;
    bool controller;
    const char *version;
} leat_cluster_row;

LEAT_API LEAT_MUST_CHECK int leat_cluster_describe(leat_client *client,
                                                   leat_reply **reply, int timeout_ms,
                                                   leat_error *error);
LEAT_API const leat_cluster_row *leat_reply_broker(const leat_reply *reply, size_t index);

typedef struct leat_partition_row { /* one row per partition */
    int code;                       /* the topic's or the partition's own failure */
    const char *topic;
    const char *topic_id; /* 32 hex digits */
    bool internal;
    int32_t partition;
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
    const int32_t *replicas;
    size_t replica_count;
    const int32_t *in_sync;
    size_t in_sync_count;
    /* With `logs` asked for; else, or while no leader can be asked, -1 and 0. */
    int64_t log_start, high_watermark, log_end;
    uint64_t bytes;
    uint32_t segments;
    int64_t last_append_ms;
    const int32_t *eligible; /* not in sync, but hold everything committed (KIP-966) */
    size_t eligible_count;
    const int32_t *adding; /* replicas that a move brings */
    size_t adding_count;
    const int32_t *removing; /* and those that it takes away */
    size_t removing_count;
    int32_t min_in_sync; /* with fewer in sync acks=all is refused */
} leat_partition_row;

/* The partitions of these topics, or of all with NULL, 0. A topic that does not exist has
 * one row with its code and partition -1. */
LEAT_API LEAT_MUST_CHECK int leat_topics_describe(leat_client *client,
                                                  const char *const *topics, size_t count,
                                                  bool internal, bool logs,
                                                  leat_reply **reply, int timeout_ms,
                                                  leat_error *error);
LEAT_API const leat_partition_row *leat_reply_partition(const leat_reply *reply,
                                                        size_t index);

typedef struct leat_setting { /* key and value; NULL value: back to the default */
    const char *key;
    const char *value;
} leat_setting;

/* partitions and replication 0: the broker's defaults. */
LEAT_API LEAT_MUST_CHECK int leat_topic_create(leat_client *client, const char *topic,
                                               int32_t partitions, int32_t replication,
                                               const leat_setting *settings, size_t count,
                                               bool validate_only, int timeout_ms,
                                               leat_error *error);
LEAT_API LEAT_MUST_CHECK int leat_topic_delete(leat_client *client, const char *topic,
                                               int timeout_ms, leat_error *error);
/* New total of partitions (0: as it is) and settings, all or nothing. */
LEAT_API LEAT_MUST_CHECK int leat_topic_alter(leat_client *client, const char *topic,
                                              int32_t partitions,
                                              const leat_setting *settings, size_t count,
                                              bool validate_only, int timeout_ms,
                                              leat_error *error);
/* Give up records before `offset` (LEAT_OFFSET_LATEST: all) in each partition; `code` of
 * each row is filled, `offset` becomes the new start. */
LEAT_API LEAT_MUST_CHECK int leat_topic_trim(leat_client *client, leat_offset *offsets,
                                             size_t count, int timeout_ms,
                                             leat_error *error);

typedef struct leat_config_row {
    const char *key;
    const char *value;
    const char *fallback; /* the default in force */
    const char *origin;
    const char *type;
    const char *range;
    const char *text;
    bool dynamic;
} leat_config_row;

enum leat_resource {
    LEAT_BROKER,        /* `name` is ignored: the broker that answers */
    LEAT_TOPIC,         /* `name` is the topic */
    LEAT_TOPIC_OPTIONS, /* what may be set on topics */
};

LEAT_API LEAT_MUST_CHECK int leat_config_describe(leat_client *client,
                                                  enum leat_resource resource,
                                                  const char *name, leat_reply **reply,
                                                  int timeout_ms, leat_error *error);
LEAT_API const leat_config_row *leat_reply_config(const leat_reply *reply, size_t index);
/* Settings of the broker; for topics use leat_topic_alter. */
LEAT_API LEAT_MUST_CHECK int leat_config_alter(leat_client *client,
                                               const leat_setting *settings, size_t count,
                                               bool validate_only, int timeout_ms,
                                               leat_error *error);

/* `timestamp_ms`: LEAT_OFFSET_EARLIEST, LEAT_OFFSET_LATEST, or a time. Fills `offset` and
 * `code` of each row. */
LEAT_API LEAT_MUST_CHECK int leat_offsets_list(leat_client *client, int64_t timestamp_ms,
                                               leat_offset *offsets, size_t count,
                                               int timeout_ms, leat_error *error);

typedef struct leat_group_row {
    const char *group;
    const char *state; /* "empty", "reconciling", "stable" */
    const char *assignor;
    int32_t epoch;
    uint32_t members;
} leat_group_row;

LEAT_API LEAT_MUST_CHECK int leat_groups_list(leat_client *client, leat_reply **reply,
                                              int timeout_ms, leat_error *error);
LEAT_API const leat_group_row *leat_reply_group(const leat_reply *reply, size_t index);

typedef struct leat_member_row {
    const char *group;
    const char *group_state;
    int32_t group_epoch;
    const char *assignor;
    int32_t coordinator;
    const char *member_id; /* NULL: the group has no members, this row is the group's */
    const char *client_id;
    const char *host;
    int32_t epoch;
    int64_t heartbeat_age_ms;
    int32_t session_timeout_ms;
    const leat_partition *assigned;
    size_t assigned_count;
    const leat_partition *target;
    size_t target_count;
} leat_member_row;

LEAT_API LEAT_MUST_CHECK int leat_group_describe(leat_client *client, const char *group,
                                                 leat_reply **reply, int timeout_ms,
                                                 leat_error *error);
LEAT_API const leat_member_row *leat_reply_member(const leat_reply *reply, size_t index);

LEAT_API LEAT_MUST_CHECK int leat_group_delete(leat_client *client, const char *group,
                                               int timeout_ms, leat_error *error);

typedef struct leat_group_offset_row {
    const char *topic;
    int32_t partition;
    int code;
    int64_t offset; /* committed; -1: nothing. Of a reset: the new one */
    int64_t before; /* of a reset: the old one, -1 if none */
    const char *metadata;
    int64_t committed_ms;
} leat_group_offset_row;

/* What the group has committed. */
LEAT_API LEAT_MUST_CHECK int leat_group_offsets(leat_client *client, const char *group,
                                                leat_reply **reply, int timeout_ms,
                                                leat_error *error);
LEAT_API const leat_group_offset_row *leat_reply_group_offset(const leat_reply *reply,
                                                              size_t index);

enum leat_reset {
    LEAT_TO_EARLIEST,
    LEAT_TO_LATEST,
    LEAT_TO_TIME,   /* `value` in ms since 1970 */
    LEAT_TO_OFFSET, /* `value` */
    LEAT_SHIFT,     /* `value` records forward, or back when negative */
    LEAT_EXPLICIT,  /* the offsets in `partitions` */
};

/* Move the offsets of a group without members; `partitions` NULL, 0: all that it has
 * committed; a row with partition -1: the whole topic. The rows of `reply` are the plan,
 * which is also carried out unless `validate_only`. */
LEAT_API LEAT_MUST_CHECK int leat_group_reset(leat_client *client, const char *group,
                                              enum leat_reset to, int64_t value,
                                              const leat_offset *partitions, size_t count,
                                              bool validate_only, leat_reply **reply,
                                              int timeout_ms, leat_error *error);

/* ---- the cluster, for operators ------------------------------------------------------
 */

typedef struct leat_broker_row { /* one row per registered broker, up or not */
    int32_t node_id;
    const char *host;
    uint16_t port;
    const char *rack;
    const char *state; /* "active", "fenced" (silent), "stopping" */
    bool draining;
    bool voter; /* of the metadata quorum */
    bool controller;
    const char *version;
    int64_t broker_epoch;
    int64_t silent_ms; /* since its last heartbeat; -1: unknown */
    uint64_t replicas, leaders, out_of_sync;
    uint64_t homeless; /* replicas that no other broker could take now */
    uint64_t faulty;   /* replicas whose logs do not open; 0 while it is silent */
} leat_broker_row;

/* Counts over the whole cluster. */
typedef struct leat_cluster_health {
    int32_t controller_id; /* -1: none at the moment */
    int32_t controller_epoch;
    uint64_t topics, partitions;
    uint64_t leaderless;        /* partitions without a leader */
    uint64_t offline;           /* of these: no replica that could lead is up */
    uint64_t under_replicated;  /* fewer in sync than replicas */
    uint64_t under_min_in_sync; /* acks=all is refused */
    uint64_t moving;            /* on their way to other brokers */
} leat_cluster_health;

LEAT_API LEAT_MUST_CHECK int leat_brokers_describe(leat_client *client,
                                                   leat_reply **reply,
                                                   leat_cluster_health *health,
                                                   int timeout_ms, leat_error *error);
LEAT_API const leat_broker_row *leat_reply_broker_state(const leat_reply *reply,
                                                        size_t index);

typedef struct leat_quorum_row { /* one row per node that follows the metadata */
    int32_t node_id;
    const char *directory_id; /* 32 hex digits */
    const char *host;
    uint16_t port;
    bool voter, leader;
    int32_t epoch;     /* of the quorum */
    int64_t log_end;   /* -1: not heard of */
    int64_t lag;       /* records behind the leader; -1: unknown */
    int64_t silent_ms; /* since its last fetch; -1: not heard of */
} leat_quorum_row;

LEAT_API LEAT_MUST_CHECK int leat_quorum_describe(leat_client *client, leat_reply **reply,
                                                  int timeout_ms, leat_error *error);
LEAT_API const leat_quorum_row *leat_reply_quorum(const leat_reply *reply, size_t index);
/* Add a broker to the voters, or take one out; 0: none. One at a time. */
LEAT_API LEAT_MUST_CHECK int leat_quorum_alter(leat_client *client, int32_t add,
                                               int32_t remove, int timeout_ms,
                                               leat_error *error);

enum leat_broker_action {
    LEAT_DRAIN,   /* move leaderships and replicas away, and keep them away */
    LEAT_UNDRAIN, /* it may have some again */
    LEAT_REMOVE,  /* forget a broker that is down and holds nothing */
};

/* What is still to be moved goes to `replicas_left` and `leaders_left` (may be NULL). */
LEAT_API LEAT_MUST_CHECK int leat_broker_alter(leat_client *client, int32_t node_id,
                                               enum leat_broker_action action,
                                               bool validate_only,
                                               uint64_t *replicas_left,
                                               uint64_t *leaders_left, int timeout_ms,
                                               leat_error *error);

typedef struct leat_move {
    const char *topic;
    int32_t partition;
    const int32_t *replicas; /* the first one is the preferred leader; NULL: cancel */
    size_t replica_count;
} leat_move;

typedef struct leat_outcome_row { /* one row per partition that was asked for */
    const char *topic;
    int32_t partition;
    int code;
    const char *text; /* why, if the code is not LEAT_OK */
    int32_t leader;
} leat_outcome_row;

/* Place partitions on other brokers, or cancel that. It goes on after the answer. */
LEAT_API LEAT_MUST_CHECK int leat_partitions_move(leat_client *client,
                                                  const leat_move *moves, size_t count,
                                                  bool validate_only, leat_reply **reply,
                                                  int timeout_ms, leat_error *error);

/* Let the first replica lead; or, `unclean`, any replica that is up where there is no
 * leader: records that only the others have are lost. `partitions` NULL, 0: wherever that
 * changes something. */
LEAT_API LEAT_MUST_CHECK int leat_leaders_elect(leat_client *client, bool unclean,
                                                const leat_offset *partitions,
                                                size_t count, leat_reply **reply,
                                                int timeout_ms, leat_error *error);
LEAT_API const leat_outcome_row *leat_reply_outcome(const leat_reply *reply,
                                                    size_t index);

#ifdef __cplusplus
}
#endif
#endif
