/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/paths.h"

#include "proto/base/check.h"
#include "proto/base/uuid.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

STATIC_CHECK(sizeof(struct log_id) == 20);

static const char deleted[] = "-deleted";

static void format_id(char out[static 48], const struct log_id *id)
{
    struct uuid topic;
    char hex[UUID_TEXT];

    memcpy(topic.id, id->topic, sizeof topic.id);
    uuid_format(topic, hex);
    snprintf(out, 48, "%s-%" PRId32, hex, id->partition);
}

void path_log(char out[static PATH_BYTES], const struct log_id *id)
{
    char name[48];

    format_id(name, id);
    snprintf(out, PATH_BYTES, PATH_LOGS "/%s", name);
}

void path_deleted(char out[static PATH_BYTES], const struct log_id *id, uint64_t serial)
{
    char name[48];

    format_id(name, id);
    snprintf(out, PATH_BYTES, PATH_LOGS "/%s.%" PRIu64 "%s", name, serial, deleted);
}

static void segment_path(char out[static PATH_BYTES], const struct log_id *id,
                         int64_t base, const char *suffix)
{
    char name[48];

    format_id(name, id);
    snprintf(out, PATH_BYTES, PATH_LOGS "/%s/%020" PRId64 "%s", name, base, suffix);
}

void path_segment(char out[static PATH_BYTES], const struct log_id *id, int64_t base)
{
    segment_path(out, id, base, ".log");
}

void path_index(char out[static PATH_BYTES], const struct log_id *id, int64_t base)
{
    segment_path(out, id, base, ".index");
}

/* Decimal digits only, the whole text, at most `max`. */
static bool parse_decimal(const char *text, size_t len, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (len == 0 || len > 20)
        return false;
    for (size_t i = 0; i < len; i++) {
        uint64_t digit = (uint64_t)(text[i] - '0');

        if (text[i] < '0' || text[i] > '9' || v > (max - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

bool path_parse_log(const char *name, struct log_id *out)
{
    struct uuid topic;
    uint64_t partition;
    size_t len = strlen(name);

    if (len < UUID_TEXT + 1 || name[UUID_TEXT - 1] != '-' ||
        !uuid_parse(name, UUID_TEXT - 1, &topic) ||
        !parse_decimal(name + UUID_TEXT, len - UUID_TEXT, INT32_MAX, &partition))
        return false;
    memcpy(out->topic, topic.id, sizeof out->topic);
    out->partition = (int32_t)partition;
    return true;
}

bool path_is_deleted(const char *name)
{
    size_t len = strlen(name);

    return len >= sizeof deleted &&
           strcmp(name + len - (sizeof deleted - 1), deleted) == 0;
}

bool path_parse_segment(const char *name, int64_t *base, bool *is_index)
{
    uint64_t v;

    if (strlen(name) < 24 || !parse_decimal(name, 20, INT64_MAX, &v))
        return false;
    *is_index = strcmp(name + 20, ".index") == 0;
    *base = (int64_t)v;
    return *is_index || strcmp(name + 20, ".log") == 0;
}

bool path_parse_number(const char *name, const char *prefix, unsigned *number)
{
    size_t len = strlen(prefix);
    uint64_t v;

    if (strncmp(name, prefix, len) != 0 || name[len] != '-' ||
        !parse_decimal(name + len + 1, strlen(name + len + 1), UINT16_MAX, &v))
        return false;
    *number = (unsigned)v;
    return true;
}

bool log_id_equal(const struct log_id *a, const struct log_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

struct bytes log_id_key(const struct log_id *id)
{
    return (struct bytes){(const uint8_t *)id, sizeof *id};
}
