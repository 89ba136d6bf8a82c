/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/topic_config.h"

#include "proto/base/check.h"

#include <stdio.h>

static const char *const cleanup_policies[] = {"delete", NULL};
static const char *const timestamp_types[] = {"CreateTime", "LogAppendTime", NULL};
static const char *const compression_types[] = {"producer", NULL};

static const struct topic_key_row rows[TOPIC_KEY_COUNT] = {
#define TOPIC_KEY(id, name, type, min, max, fallback, text) \
    {name, text, {UNIT_##type, min, max, choices_of(TOPIC_KEY_##id)}, fallback},
#define choices_of(key)                                              \
    ((key) == TOPIC_KEY_CLEANUP_POLICY           ? cleanup_policies  \
     : (key) == TOPIC_KEY_MESSAGE_TIMESTAMP_TYPE ? timestamp_types   \
     : (key) == TOPIC_KEY_COMPRESSION_TYPE       ? compression_types \
                                                 : NULL)
#include "broker/core/topic_config.def"
#undef TOPIC_KEY
#undef choices_of
};

STATIC_CHECK(TOPIC_KEY_COUNT <= 64); /* topic_config.set has a bit for each */

const struct topic_key_row *topic_key_row(enum topic_key key)
{
    return &rows[key];
}

bool topic_key_find(struct bytes name, enum topic_key *out)
{
    for (unsigned i = 0; i < TOPIC_KEY_COUNT; i++) {
        if (bytes_equal(name, bytes_of(rows[i].name))) {
            *out = (enum topic_key)i;
            return true;
        }
    }
    return false;
}

static enum status unknown_key(struct bytes key, char why[static 160])
{
    const char *nearest = NULL;
    unsigned best = (unsigned)key.len / 3 + 2;

    for (unsigned i = 0; i < TOPIC_KEY_COUNT; i++) {
        unsigned distance = edit_distance(key, bytes_of(rows[i].name));

        if (distance < best) {
            best = distance;
            nearest = rows[i].name;
        }
    }
    snprintf(why, 160, "no topic setting is called '%.*s'%s%s%s",
             (int)(key.len < 48 ? key.len : 48), (const char *)key.data,
             nearest ? "; did you mean '" : "", nearest ? nearest : "",
             nearest ? "'?" : "");
    return STATUS_INVALID_CONFIG;
}

enum status topic_config_set(struct topic_config *c, struct bytes key, const char *value,
                             char why[static 160])
{
    enum topic_key k;
    char reason[160];
    enum status st;

    if (!topic_key_find(key, &k))
        return unknown_key(key, why);
    if (value == NULL) {
        c->set &= ~(UINT64_C(1) << k);
        return STATUS_OK;
    }
    st = quantity_parse(&rows[k].quantity, value, &c->value[k], reason);
    if (st) {
        snprintf(why, 160, "%s: %.130s", rows[k].name, reason);
        return st;
    }
    c->set |= UINT64_C(1) << k;
    return STATUS_OK;
}

int64_t topic_config_get(const struct topic_config *c,
                         const struct topic_config *defaults, enum topic_key key)
{
    return c->set >> key & 1 ? c->value[key] : defaults->value[key];
}

struct topic_config topic_config_fallback(void)
{
    struct topic_config c;

    for (unsigned i = 0; i < TOPIC_KEY_COUNT; i++)
        c.value[i] = rows[i].fallback;
    c.set = (UINT64_C(1) << TOPIC_KEY_COUNT) - 1;
    return c;
}

void topic_config_format(enum topic_key key, int64_t value, char *out, size_t size)
{
    quantity_format(&rows[key].quantity, value, out, size);
}
