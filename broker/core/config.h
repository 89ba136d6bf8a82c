/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's settings, from one table (config.def: name, type, unit, range, default,
 * dynamic?, sentence): the parser of the file, of the environment and of the flags, the
 * describe-config request, --print-config, the reference page and the example file are
 * all read from that table. Precedence: flag, environment (LEAT_ + upper case, '.' as
 * '_'), file, default; what was altered while running beats all of them and is kept in
 * the data directory. Parsing is pure: reading files and the environment is the shell's
 * business. */
#pragma once

#include "broker/core/topic_config.h"

enum config_key {
#define CONFIG(id, name, type, min, max, fallback, dynamic, text) CONFIG_##id,
#include "broker/core/config.def"
#undef CONFIG
    CONFIG_COUNT
};

/* What the choices mean. */
enum disk_io { DISK_IO_AUTO, DISK_IO_URING, DISK_IO_POSIX };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

enum config_origin {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_FLAG,
    CONFIG_FROM_DYNAMIC,
};

struct config_value {
    int64_t number; /* bytes, milliseconds, counts, booleans, index of a choice */
    char *text;     /* strings and lists */
    enum config_origin origin;
};

/* Every shard reads it; numbers of dynamic keys may change under the reader (shard 0
 * alone writes them), texts never do. */
struct config {
    struct config_value values[CONFIG_COUNT]; /* in force */
    struct config_value base[CONFIG_COUNT];   /* without dynamic changes */
    /* What unset topic keys follow: a topic key in the broker's file sets it. */
    struct topic_config topic_defaults;
    enum config_origin topic_origins[TOPIC_KEY_COUNT];
};

void config_init(struct config *c); /* all defaults */
void config_release(struct config *c);
void config_copy(struct config *to, const struct config *from); /* both initialised */

/* INVALID_CONFIG with a sentence in `why`: unknown key (with the nearest one), a value
 * that does not parse, the range it must be in. A lower origin never replaces a higher
 * one. */
STATUS_MUST_CHECK enum status config_set(struct config *c, struct bytes key,
                                         const char *value, enum config_origin origin,
                                         char why[static 160]);
/* Back to what it was without the dynamic change. INVALID_CONFIG if the key is unknown or
 * not dynamic. */
STATUS_MUST_CHECK enum status config_unset_dynamic(struct config *c, struct bytes key,
                                                   char why[static 160]);
/* Parse a whole file of `key = value` lines ('#' begins a comment line): stops at the
 * first error and names its line in `why`. */
STATUS_MUST_CHECK enum status config_parse(struct config *c, struct bytes text,
                                           enum config_origin origin,
                                           char why[static 160]);

int64_t config_number(const struct config *c, enum config_key key);
const char *config_text(const struct config *c, enum config_key key);

struct config_row {
    const char *name;
    struct quantity quantity; /* type, range, alternatives */
    const char *fallback;     /* as a user would write it */
    const char *text;
    bool dynamic;
};

const struct config_row *config_row(enum config_key key);
void config_format(const struct config *c, enum config_key key, char *out, size_t size);
const char *config_origin_name(enum config_origin origin);
/* LEAT_LISTEN for "listen": what the environment calls a key. */
void config_environment_name(enum config_key key, char *out, size_t size);
bool config_find(struct bytes name, enum config_key *out);
/* The nearest key to a mistyped one, topic keys included; NULL if none is near. */
const char *config_nearest(struct bytes key);
