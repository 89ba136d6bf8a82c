/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/options.h"

#include "proto/base/memory.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 1024 * 1024 };

/* Flags that are no settings. */
struct flag {
    const char *name;
    const char *argument; /* NULL: takes none */
    const char *text;
};

enum flag_id {
    FLAG_CONFIG,
    FLAG_HTTP,
    FLAG_SET,
    FLAG_DEV,
    FLAG_READY_FD,
    FLAG_CHECK,
    FLAG_PRINT_CONFIG,
    FLAG_VERSION,
    FLAG_HELP,
    FLAG_COUNT,
};

static const struct flag flags[FLAG_COUNT] = {
    [FLAG_CONFIG] = {"config", "FILE", "read settings from FILE (key = value lines)"},
    [FLAG_HTTP] = {"http", "HOST:PORT", "short for --http.listen"},
    [FLAG_SET] = {"set", "KEY=VALUE", "the same as --KEY VALUE"},
    [FLAG_DEV] = {"dev", NULL, "run on a temporary directory, removed at exit"},
    [FLAG_READY_FD] = {"ready-fd", "N", "write a line to descriptor N once accepting"},
    [FLAG_CHECK] = {"check", NULL, "check the configuration and exit"},
    [FLAG_PRINT_CONFIG] = {"print-config", NULL,
                           "print the configuration in force and exit"},
    [FLAG_VERSION] = {"version", NULL, "print the version and exit"},
    [FLAG_HELP] = {"help", NULL, "print this and exit"},
};

/* Variables of the command-line tool and the library, which share our prefix. */
static const char *const foreign_variables[] = {
    "LEAT_BROKERS", "LEAT_PROFILE", "LEAT_CONFIG", "LEAT_OUTPUT",
    "LEAT_PAGER",   "LEAT_LOG",     "LEAT_COLOR",  "LEAT_FUZZ_SECONDS",
};

struct parse {
    struct options *o;
    char **arg; /* the next one */
    char *why;  /* 320 bytes */
};

static enum status set(struct parse *p, const char *key, size_t key_len,
                       const char *value, enum config_origin origin)
{
    const struct bytes name = {(const uint8_t *)key, key_len};
    char reason[160];
    enum status st = config_set(&p->o->config, name, value, origin, reason);

    if (st)
        snprintf(p->why, 320, "%s", reason);
    return st;
}

/* ---- environment ---------------------------------------------------------------------
 */

/* LEAT_RETENTION_MS for "retention.ms". */
static bool is_called(const char *variable, size_t len, const char *key)
{
    if (strlen(key) + 5 != len)
        return false;
    for (size_t i = 5; i < len; i++) {
        char want = key[i - 5] == '.' ? '_' : (char)toupper((unsigned char)key[i - 5]);

        if (variable[i] != want)
            return false;
    }
    return true;
}

static const char *key_of_variable(const char *variable, size_t len)
{
    for (unsigned i = 0; i < CONFIG_COUNT; i++)
        if (is_called(variable, len, config_row((enum config_key)i)->name))
            return config_row((enum config_key)i)->name;
    for (unsigned i = 0; i < TOPIC_KEY_COUNT; i++)
        if (is_called(variable, len, topic_key_row((enum topic_key)i)->name))
            return topic_key_row((enum topic_key)i)->name;
    return NULL;
}

static bool is_foreign(const char *variable, size_t len)
{
    for (size_t i = 0; i < sizeof foreign_variables / sizeof foreign_variables[0]; i++)
        if (strlen(foreign_variables[i]) == len &&
            !memcmp(foreign_variables[i], variable, len))
            return true;
    return len >= 10 && !memcmp(variable, "LEAT_TEST_", 10);
}

static enum status read_environment(struct parse *p, char **environment)
{
    for (char **e = environment; *e != NULL; e++) {
        const char *equals = strchr(*e, '=');
        size_t len = equals ? (size_t)(equals - *e) : 0;
        const char *key;

        if (len < 6 || memcmp(*e, "LEAT_", 5) != 0 || is_foreign(*e, len))
            continue;
        key = key_of_variable(*e, len);
        if (key == NULL) {
            snprintf(p->why, 320, "environment: %.*s is no setting of leatd",
                     (int)(len < 80 ? len : 80), *e);
            return STATUS_INVALID_CONFIG;
        }
        if (set(p, key, strlen(key), equals + 1, CONFIG_FROM_ENVIRONMENT)) {
            char reason[160];

            snprintf(reason, sizeof reason, "%.150s", p->why);
            snprintf(p->why, 320, "environment: %.*s: %s", (int)(len < 80 ? len : 80), *e,
                     reason);
            return STATUS_INVALID_CONFIG;
        }
    }
    return STATUS_OK;
}

