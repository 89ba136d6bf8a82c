/* SPDX-License-Identifier: Apache-2.0 */
#include "client/admin.h"

static enum status take_config(struct admin *a, const ProtobufCMessage *message)
{
    const Leat__DescribeConfigResponse *m = (const void *)message;
    struct leat_reply *r = a->reply;

    if (!reply_reserve(r, m->n_entries))
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < m->n_entries; i++) {
        const Leat__ConfigInfo *c = m->entries[i];
        leat_config_row *row = reply_row(r);

        row->key = reply_text(r, c->key);
        row->value = reply_text(r, c->value);
        row->fallback = reply_text(r, c->default_value);
        row->origin = reply_text(r, c->origin);
        row->type = reply_text(r, c->type);
        row->range = reply_text(r, c->range);
        row->text = reply_text(r, c->text);
        row->dynamic = c->dynamic;
        if (row->key == NULL || row->value == NULL || row->fallback == NULL ||
            row->origin == NULL || row->type == NULL || row->range == NULL ||
            row->text == NULL)
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

int leat_config_describe(leat_client *client, enum leat_resource resource,
                         const char *name, leat_reply **reply, int timeout_ms,
                         leat_error *error)
{
    static const Leat__DescribeConfigRequest__Resource resources[] = {
        [LEAT_BROKER] = LEAT__DESCRIBE_CONFIG_REQUEST__RESOURCE__BROKER,
        [LEAT_TOPIC] = LEAT__DESCRIBE_CONFIG_REQUEST__RESOURCE__TOPIC,
        [LEAT_TOPIC_OPTIONS] = LEAT__DESCRIBE_CONFIG_REQUEST__RESOURCE__TOPIC_OPTIONS,
    };
    Leat__DescribeConfigRequest m = LEAT__DESCRIBE_CONFIG_REQUEST__INIT;
    struct admin a;
    int code = admin_begin(&a, client, error);

    if (!code && ((unsigned)resource > LEAT_TOPIC_OPTIONS ||
                  (resource == LEAT_TOPIC && name == NULL)))
        code = error_set(error, LEAT_E_INVALID_ARGUMENT, NULL, "describe config");
    if (!code) {
        a.out_of_memory = (a.reply = reply_new(REPLY_CONFIG)) == NULL;
        a.call.repeat = true;
        m.resource = resources[resource];
        if (resource == LEAT_TOPIC)
            m.name = (char *)name;
        code = admin_ask(&a, RPC_DESCRIBE_CONFIG, &m.base, take_config, timeout_ms, error,
                         "describe config");
    }
    if (!code)
        *reply = a.reply;
    return admin_end(&a, code);
}

int leat_config_alter(leat_client *client, const leat_setting *settings, size_t count,
                      bool validate_only, int timeout_ms, leat_error *error)
{
    Leat__AlterConfigRequest m = LEAT__ALTER_CONFIG_REQUEST__INIT;
    struct admin_settings s;
    struct admin a;
    int code = admin_begin(&a, client, error);

    if (!code && !admin_settings(&a, settings, count, &s))
        code =
            error_set(error, LEAT_E_INVALID_ARGUMENT, "a key is missing", "alter config");
    if (!code) {
        m.set = s.set;
        m.n_set = s.set_count;
        m.unset = s.unset;
        m.n_unset = s.unset_count;
        m.validate_only = validate_only;
        a.call.repeat = true;
        code = admin_ask(&a, RPC_ALTER_CONFIG, &m.base, NULL, timeout_ms, error,
                         "alter config");
    }
    return admin_end(&a, code);
}
