/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker for tests of the client: one thread, the native protocol on a loopback port,
 * topics in memory, and a script. It answers HELLO, METADATA, PRODUCE, FETCH,
 * LIST_OFFSETS, OFFSET_COMMIT and OFFSET_FETCH by itself; a test may take over any
 * request with a handler, or let the next ones go wrong.
 *
 * Test code: it dies on errors instead of returning them. */
#pragma once

#include "proto/rpc/codec.h"
#include "proto/rpc/frame.h"

struct fake_broker;
struct leat_conf;

struct fake_broker *fake_broker_start(void);
void fake_broker_stop(struct fake_broker *b);

/* "127.0.0.1:PORT", for bootstrap.servers. */
const char *fake_broker_servers(const struct fake_broker *b);
uint16_t fake_broker_port(const struct fake_broker *b);

/* Close the port and all connections; listen again on the same port. */
void fake_broker_down(struct fake_broker *b);
void fake_broker_up(struct fake_broker *b);
/* Close all connections, keep listening. */
void fake_broker_cut(struct fake_broker *b);

/* ---- topics ---- */

void fake_broker_topic(struct fake_broker *b, const char *name, int32_t partitions);
/* METADATA names no leader for any partition while `off`. */
void fake_broker_leaderless(struct fake_broker *b, bool off);

/* Append one whole batch as a producer would; returns its base offset. */
int64_t fake_broker_append(struct fake_broker *b, const char *topic, int32_t partition,
                           struct bytes batch);
/* Offset of the next record. */
int64_t fake_broker_end(struct fake_broker *b, const char *topic, int32_t partition);
/* Forget the records before `offset`. */
void fake_broker_trim(struct fake_broker *b, const char *topic, int32_t partition,
                      int64_t offset);
/* All batches of a partition, one behind the other; to be freed. */
uint8_t *fake_broker_dump(struct fake_broker *b, const char *topic, int32_t partition,
                          size_t *len);
/* What OFFSET_COMMIT stored; -1 if nothing. */
int64_t fake_broker_committed(struct fake_broker *b, const char *group, const char *topic,
                              int32_t partition);

/* ---- the script ---- */

struct fake_request {
    struct fake_broker *broker;
    int fd;
    struct frame frame;
    const ProtobufCMessage *message;
    struct bytes payload;
};

/* Runs on the broker's thread. True: taken care of; false: as if there were no handler.
 */
typedef bool fake_handler_fn(struct fake_request *r, void *arg);

void fake_broker_handle(struct fake_broker *b, enum rpc_api api, fake_handler_fn *fn,
                        void *arg);
void fake_answer(struct fake_request *r, const ProtobufCMessage *response,
                 struct bytes payload);
void fake_refuse(struct fake_request *r, int error, const char *text);
void fake_drop(struct fake_request *r);
/* Any bytes at all. */
void fake_raw(struct fake_request *r, struct bytes data);

enum fake_failure {
    FAKE_DROP_UNSEEN,  /* close the connection, nothing was done */
    FAKE_DROP_DONE,    /* do it, then close the connection instead of answering */
    FAKE_REFUSE,       /* an ErrorResponse with `code` */
    FAKE_REFUSE_PARTS, /* PRODUCE, FETCH: each partition answers `code`, nothing is done
                        */
    FAKE_SILENCE,      /* no answer, ever */
    FAKE_GARBAGE,      /* an answer that is no frame */
};

/* After `skip` more requests of this kind, let `count` of them fail. Several scripts are
 * worked off one after the other. */
void fake_broker_fail(struct fake_broker *b, enum rpc_api api, int skip, int count,
                      enum fake_failure what, int code);

/* While held, requests of this kind wait unanswered; then they are done in order. */
void fake_broker_hold(struct fake_broker *b, enum rpc_api api, bool on);

/* How many requests of this kind came in so far; wait until there were `count`. */
int fake_broker_seen(struct fake_broker *b, enum rpc_api api);
void fake_broker_await(struct fake_broker *b, enum rpc_api api, int count);
/* Wait until `connections` are open. */
void fake_broker_await_connections(struct fake_broker *b, int connections);
