/* SPDX-License-Identifier: Apache-2.0
 *
 * A topic's settings, from one table (topic_config.def): Kafka's names and meanings. A
 * topic holds only what was set on it; everything else follows the broker's defaults,
 * also when these change. */
#pragma once

#include "broker/core/units.h"

enum topic_key {
#define TOPIC_KEY(id, name, type, min, max, fallback, text) TOPIC_KEY_##id,
#include "broker/core/topic_config.def"
#undef TOPIC_KEY
    TOPIC_KEY_COUNT
};

enum timestamp_type { TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME };

/* Every setting is a number: bytes, milliseconds, counts, booleans, or the index of a
 * choice. -1 means "no limit" where the row's range allows it. */
struct topic_config {
    int64_t value[TOPIC_KEY_COUNT];
    uint64_t set; /* bit per key: set on this topic */
};

/* Set from text ("7d", "1GiB", "true", "delete"), or unset with NULL. INVALID_CONFIG with
 * a sentence in `why`: unknown key (with the nearest one), or what the range is. */
STATUS_MUST_CHECK enum status topic_config_set(struct topic_config *c, struct bytes key,
                                               const char *value, char why[static 160]);

/* The value in force: the topic's own, or the broker's default for topics. */
int64_t topic_config_get(const struct topic_config *c,
                         const struct topic_config *defaults, enum topic_key key);
/* The table's own defaults, all of them set. */
struct topic_config topic_config_fallback(void);

struct topic_key_row {
    const char *name;
    const char *text;
    struct quantity quantity; /* type, range, alternatives */
    int64_t fallback;
};

const struct topic_key_row *topic_key_row(enum topic_key key);
/* False if no topic key is called so. */
bool topic_key_find(struct bytes name, enum topic_key *out);
/* As it is shown and as it can be set again. */
void topic_config_format(enum topic_key key, int64_t value, char *out, size_t size);
