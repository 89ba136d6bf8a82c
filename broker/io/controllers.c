/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/controllers.h"

#include "proto/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOTERS_MAX = 31 };

static enum status bad(char why[static 256], const char *one, const char *what)
{
    snprintf(why, 256, "controllers: '%.100s' %.100s", one, what);
    return STATUS_INVALID_CONFIG;
}

static enum status parse_one(const char *text, struct voter *out, char why[static 256])
{
    char *end;
    long id = strtol(text, &end, 10);
    struct address address;

    if (end == text || *end != '@' || id < 1 || id > INT32_MAX)
        return bad(why, text, "is not of the form ID@HOST:PORT");
    if (address_parse(end + 1, &address) || address.host[0] == '\0' || address.port == 0)
        return bad(why, text, "names no host and port after the '@'");
    *out = (struct voter){.node_id = (int32_t)id, .at = {.port = address.port}};
    snprintf(out->at.host, sizeof out->at.host, "%s", address.host);
    return STATUS_OK;
}

static enum status compare(const struct voter *a, const struct voter *b, const char *text,
                           char why[static 256])
{
    if (a->node_id == b->node_id)
        return bad(why, text, "has the id of another one");
    if (a->at.port == b->at.port && !strcmp(a->at.host, b->at.host))
        return bad(why, text, "has the host and port of another one");
    return STATUS_OK;
}

static enum status add(const char *text, struct voter *list, size_t *count,
                       char why[static 256])
{
    enum status st;

    if (*count == VOTERS_MAX)
        return bad(why, text, "is one too many: there may be 31");
    st = parse_one(text, &list[*count], why);
    for (size_t i = 0; !st && i < *count; i++)
        st = compare(&list[i], &list[*count], text, why);
    *count += !st;
    return st;
}

enum status controllers_parse(const char *text, struct voter **out, size_t *count,
                              char why[static 256])
{
    struct voter *list = must_zalloc(VOTERS_MAX * sizeof *list);
    char *copy = must_text(text), *rest = copy, *one;
    enum status st = STATUS_OK;

    *count = 0;
    while (!st && (one = strtok_r(rest, ", \t", &rest)) != NULL)
        st = add(one, list, count, why);
    free(copy);
    if (st)
        free(list);
    else
        *out = list;
    return st;
}

enum status controllers_check(const struct voter *list, size_t count, int32_t self,
                              const struct address *listen,
                              const struct address *advertised, char why[static 256])
{
    for (size_t i = 0; i < count; i++) {
        const struct endpoint *at = &list[i].at;

        if (list[i].node_id != self || at->port == listen->port ||
            at->port == advertised->port)
            continue;
        snprintf(why, 256,
                 "controllers: node %d is this broker (node.id), but listens on port %u, "
                 "not on %u as the list says",
                 self, listen->port, at->port);
        return STATUS_INVALID_CONFIG;
    }
    return STATUS_OK;
}

bool controllers_are_others(const struct voter *list, size_t count, int32_t self)
{
    return count > 1 || (count == 1 && list[0].node_id != self);
}
