/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/lag.h"

#include <stdlib.h>
#include <string.h>

static struct lag_row *find(struct lag *lag, const char *topic, int32_t partition)
{
    for (size_t n = 0; n < lag->count; n++)
        if (lag->rows[n].partition == partition && strcmp(lag->rows[n].topic, topic) == 0)
            return &lag->rows[n];
    return NULL;
}

static int compare(const void *left, const void *right)
{
    const struct lag_row *a = left, *b = right;
    int order = strcmp(a->topic, b->topic);

    return order != 0 ? order
                      : (a->partition > b->partition) - (a->partition < b->partition);
}

static size_t count_assigned(const leat_reply *members)
{
    const leat_member_row *row;
    size_t count = 0;

    for (size_t at = 0; (row = leat_reply_member(members, at)) != NULL; at++)
        count += row->assigned_count;
    return count;
}

static void gather(struct lag *lag)
{
    const leat_group_offset_row *offset;
    const leat_member_row *member;

    for (size_t at = 0; (offset = leat_reply_group_offset(lag->offsets, at)) != NULL;
         at++)
        lag->rows[lag->count++] = (struct lag_row){
            .topic = offset->topic,
            .partition = offset->partition,
            .committed = offset->offset,
            .committed_ms = offset->committed_ms,
        };
    for (size_t at = 0; (member = leat_reply_member(lag->members, at)) != NULL; at++)
        for (size_t n = 0; n < member->assigned_count; n++) {
            const leat_partition *p = &member->assigned[n];
            struct lag_row *row = find(lag, p->topic, p->partition);

            if (row == NULL) {
                row = &lag->rows[lag->count++];
                *row = (struct lag_row){
                    .topic = p->topic, .partition = p->partition, .committed = -1};
            }
            row->member = member->client_id;
        }
    qsort(lag->rows, lag->count, sizeof *lag->rows, compare);
}

/* Where each row's partition ends (`edge` LATEST) or starts. */
static int list_offsets(struct invocation *i, const struct lag *lag, int64_t edge,
                        leat_offset *out)
{
    leat_error error;

    for (size_t n = 0; n < lag->count; n++)
        out[n] = (leat_offset){.topic = lag->rows[n].topic,
                               .partition = lag->rows[n].partition};
    if (leat_offsets_list(session_client(i->session), edge, out, lag->count,
                          session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    return EXIT_DONE;
}

static int fill(struct invocation *i, struct lag *lag)
{
    leat_offset *ends = calloc(lag->count + 1, sizeof *ends);
    leat_offset *starts = calloc(lag->count + 1, sizeof *starts);
    int code = EXIT_REFUSED;

    if (lag->count == 0)
        code = EXIT_DONE;
    else if (ends != NULL && starts != NULL) {
        code = list_offsets(i, lag, LEAT_OFFSET_LATEST, ends);
        if (code == EXIT_DONE)
            code = list_offsets(i, lag, LEAT_OFFSET_EARLIEST, starts);
    }
    for (size_t n = 0; code == EXIT_DONE && n < lag->count; n++) {
        struct lag_row *row = &lag->rows[n];
        int64_t from = row->committed;

        row->end = row->lag = -1;
        if (ends[n].code != LEAT_OK || starts[n].code != LEAT_OK)
            continue;
        /* Without a commit, and below what retention left, it is the start that counts.
         */
        if (from < starts[n].offset)
            from = starts[n].offset;
        row->end = ends[n].offset;
        row->lag = row->end > from ? row->end - from : 0;
        lag->total += row->lag;
    }
    free(ends);
    free(starts);
    return code;
}

int lag_read(struct invocation *i, const char *group, struct lag *out)
{
    leat_client *client = session_client(i->session);
    struct lag lag = {0};
    leat_error error;
    int code = EXIT_DONE;

    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_group_describe(client, group, &lag.members, session_timeout_ms(i->session),
                            &error) != LEAT_OK ||
        leat_group_offsets(client, group, &lag.offsets, session_timeout_ms(i->session),
                           &error) != LEAT_OK)
        code = fail_error(i->output, &error);
    if (code == EXIT_DONE) {
        lag.rows = calloc(leat_reply_len(lag.offsets) + count_assigned(lag.members) + 1,
                          sizeof *lag.rows);
        if (lag.rows == NULL)
            code = fail(i->output, EXIT_REFUSED, "out of memory");
    }
    if (code == EXIT_DONE) {
        gather(&lag);
        code = fill(i, &lag);
    }
    if (code != EXIT_DONE)
        lag_release(&lag);
    else
        *out = lag;
    return code;
}

void lag_release(struct lag *lag)
{
    free(lag->rows);
    if (lag->offsets != NULL)
        leat_reply_free(lag->offsets);
    if (lag->members != NULL)
        leat_reply_free(lag->members);
    *lag = (struct lag){0};
}
