/* SPDX-License-Identifier: Apache-2.0
 *
 * What the coordinator's files share: the coordinator itself, and the operation, a
 * request (or a wish of our own: somebody's session ran out) on its way through:
 *
 *     stand in the group's line -> start: decide on the applied state
 *       -> propose records -> durable, applied -> then: go on, or answer and finish
 *
 * The line keeps a group's operations in order. Those that stand alone (membership,
 * reset, removal) start when nothing of the group is under way; commits share, so that
 * any number of them ride in one group commit. Whoever starts therefore finds the state
 * complete as far as its decision depends on it. */
#pragma once

#include "broker/core/config.h"
#include "broker/core/group/coordinator.h"
#include "broker/core/group/decide.h"
#include "broker/core/metrics.h"
#include "broker/core/offsets.h"

struct operation;
typedef void operation_step(struct operation *op);

/* Operations of one group in the order in which they came. Exists while it has any. */
struct line {
    char *group;
    TAILQ_HEAD(, operation) waiting;
    size_t under_way;
    bool alone;   /* what is under way tolerates nobody beside it */
    bool running; /* line_run is at work further up the stack */
};

struct operation {
    struct machine_entry entry;
    struct coordinator *c;
    struct line *line;       /* NULL: of no group in particular */
    struct request *request; /* NULL: our own, or answered already */
    operation_step *start;
    operation_step *then;
    int32_t leader_epoch; /* the coordinator's when it began */
    bool alone;
    bool is_waiting;
    struct arena arena;          /* what must outlive the request */
    char *member_id;             /* in `arena`; what the operation is about */
    void *work;                  /* in `arena` */
    TAILQ_ENTRY(operation) link; /* line.waiting */
    TAILQ_ENTRY(operation) all;  /* coordinator.operations */
};

struct coordinator {
    struct coordinator_options o;
    struct machine *machine;
    struct groups groups;
    struct map lines;
    TAILQ_HEAD(, operation) operations;
    struct prng random;
    struct instant now;
    int64_t next_sweep_ms; /* mono */
    uint64_t rebalances;
    int32_t leader_epoch; /* under which records are proposed; -1: this broker follows */
    bool ready;
    bool stopped;
};

enum {
    GROUP_MEMBER_ID_MAX = 64,
    GROUP_CLIENT_ID_MAX = 249,
    GROUP_TOPICS_MAX = 1000,   /* a member subscribes to */
    GROUP_METADATA_MAX = 4096, /* bytes beside an offset */
    GROUP_ROWS_MAX = 10000,    /* partitions in one commit, fetch or reset */
    GROUP_SWEEP_MS = 10000,    /* how often idle groups and snapshots are looked at */
};

/* ---- operations ------------------------------------------------------------------- */

/* Stand in `group`'s line. `r` may be NULL. `member_id` may be NULL; it is copied. */
void operation_begin(struct coordinator *c, const char *group, struct request *r,
                     bool alone, const char *member_id, operation_step *start);
/* Append records that concern no group in particular and that nobody waits for. */
void operation_propose_only(struct coordinator *c, struct records *records);
/* Append the records, which are released, and go on with `then` once they are applied. */
void operation_propose(struct operation *op, struct records *records,
                       operation_step *then);
/* The end of an operation. An answer of NULL means that its memory ran out. */
void operation_answer(struct operation *op, ProtobufCMessage *answer);
void operation_refuse(struct operation *op, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void operation_finish(struct operation *op);
/* From op->arena, zeroed; never NULL. */
void *operation_alloc(struct operation *op, size_t size);
/* The leadership under which it began is over: it was answered, and decides nothing. */
bool operation_is_over(const struct operation *op);
struct group *operation_group(const struct operation *op);
struct member *operation_member(const struct operation *op);
/* Answer everything with `why`; what is under way ends when it comes home. */
void operations_end(struct coordinator *c, enum status why);
void operations_release(struct coordinator *c);

/* ---- what several requests need --------------------------------------------------- */

struct catalog coordinator_catalog(const struct coordinator *c);
/* Targets up to date; counts the rebalance. */
void coordinator_settle(struct coordinator *c, struct group *g);
/* A sign of life: the session begins anew. */
void member_heard(struct coordinator *c, struct member *m);
/* Set or lift the time by which it must have given up its revoked partitions.
 * `from_now`: it was told something new. */
void member_watch_release(struct coordinator *c, struct member *m, bool from_now);
int32_t coordinator_heartbeat_ms(const struct coordinator *c, const struct member *m);
/* Whether one more group may exist. */
bool coordinator_has_room(const struct coordinator *c);
/* No members, and nothing has happened for offsets.retention.ms. */
bool group_is_idle(const struct coordinator *c, const struct group *g);

/* Shares as requests and answers write them. In the request's arena; false or NULL when
 * that ran out. Unknown topics are left out. */
struct share share_of_wire(const struct coordinator *c, Leat__TopicPartitions **list,
                           size_t n);
bool share_to_wire(const struct coordinator *c, struct request *r, const struct share *s,
                   Leat__TopicPartitions ***list, size_t *n);
/* Committed offsets of a group, sorted by topic and partition; in the request's arena. */
const struct committed **committed_sorted(struct request *r, const struct group *g);

/* ---- one file per kind of request ------------------------------------------------- */

void request_join(struct coordinator *c, struct request *r);
void request_heartbeat(struct coordinator *c, struct request *r);
void request_leave(struct coordinator *c, struct request *r);
void request_commit(struct coordinator *c, struct request *r);
void request_offsets(struct coordinator *c, struct request *r);
void request_group_list(struct coordinator *c, struct request *r);
void request_group_describe(struct coordinator *c, struct request *r);
void request_group_delete(struct coordinator *c, struct request *r);
void request_reset(struct coordinator *c, struct request *r);

/* ---- our own wishes --------------------------------------------------------------- */

void operation_expire_session(struct operation *op);
void operation_expire_release(struct operation *op);
void operation_expire_group(struct operation *op);
