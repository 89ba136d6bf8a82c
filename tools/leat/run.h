/* SPDX-License-Identifier: Apache-2.0
 *
 * What the rows of the command table run: one function each, in the file of its noun.
 * They return an enum exit_code and print their own errors. */
#pragma once

#include "leat/leat.h"

struct invocation;
struct output;

/* broker.c: the table of brokers, or of one of them. */
void brokers_print(const struct output *o, const leat_reply *reply, int32_t only);

int run_produce(struct invocation *i);
int run_consume(struct invocation *i);
int run_topic_list(struct invocation *i);
int run_topic_describe(struct invocation *i);
int run_topic_create(struct invocation *i);
int run_topic_set(struct invocation *i);
int run_topic_unset(struct invocation *i);
int run_topic_grow(struct invocation *i);
int run_topic_delete(struct invocation *i);
int run_topic_trim(struct invocation *i);
int run_topic_options(struct invocation *i);
int run_group_list(struct invocation *i);
int run_group_describe(struct invocation *i);
int run_group_lag(struct invocation *i);
int run_group_reset(struct invocation *i);
int run_group_delete(struct invocation *i);
int run_cluster_status(struct invocation *i);
int run_cluster_wait(struct invocation *i);
int run_cluster_quorum(struct invocation *i);
int run_cluster_format(struct invocation *i);
int run_broker_list(struct invocation *i);
int run_broker_describe(struct invocation *i);
int run_broker_drain(struct invocation *i);
int run_broker_undrain(struct invocation *i);
int run_broker_remove(struct invocation *i);
int run_partition_list(struct invocation *i);
int run_partition_move(struct invocation *i);
int run_partition_moves(struct invocation *i);
int run_partition_cancel(struct invocation *i);
int run_partition_elect(struct invocation *i);
int run_config_list(struct invocation *i);
int run_config_get(struct invocation *i);
int run_config_set(struct invocation *i);
int run_config_unset(struct invocation *i);
int run_bench_produce(struct invocation *i);
int run_bench_consume(struct invocation *i);
int run_bench_e2e(struct invocation *i);
int run_log_dump(struct invocation *i);
int run_log_verify(struct invocation *i);
int run_explain_topic(struct invocation *i);
int run_explain_group(struct invocation *i);
int run_profile_create(struct invocation *i);
int run_profile_list(struct invocation *i);
int run_profile_show(struct invocation *i);
int run_profile_use(struct invocation *i);
int run_profile_delete(struct invocation *i);
int run_completion(struct invocation *i);
int run_complete(struct invocation *i);
int run_help(struct invocation *i);
int run_man(struct invocation *i);
int run_version(struct invocation *i);
