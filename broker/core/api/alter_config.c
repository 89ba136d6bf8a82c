/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/api.h"
#include "broker/core/dynamic.h"

#include "proto/base/check.h"

struct setting {
    struct dynamic_change change;
    struct request *request;
    char why[160];
    Leat__AlterConfigResponse answer;
};

static enum status apply(struct dynamic_change *c, struct config *config)
{
    struct setting *s = container_of(c, struct setting, change);
    const Leat__AlterConfigRequest *q = REQUEST_AS(Leat__AlterConfigRequest, s->request);
    enum status st = STATUS_OK;

    for (size_t i = 0; i < q->n_set && !st; i++)
        st = config_set(config, bytes_of(q->set[i]->key), q->set[i]->value,
                        CONFIG_FROM_DYNAMIC, s->why);
    for (size_t i = 0; i < q->n_unset && !st; i++)
        st = config_unset_dynamic(config, bytes_of(q->unset[i]), s->why);
    return st;
}

static void on_done(struct dynamic_change *c, enum status status)
{
    struct setting *s = container_of(c, struct setting, change);

    if (status == STATUS_INVALID_CONFIG)
        request_refuse(s->request, status, "%s", s->why);
    else if (status)
        request_refuse(s->request,
                       status == STATUS_SHUTTING_DOWN ? status : STATUS_STORAGE_FAILED,
                       "the change could not be kept: %s", status_text(status));
    else
        request_answer(s->request, &s->answer.base);
}

/* On a copy, which is thrown away. */
static enum status rehearse(struct node *n, struct setting *s)
{
    struct config copy;
    enum status st;

    config_init(&copy);
    config_copy(&copy, n->o.config);
    st = apply(&s->change, &copy);
    config_release(&copy);
    return st;
}

void handle_alter_config(struct node *n, struct request *r)
{
    struct setting *s = request_alloc(r, sizeof *s);

    if (s == NULL) {
        request_refuse_memory(r);
        return;
    }
    leat__alter_config_response__init(&s->answer);
    s->request = r;
    s->change.apply = apply;
    s->change.done = on_done;
    if (REQUEST_AS(Leat__AlterConfigRequest, r)->validate_only)
        on_done(&s->change, rehearse(n, s));
    else
        dynamic_submit(n->dynamic, &s->change);
}
