/* SPDX-License-Identifier: Apache-2.0
 *
 * A node for tests of the shell. It answers at once, fetches with as many bytes as their
 * max_bytes; it keeps PRODUCE and QUORUM_FETCH until the test lets them go, and refuses
 * DELETE_TOPIC and BROKER_HEARTBEAT. */
#pragma once

#include "broker/core/node.h"

struct fake_node {
    TAILQ_HEAD(, request) kept;
    size_t asked, kept_count;
    size_t payload_bytes;  /* of all that were asked */
    int32_t peer;          /* who asked the last one */
    int32_t node_id;       /* what HELLO tells, with a cluster id of {7} */
    struct buf *fetchable; /* what a fetch is answered with */
};

struct node *fake_node_new(void);
void fake_node_free(struct node *n);
struct fake_node *fake_node(struct node *n);
/* Answer one request, or all, that were kept. */
void fake_node_let_go(struct node *n, size_t count);
