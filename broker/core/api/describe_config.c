/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/api/api.h"

#include <string.h>

enum { VALUE_MAX = 1200 };

static char *keep(struct request *r, const char *text)
{
    return arena_text(&r->arena, text, strlen(text));
}

static bool wanted(const Leat__DescribeConfigRequest *q, const char *key)
{
    for (size_t i = 0; i < q->n_keys; i++)
        if (strcmp(q->keys[i], key) == 0)
            return true;
    return q->n_keys == 0;
}

static bool describe_quantity(struct request *r, const struct quantity *q,
                              Leat__ConfigInfo *out)
{
    char range[VALUE_MAX];

    quantity_range(q, range, sizeof range);
    out->type = (char *)unit_name(q->unit);
    out->range = keep(r, range);
    return out->range != NULL;
}

static bool add_broker_key(const struct node *n, struct request *r, enum config_key key,
                           Leat__ConfigInfo *out)
{
    const struct config_row *row = config_row(key);
    char value[VALUE_MAX];

    config_format(n->o.config, key, value, sizeof value);
    out->key = (char *)row->name;
    out->value = keep(r, value);
    out->default_value = (char *)row->fallback;
    out->origin = (char *)config_origin_name(n->o.config->values[key].origin);
    out->text = (char *)row->text;
    out->dynamic = row->dynamic;
    return out->value != NULL && describe_quantity(r, &row->quantity, out);
}

static bool add_topic_key(const struct node *n, struct request *r,
                          const struct topic *topic, enum topic_key key,
                          Leat__ConfigInfo *out)
{
    const struct topic_key_row *row = topic_key_row(key);
    const struct config *c = n->o.config;
    const bool own = topic != NULL && (topic->config.set >> key & 1);
    char value[VALUE_MAX], fallback[VALUE_MAX];

    topic_config_format(key, c->topic_defaults.value[key], fallback, sizeof fallback);
    topic_config_format(key,
                        own ? topic->config.value[key] : c->topic_defaults.value[key],
                        value, sizeof value);
    out->key = (char *)row->name;
    out->value = keep(r, value);
    out->default_value = keep(r, fallback);
    out->origin =
        own ? (char *)"topic" : (char *)config_origin_name(c->topic_origins[key]);
    out->text = (char *)row->text;
    out->dynamic = true;
    return out->value != NULL && out->default_value != NULL &&
           describe_quantity(r, &row->quantity, out);
}

static bool add_keys(struct node *n, struct request *r, const struct topic *topic,
                     Leat__DescribeConfigResponse *a)
{
    const Leat__DescribeConfigRequest *q = REQUEST_AS(Leat__DescribeConfigRequest, r);
    const bool broker = q->resource == LEAT__DESCRIBE_CONFIG_REQUEST__RESOURCE__BROKER;
    const unsigned count = broker ? (unsigned)CONFIG_COUNT : (unsigned)TOPIC_KEY_COUNT;

    a->entries = ANSWER_ARRAY(Leat__ConfigInfo, leat__config_info, r, count);
    if (a->entries == NULL)
        return false;
    for (unsigned i = 0; i < count; i++) {
        const char *name = broker ? config_row((enum config_key)i)->name
                                  : topic_key_row((enum topic_key)i)->name;
        Leat__ConfigInfo *out = a->entries[a->n_entries];

        if (!wanted(q, name))
            continue;
        if (!(broker ? add_broker_key(n, r, (enum config_key)i, out)
                     : add_topic_key(n, r, topic, (enum topic_key)i, out)))
            return false;
        a->n_entries++;
    }
    return true;
}

/* Asking for a key that does not exist is a mistake worth telling. */
static const char *unknown_key(const Leat__DescribeConfigRequest *q)
{
    const bool broker = q->resource == LEAT__DESCRIBE_CONFIG_REQUEST__RESOURCE__BROKER;
    enum config_key config_key;
    enum topic_key topic_key;

    for (size_t i = 0; i < q->n_keys; i++) {
        struct bytes name = bytes_of(q->keys[i]);

        if (broker ? !config_find(name, &config_key) : !topic_key_find(name, &topic_key))
            return q->keys[i];
    }
    return NULL;
}

void handle_describe_config(struct node *n, struct request *r)
{
    const Leat__DescribeConfigRequest *q = REQUEST_AS(Leat__DescribeConfigRequest, r);
    Leat__DescribeConfigResponse *a =
        ANSWER_NEW(Leat__DescribeConfigResponse, leat__describe_config_response, r);
    struct topic *topic = NULL;

    if (q->resource == LEAT__DESCRIBE_CONFIG_REQUEST__RESOURCE__TOPIC &&
        image_find(&n->image, bytes_of(q->name), (struct bytes){0}, &topic))
        request_refuse(r, STATUS_UNKNOWN_TOPIC_OR_PARTITION, "there is no topic '%.64s'",
                       q->name);
    else if (q->resource > LEAT__DESCRIBE_CONFIG_REQUEST__RESOURCE__TOPIC_OPTIONS)
        request_refuse(r, STATUS_INVALID_REQUEST, "there is no such kind of resource");
    else if (unknown_key(q) != NULL)
        request_refuse(r, STATUS_INVALID_CONFIG, "no setting is called '%.48s'",
                       unknown_key(q));
    else if (a == NULL || !add_keys(n, r, topic, a))
        request_refuse_memory(r);
    else
        request_answer(r, &a->base);
}
