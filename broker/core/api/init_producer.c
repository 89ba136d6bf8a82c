/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/api.h"
#include "broker/core/node_producers.h"

void handle_init_producer(struct node *n, struct request *r)
{
    producer_ids_request(n->producer_ids, r);
}
