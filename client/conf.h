/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration, from one table (conf.def): the parser, the documentation and the names
 * below are all read from its rows. Values are validated when they are set and trusted
 * afterwards. */
#pragma once

#include "client/include/leat/leat.h"
#include "proto/base/status.h"

enum conf_key {
#define CONF(name, key, type, fallback, low, high, choices, text) CONF_##name,
#include "client/conf.def"
#undef CONF
    CONF_COUNT,
};

union conf_value {
    int64_t number; /* numbers; milliseconds; bytes; 0 or 1; the number of the choice */
    char *text;
};

struct leat_conf {
    union conf_value values[CONF_COUNT];
    void (*log)(int level, const char *message, void *arg);
    void *log_arg;
};

int64_t conf_number(const struct leat_conf *conf, enum conf_key key);
const char *conf_text(const struct leat_conf *conf, enum conf_key key);

/* NULL when memory ran out. */
struct leat_conf *conf_copy(const struct leat_conf *conf);

/* The value as text, as it could be set again; false if `out` is too small. */
void conf_format(const struct leat_conf *conf, enum conf_key key, char *out, size_t size);

enum { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void conf_log(const struct leat_conf *conf, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