/* ---- file ----------------------------------------------------------------------------
 */

static enum status read_file(struct parse *p)
{
    const char *path = p->o->file;
    FILE *f;
    char *text, reason[160];
    size_t len;
    enum status st = STATUS_INVALID_CONFIG;

    if (path == NULL)
        return STATUS_OK;
    f = fopen(path, "re");
    if (f == NULL) {
        snprintf(p->why, 320, "cannot read %.200s: %s", path, strerror(errno));
        return STATUS_INVALID_CONFIG;
    }
    text = must_alloc(FILE_MAX + 1);
    len = fread(text, 1, FILE_MAX + 1, f);
    if (ferror(f))
        snprintf(p->why, 320, "cannot read %.200s: %s", path, strerror(errno));
    else if (len > FILE_MAX)
        snprintf(p->why, 320, "%.200s is larger than 1 MiB", path);
    else
        st = config_parse(&p->o->config, (struct bytes){(uint8_t *)text, len},
                          CONFIG_FROM_FILE, reason);
    if (st && len <= FILE_MAX && !ferror(f))
        snprintf(p->why, 320, "%.140s, %s", path, reason);
    free(text);
    fclose(f);
    return st;
}

/* ---- command line --------------------------------------------------------------------
 */

static bool find_flag(const char *name, size_t len, enum flag_id *out)
{
    for (unsigned i = 0; i < FLAG_COUNT; i++) {
        if (strlen(flags[i].name) == len && !memcmp(flags[i].name, name, len)) {
            *out = (enum flag_id)i;
            return true;
        }
    }
    return false;
}

/* The nearest flag or setting, for whoever mistyped one. */
static const char *nearest(const char *name, size_t len)
{
    const struct bytes typed = {(const uint8_t *)name, len};
    const char *best = config_nearest(typed);
    unsigned least = best ? edit_distance(typed, bytes_of(best)) : (unsigned)len / 3 + 2;

    for (unsigned i = 0; i < FLAG_COUNT; i++) {
        unsigned distance = edit_distance(typed, bytes_of(flags[i].name));

        if (distance < least) {
            least = distance;
            best = flags[i].name;
        }
    }
    return best;
}

static enum status unknown_flag(struct parse *p, const char *name, size_t len)
{
    const char *near = nearest(name, len);

    snprintf(p->why, 320, "there is no flag --%.*s%s%s%s", (int)(len < 64 ? len : 64),
             name, near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
    return STATUS_INVALID_CONFIG;
}

static enum status set_pair(struct parse *p, const char *pair)
{
    const char *equals = strchr(pair, '=');

    if (equals == NULL) {
        snprintf(p->why, 320, "--set wants KEY=VALUE, not '%.100s'", pair);
        return STATUS_INVALID_CONFIG;
    }
    return set(p, pair, (size_t)(equals - pair), equals + 1, CONFIG_FROM_FLAG);
}

static enum status set_ready_fd(struct parse *p, const char *value)
{
    char *end;
    long fd = strtol(value, &end, 10);

    if (*value == '\0' || *end != '\0' || fd < 0 || fd > 1 << 20) {
        snprintf(p->why, 320, "--ready-fd wants the number of an open descriptor");
        return STATUS_INVALID_CONFIG;
    }
    p->o->ready_fd = (int)fd;
    return STATUS_OK;
}

static enum status apply_flag(struct parse *p, enum flag_id id, const char *value)
{
    struct options *o = p->o;

    switch (id) {
    case FLAG_CONFIG: o->file = value; return STATUS_OK;
    case FLAG_HTTP: return set(p, "http.listen", 11, value, CONFIG_FROM_FLAG);
    case FLAG_SET: return set_pair(p, value);
    case FLAG_DEV: o->dev = true; return STATUS_OK;
    case FLAG_READY_FD: return set_ready_fd(p, value);
    case FLAG_CHECK: o->task = OPTIONS_CHECK; return STATUS_OK;
    case FLAG_PRINT_CONFIG: o->task = OPTIONS_PRINT_CONFIG; return STATUS_OK;
    case FLAG_VERSION: o->task = OPTIONS_VERSION; return STATUS_OK;
    case FLAG_HELP: o->task = OPTIONS_HELP; return STATUS_OK;
    case FLAG_COUNT: break;
    }
    return STATUS_INVALID_CONFIG;
}

static bool is_setting(const char *name, size_t len)
{
    const struct bytes b = {(const uint8_t *)name, len};
    enum config_key key;
    enum topic_key topic_key;

    return config_find(b, &key) || topic_key_find(b, &topic_key);
}

static enum status read_one(struct parse *p)
{
    const char *arg = *p->arg++;
    const char *name = arg + 2, *value;
    enum flag_id id = FLAG_COUNT;
    size_t len;
    bool setting;

