/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/settings.h"

#include "tools/leat/command.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void settings_init(struct settings *s)
{
    s->count = 0;
}

void settings_release(struct settings *s)
{
    for (size_t n = 0; n < s->count; n++) {
        free((char *)s->list[n].key);
        free((char *)s->list[n].value);
    }
    s->count = 0;
}

static bool add(struct settings *s, const char *key, size_t len, const char *value)
{
    leat_setting *setting = &s->list[s->count];

    if (len == 0 || s->count == sizeof s->list / sizeof s->list[0])
        return false;
    setting->key = strndup(key, len);
    setting->value = value != NULL ? strdup(value) : NULL;
    s->count++;
    return setting->key != NULL && (value == NULL || setting->value != NULL);
}

bool settings_add(struct settings *s, const char *pair)
{
    const char *equals = strchr(pair, '=');

    return equals != NULL && add(s, pair, (size_t)(equals - pair), equals + 1);
}

bool settings_add_unset(struct settings *s, const char *key)
{
    return add(s, key, strlen(key), NULL);
}

void settings_print(const struct output *o, const leat_reply *reply, const char *glob,
                    bool changed)
{
    static const struct column columns[] = {
        {"key", COLUMN_TEXT},    {"value", COLUMN_TEXT}, {"default", COLUMN_TEXT},
        {"origin", COLUMN_TEXT}, {"text", COLUMN_TEXT},
    };
    struct table *t = table_new(o, columns, 5);
    const leat_config_row *row;

    for (size_t at = 0; (row = leat_reply_config(reply, at)) != NULL; at++) {
        if (glob != NULL && fnmatch(glob, row->key, 0) != 0)
            continue;
        if (changed && strcmp(row->origin, "default") == 0)
            continue;
        table_text(t, row->key);
        table_text(t, row->value);
        table_text(t, row->fallback);
        table_text(t, row->origin);
        table_text(t, row->text);
    }
    table_print(t, changed ? "everything is at its default" : "no setting matches");
}

int settings_print_one(const struct output *o, const leat_reply *reply, const char *key)
{
    static const struct column columns[] = {
        {"key", COLUMN_TEXT},     {"value", COLUMN_TEXT}, {"default", COLUMN_TEXT},
        {"origin", COLUMN_TEXT},  {"type", COLUMN_TEXT},  {"range", COLUMN_TEXT},
        {"dynamic", COLUMN_BOOL}, {"text", COLUMN_TEXT},
    };
    const leat_config_row *row;

    for (size_t at = 0; (row = leat_reply_config(reply, at)) != NULL; at++) {
        struct table *t;

        if (strcmp(row->key, key) != 0)
            continue;
        if (o->format == OUTPUT_TEXT) {
            printf("%s = %s\n  %s\n  type %s%s%s, default %s, now from: %s\n  %s\n",
                   row->key, row->value, row->text, row->type, row->range[0] ? ", " : "",
                   row->range, row->fallback[0] ? row->fallback : "empty", row->origin,
                   row->dynamic ? "can change while running"
                                : "a change needs a restart");
            return EXIT_DONE;
        }
        t = table_new(o, columns, 8);
        table_text(t, row->key);
        table_text(t, row->value);
        table_text(t, row->fallback);
        table_text(t, row->origin);
        table_text(t, row->type);
        table_text(t, row->range);
        table_number(t, row->dynamic);
        table_text(t, row->text);
        table_print(t, NULL);
        return EXIT_DONE;
    }
    return fail(o, EXIT_NOT_FOUND, "there is no setting '%s'", key);
}
