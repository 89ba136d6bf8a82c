/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/config.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const disk_ios[] = {"auto", "io_uring", "posix", NULL};
static const char *const log_formats[] = {"auto", "text", "json", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};

static const struct config_row rows[CONFIG_COUNT] = {
#define CONFIG(id, name, type, min, max, fallback, dynamic, text) \
    {name, {UNIT_##type, min, max, choices_of(CONFIG_##id)}, fallback, text, dynamic},
#define choices_of(key)                         \
    ((key) == CONFIG_DISK_IO      ? disk_ios    \
     : (key) == CONFIG_LOG_FORMAT ? log_formats \
     : (key) == CONFIG_LOG_LEVEL  ? log_levels  \
                                  : NULL)
#include "broker/core/config.def"
#undef CONFIG
#undef choices_of
};

static const char *const origin_names[] = {
    [CONFIG_FROM_DEFAULT] = "default",         [CONFIG_FROM_FILE] = "file",
    [CONFIG_FROM_ENVIRONMENT] = "environment", [CONFIG_FROM_FLAG] = "flag",
    [CONFIG_FROM_DYNAMIC] = "dynamic",
};

const struct config_row *config_row(enum config_key key)
{
    return &rows[key];
}

const char *config_origin_name(enum config_origin origin)
{
    return origin_names[origin];
}

bool config_find(struct bytes name, enum config_key *out)
{
    for (unsigned i = 0; i < CONFIG_COUNT; i++) {
        if (bytes_equal(name, bytes_of(rows[i].name))) {
            *out = (enum config_key)i;
            return true;
        }
    }
    return false;
}

static bool is_text(enum config_key key)
{
    return rows[key].quantity.unit == UNIT_TEXT || rows[key].quantity.unit == UNIT_LIST;
}

static enum status parse_value(enum config_key key, const char *text,
                               struct config_value *out, char why[static 160])
{
    char reason[160];
    enum status st;

    if (is_text(key)) {
        out->text = must_text(text);
        return STATUS_OK;
    }
    st = quantity_parse(&rows[key].quantity, text, &out->number, reason);
    if (st)
        snprintf(why, 160, "%s: %.120s", rows[key].name, reason);
    return st;
}

/* Other shards may be reading the number. */
static void put(struct config_value *to, const struct config_value *from)
{
    free(to->text);
    to->text = from->text ? must_text(from->text) : NULL;
    to->origin = from->origin;
    __atomic_store_n(&to->number, from->number, __ATOMIC_RELAXED);
}

void config_init(struct config *c)
{
    char why[160];

    *c = (struct config){.topic_defaults = topic_config_fallback()};
    for (unsigned i = 0; i < CONFIG_COUNT; i++) {
        CHECK(!parse_value((enum config_key)i, rows[i].fallback, &c->base[i], why));
        put(&c->values[i], &c->base[i]);
    }
}

void config_release(struct config *c)
{
    for (unsigned i = 0; i < CONFIG_COUNT; i++) {
        free(c->values[i].text);
        free(c->base[i].text);
    }
    *c = (struct config){0};
}

void config_copy(struct config *to, const struct config *from)
{
    for (unsigned i = 0; i < CONFIG_COUNT; i++) {
        put(&to->values[i], &from->values[i]);
        put(&to->base[i], &from->base[i]);
    }
    to->topic_defaults = from->topic_defaults;
    memcpy(to->topic_origins, from->topic_origins, sizeof to->topic_origins);
}

const char *config_nearest(struct bytes key)
{
    const char *nearest = NULL;
    unsigned best = (unsigned)key.len / 3 + 2;

    for (unsigned i = 0; i < CONFIG_COUNT + TOPIC_KEY_COUNT; i++) {
        const char *name = i < CONFIG_COUNT
                               ? rows[i].name
                               : topic_key_row((enum topic_key)(i - CONFIG_COUNT))->name;
        unsigned distance = edit_distance(key, bytes_of(name));

        if (distance < best) {
            best = distance;
            nearest = name;
        }
    }
    return nearest;
}

static enum status unknown_key(struct bytes key, char why[static 160])
{
    const char *nearest = config_nearest(key);

    snprintf(why, 160, "no setting is called '%.*s'%s%s%s",
             (int)(key.len < 48 ? key.len : 48), (const char *)key.data,
             nearest ? "; did you mean '" : "", nearest ? nearest : "",
             nearest ? "'?" : "");
    return STATUS_INVALID_CONFIG;
}

static enum status not_dynamic(const char *name, char why[static 160])
{
    snprintf(why, 160,
             "%s cannot change while the broker runs: set it in the file and restart",
             name);
    return STATUS_INVALID_CONFIG;
}

/* A topic key among the broker's settings is the default of all topics. */
static enum status set_topic_default(struct config *c, enum topic_key key,
                                     const char *value, enum config_origin origin,
                                     char why[static 160])
{
    struct topic_config changed = c->topic_defaults;
    const char *name = topic_key_row(key)->name;
    enum status st;

    if (origin == CONFIG_FROM_DYNAMIC)
        return not_dynamic(name, why);
    st = topic_config_set(&changed, bytes_of(name), value, why);
    if (st || origin < c->topic_origins[key])
        return st;
    c->topic_defaults = changed;
    c->topic_origins[key] = origin;
    return STATUS_OK;
}

enum status config_set(struct config *c, struct bytes key, const char *value,
                       enum config_origin origin, char why[static 160])
{
    struct config_value parsed = {.origin = origin};
    enum config_key k;
    enum topic_key topic_key;
    enum status st;

    if (topic_key_find(key, &topic_key))
        return set_topic_default(c, topic_key, value, origin, why);
    if (!config_find(key, &k))
        return unknown_key(key, why);
    if (origin == CONFIG_FROM_DYNAMIC && !rows[k].dynamic)
        return not_dynamic(rows[k].name, why);
    st = parse_value(k, value, &parsed, why);
    if (st)
        return st;
    if (origin != CONFIG_FROM_DYNAMIC && origin >= c->base[k].origin)
        put(&c->base[k], &parsed);
    if (origin >= c->values[k].origin)
        put(&c->values[k], &parsed);
    free(parsed.text);
    return STATUS_OK;
}

enum status config_unset_dynamic(struct config *c, struct bytes key, char why[static 160])
{
    enum config_key k;
    enum topic_key topic_key;

    if (topic_key_find(key, &topic_key))
        return not_dynamic(topic_key_row(topic_key)->name, why);
    if (!config_find(key, &k))
        return unknown_key(key, why);
    if (!rows[k].dynamic)
        return not_dynamic(rows[k].name, why);
    put(&c->values[k], &c->base[k]);
    return STATUS_OK;
}

static struct bytes trim(struct bytes b)
{
    while (b.len > 0 && isspace(b.data[0])) {
        b.data++;
        b.len--;
    }
    while (b.len > 0 && isspace(b.data[b.len - 1]))
        b.len--;
    return b;
}

static enum status parse_line(struct config *c, struct bytes line,
                              enum config_origin origin, char why[static 160])
{
    const uint8_t *equals;
    struct bytes key, value;
    char *text;
    enum status st;

    line = trim(line);
    if (line.len == 0 || line.data[0] == '#')
        return STATUS_OK;
    equals = memchr(line.data, '=', line.len);
    if (equals == NULL || memchr(line.data, '\0', line.len) != NULL) {
        snprintf(why, 160, "not of the form 'key = value'");
        return STATUS_INVALID_CONFIG;
    }
    key = trim((struct bytes){line.data, (size_t)(equals - line.data)});
    value = trim((struct bytes){equals + 1, line.len - (size_t)(equals + 1 - line.data)});
    text = must_zalloc(value.len + 1);
    if (value.len > 0)
        memcpy(text, value.data, value.len);
    st = config_set(c, key, text, origin, why);
    free(text);
    return st;
}

enum status config_parse(struct config *c, struct bytes text, enum config_origin origin,
                         char why[static 160])
{
    for (unsigned number = 1; text.len > 0; number++) {
        const uint8_t *newline = memchr(text.data, '\n', text.len);
        size_t len = newline ? (size_t)(newline - text.data) : text.len;
        char reason[160];
        enum status st = parse_line(c, (struct bytes){text.data, len}, origin, reason);

        if (st) {
            snprintf(why, 160, "line %u: %.140s", number, reason);
            return st;
        }
        len += newline != NULL;
        text = (struct bytes){text.data + len, text.len - len};
    }
    return STATUS_OK;
}

int64_t config_number(const struct config *c, enum config_key key)
{
    return __atomic_load_n(&c->values[key].number, __ATOMIC_RELAXED);
}

const char *config_text(const struct config *c, enum config_key key)
{
    CHECK(is_text(key));
    return c->values[key].text;
}

void config_format(const struct config *c, enum config_key key, char *out, size_t size)
{
    if (is_text(key))
        snprintf(out, size, "%s", c->values[key].text);
    else
        quantity_format(&rows[key].quantity, config_number(c, key), out, size);
}

void config_environment_name(enum config_key key, char *out, size_t size)
{
    size_t len = (size_t)snprintf(out, size, "LEAT_%s", rows[key].name);

    CHECK(len < size);
    for (char *p = out; *p != '\0'; p++)
        *p = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
}
