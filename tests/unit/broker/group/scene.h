/* SPDX-License-Identifier: Apache-2.0
 *
 * A coordinator by itself, for tests that tell stories: topics exist because the test
 * says so, what was proposed becomes durable when the test says so, partitions hold what
 * the test says, and the log outlives a crash up to where it was durable. Answers come as
 * text: a status' name, or what matters of the message. */
#pragma once

#include "broker/core/config.h"
#include "broker/core/group/coordinator.h"
#include "broker/core/metrics.h"
#include "broker/core/offsets.h"

enum { SCENE_CALLS = 256, SCENE_TEXT = 1024 };

/* One request and, later, its answer. */
struct call {
    struct request r;
    bool answered;
    char text[SCENE_TEXT];
};

/* The group log: each entry one proposal. Outlives the coordinator. */
struct scene_log {
    struct writer *entries;
    size_t count, durable;
    int32_t epochs; /* given out so far */
};

struct scene {
    struct image image;
    struct config config;
    struct metrics metrics;
    struct scene_log log;
    struct coordinator *c;
    struct instant now;
    struct call *calls[SCENE_CALLS];
    size_t call_count;
    struct offset_query *asked; /* waits for scene_answer_query */
    int64_t log_start, high_watermark, by_time;
};

void scene_open(struct scene *s);
void scene_close(struct scene *s);
/* The process dies and comes back: what was not durable never was. */
void scene_crash(struct scene *s);

void scene_topic(struct scene *s, const char *name, int32_t partitions);
void scene_remove_topic(struct scene *s, const char *name);

/* Everything proposed becomes durable, and what follows from it, until nothing waits. */
void scene_durable(struct scene *s);
/* The oldest proposal alone becomes durable, if there is one. */
void scene_durable_one(struct scene *s);
/* Time passes, a tick, and everything becomes durable. */
void scene_pass_ms(struct scene *s, int64_t ms);
/* The partitions answer the question that a reset asked. */
void scene_answer_query(struct scene *s);

/* Send a request. The header is packed and unpacked, as on its way from a client. */
struct call *scene_send(struct scene *s, uint16_t api, const void *header);

/* An honest member of a group, subscribed to one topic: it works on what it was told, and
 * says so. */
struct worker {
    const char *name; /* its client id; set by the test */
    const char *group;
    const char *topic;
    char id[80];
    int32_t epoch;
    int32_t owned[32];
    size_t owned_count;
};

/* Send, and hear the answer when it has come: for tests that do other things meanwhile.
 */
struct call *scene_send_join(struct scene *s, struct worker *w, const char *group,
                             const char *topic);
struct call *scene_send_beat(struct scene *s, struct worker *w);
void scene_hear(struct worker *w, const struct call *call);

const char *scene_join(struct scene *s, struct worker *m, const char *group,
                       const char *topic);
/* "orders 0 1" or a status' name. */
const char *scene_beat(struct scene *s, struct worker *m);
const char *scene_leave(struct scene *s, const struct worker *m);

/* One partition; the answer is the row's status, or the request's. NULL: from outside.
 * The first form does not wait until it is durable. */
struct call *scene_send_commit(struct scene *s, const struct worker *m, const char *group,
                               const char *topic, int32_t partition, int64_t offset);
const char *scene_commit(struct scene *s, const struct worker *m, const char *group,
                         const char *topic, int32_t partition, int64_t offset);
/* "orders/0=5 orders/1=7": everything that is committed. */
const char *scene_committed(struct scene *s, const char *group);
/* "stable sticky: m1 [orders 0] -> [orders 0]; ..." with the members' client ids. */
const char *scene_describe(struct scene *s, const char *group);
const char *scene_delete(struct scene *s, const char *group);
