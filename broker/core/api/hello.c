/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/api.h"

#include <string.h>

enum { CLIENT_ID_MAX = 256 };

void handle_hello(struct node *n, struct request *r)
{
    const Leat__HelloRequest *q = REQUEST_AS(Leat__HelloRequest, r);
    Leat__HelloResponse *a = ANSWER_NEW(Leat__HelloResponse, leat__hello_response, r);
    size_t count = 0;

    if (strlen(q->client_id) > CLIENT_ID_MAX) {
        request_refuse(r, STATUS_INVALID_REQUEST, "a client_id has at most %d bytes",
                       CLIENT_ID_MAX);
        return;
    }
    while (rpc_api_at(count) != NULL && rpc_api_at(count)->api < RPC_PEER_PROOF)
        count++;
    if (a != NULL)
        a->apis = request_alloc(r, count * sizeof *a->apis);
    if (a == NULL || a->apis == NULL) {
        request_refuse_memory(r);
        return;
    }
    for (; a->n_apis < count; a->n_apis++)
        a->apis[a->n_apis] = rpc_api_at(a->n_apis)->api;
    a->cluster_id = (ProtobufCBinaryData){UUID_BYTES, n->o.cluster_id.id};
    a->node_id = n->o.node_id;
    a->software_version = (char *)LEAT_VERSION;
    a->frame_bytes_max = (uint32_t)config_number(n->o.config, CONFIG_FRAME_BYTES_MAX);
    a->batch_bytes_max =
        (uint32_t)n->o.config->topic_defaults.value[TOPIC_KEY_MAX_MESSAGE_BYTES];
    request_answer(r, &a->base);
}
