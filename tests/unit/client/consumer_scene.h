/* SPDX-License-Identifier: Apache-2.0
 *
 * The scene of the consumer's tests: a scripted broker with a group, and a client. */
#pragma once

#include "client/engine.h"
#include "client/include/leat/leat.h"
#include "proto/record/compress.h"
#include "tests/support/fake_broker.h"
#include "tests/support/fake_groups.h"

#include <check.h>

enum { WAIT_MS = 20000 };

extern struct fake_broker *broker;
extern struct fake_groups *groups;
extern leat_client *client;
extern leat_error error;

void scene_setup(void);
void scene_teardown(void);

/* Settings as keys and values in turn, NULL at the end; to be freed. */
#define CONF(...) ((const char *const[]){__VA_ARGS__, NULL})
leat_conf *conf_of(const char *const *pairs);
leat_consumer *open_with(const char *const *pairs);

void topic_of(const char *name, int32_t partitions);
/* One batch of `count` records "v<offset>", at 1000 ms + offset. */
void append(const char *topic, int32_t partition, int count);
void append_as(const char *topic, int32_t partition, int count, enum codec codec);

void subscribe(leat_consumer *c, const char *topic);
void assign(leat_consumer *c, const char *topic, int32_t partition, int64_t offset);
leat_batch *poll_batch(leat_consumer *c);
int64_t next_offset(leat_consumer *c);
int64_t committed(const char *topic, int32_t partition);

/* Let things happen until `done`, without reading records. */
void dispatch_until(bool (*done)(void *arg), void *arg);
