/* SPDX-License-Identifier: Apache-2.0
 *
 * A node for tests of the shell: it answers HELLO and METADATA at once, keeps PRODUCE
 * until the test lets it go, and answers FETCH with as many bytes as its max_bytes. */
#pragma once

#include "broker/core/node.h"

struct fake_node {
    TAILQ_HEAD(, request) kept;
    size_t asked, kept_count;
    size_t payload_bytes;  /* of all that were asked */
    struct buf *fetchable; /* what a fetch is answered with */
};

struct node *fake_node_new(void);
void fake_node_free(struct node *n);
struct fake_node *fake_node(struct node *n);
/* Answer one request, or all, that were kept. */
void fake_node_let_go(struct node *n, size_t count);
