/* SPDX-License-Identifier: Apache-2.0
 *
 * The client: an engine, what is known of the cluster, and who hangs on them. */
#pragma once

#include "client/call.h"
#include "client/error.h"

/* A producer or consumer, as the client sees it: something to close. `close` is called
 * without the lock and must detach and free it by the deadline. */
struct attachment {
    TAILQ_ENTRY(attachment) link;
    void (*close)(struct attachment *a, int timeout_ms);
};

struct leat_client {
    struct engine engine;
    struct cluster cluster;
    struct leat_conf *conf;
    TAILQ_HEAD(, attachment) attachments;
    struct prng random; /* with the lock held */
};

/* Both with the lock held. */
void client_attach(struct leat_client *client, struct attachment *a);
void client_detach(struct leat_client *client, struct attachment *a);

/* LEAT_OK, or LEAT_E_FORKED with `error` filled. */
int client_check(const struct leat_client *client, leat_error *error);