    if (!strcmp(arg, "-h"))
        return apply_flag(p, FLAG_HELP, NULL);
    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0') {
        snprintf(p->why, 320, "'%.100s' is no flag; settings are given as --KEY VALUE",
                 arg);
        return STATUS_INVALID_CONFIG;
    }
    len = strcspn(name, "=");
    setting = !find_flag(name, len, &id) && is_setting(name, len);
    if (!setting && id == FLAG_COUNT)
        return unknown_flag(p, name, len);
    if (!setting && flags[id].argument == NULL) {
        if (name[len] == '\0')
            return apply_flag(p, id, NULL);
        snprintf(p->why, 320, "--%s takes no value", flags[id].name);
        return STATUS_INVALID_CONFIG;
    }
    if (name[len] == '\0' && *p->arg == NULL) {
        snprintf(p->why, 320, "--%s needs a value", name);
        return STATUS_INVALID_CONFIG;
    }
    value = name[len] == '=' ? name + len + 1 : *p->arg++;
    return setting ? set(p, name, len, value, CONFIG_FROM_FLAG)
                   : apply_flag(p, id, value);
}

enum status options_read(struct options *o, int argc, char **argv, char **environment,
                         char why[static 320])
{
    struct parse p = {.o = o, .arg = argv + (argc > 0), .why = why};
    enum status st = STATUS_OK;

    *o = (struct options){.ready_fd = -1};
    config_init(&o->config);
    while (!st && *p.arg != NULL)
        st = read_one(&p);
    if (!st && (o->task == OPTIONS_HELP || o->task == OPTIONS_VERSION))
        return STATUS_OK;
    if (!st)
        st = read_environment(&p, environment);
    if (!st)
        st = read_file(&p);
    if (st)
        config_release(&o->config);
    return st;
}

void options_release(struct options *o)
{
    config_release(&o->config);
}

/* ---- printing ------------------------------------------------------------------------
 */

void options_print_help(FILE *out)
{
    fputs("leatd " LEAT_VERSION ": the Leat broker\n\n"
          "  leatd --data DIR [--listen HOST:PORT] [--config FILE] [--KEY VALUE]...\n"
          "  leatd --dev\n\nFlags:\n",
          out);
    for (unsigned i = 0; i < FLAG_COUNT; i++)
        fprintf(out, "  --%-14s %-11s %s\n", flags[i].name,
                flags[i].argument ? flags[i].argument : "", flags[i].text);
    fputs(
        "\nSettings, as flags, as lines of the file, or as LEAT_... in the environment\n"
        "(a flag beats the environment, which beats the file):\n",
        out);
    for (unsigned i = 0; i < CONFIG_COUNT; i++) {
        const struct config_row *row = config_row((enum config_key)i);

        fprintf(out, "  --%-30s %s%s%s%s\n", row->name, row->text,
                row->fallback[0] ? " [" : "", row->fallback, row->fallback[0] ? "]" : "");
    }
    fputs("\nA topic's setting given here (--retention.ms 7d) is the default of all "
          "topics.\n",
          out);
}

void options_print_config(const struct config *c, FILE *out)
{
    char value[512];

    for (unsigned origin = CONFIG_FROM_DYNAMIC + 1; origin-- > 0;) {
        bool first = true;

        for (unsigned i = 0; i < CONFIG_COUNT + TOPIC_KEY_COUNT; i++) {
            bool topic = i >= CONFIG_COUNT;
            enum config_key key = (enum config_key)(topic ? 0 : i);
            enum topic_key topic_key = (enum topic_key)(topic ? i - CONFIG_COUNT : 0);
            enum config_origin from =
                topic ? c->topic_origins[topic_key] : c->values[key].origin;

            if (from != origin)
                continue;
            if (topic)
                topic_config_format(topic_key, c->topic_defaults.value[topic_key], value,
                                    sizeof value);
            else
                config_format(c, key, value, sizeof value);
            if (first)
                fprintf(out, "# %s\n", config_origin_name((enum config_origin)origin));
            first = false;
            fprintf(out, "%s = %s\n",
                    topic ? topic_key_row(topic_key)->name : config_row(key)->name,
                    value);
        }
    }
}
