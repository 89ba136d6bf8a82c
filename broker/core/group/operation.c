/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/group/operation.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct line *line_of(struct coordinator *c, const char *group)
{
    struct line *line = map_get(&c->lines, bytes_of(group));

    if (line != NULL)
        return line;
    line = must_zalloc(sizeof *line);
    line->group = must_text(group);
    TAILQ_INIT(&line->waiting);
    CHECK(map_put(&c->lines, bytes_of(line->group), line));
    return line;
}

static void line_free(struct coordinator *c, struct line *line)
{
    CHECK(map_remove(&c->lines, bytes_of(line->group)) == line);
    free(line->group);
    free(line);
}

/* One that waited has gone: nobody may be left. */
static void line_leave(struct coordinator *c, struct line *line)
{
    if (!line->running && line->under_way == 0 && TAILQ_EMPTY(&line->waiting))
        line_free(c, line);
}

static bool line_admits(const struct line *line, const struct operation *op)
{
    return line->under_way == 0 || (!line->alone && !op->alone);
}

/* Start whoever may start. An operation may finish while it starts and so come back here:
 * the outermost call goes on with the next. */
static void line_run(struct coordinator *c, struct line *line)
{
    struct operation *op;

    if (line->running)
        return;
    line->running = true;
    while ((op = TAILQ_FIRST(&line->waiting)) != NULL && line_admits(line, op)) {
        TAILQ_REMOVE(&line->waiting, op, link);
        op->is_waiting = false;
        line->under_way++;
        line->alone = op->alone;
        op->start(op);
    }
    line->running = false;
    line_leave(c, line);
}

static struct operation *operation_new(struct coordinator *c, operation_step *start)
{
    struct operation *op = must_zalloc(sizeof *op);

    op->c = c;
    op->start = start;
    op->leader_epoch = c->leader_epoch;
    arena_init(&op->arena, 0);
    TAILQ_INSERT_TAIL(&c->operations, op, all);
    return op;
}

static void operation_free(struct operation *op)
{
    TAILQ_REMOVE(&op->c->operations, op, all);
    arena_release(&op->arena);
    free(op);
}

void operation_begin(struct coordinator *c, const char *group, struct request *r,
                     bool alone, const char *member_id, operation_step *start)
{
    struct operation *op = operation_new(c, start);

    op->line = line_of(c, group);
    op->request = r;
    op->alone = alone;
    if (member_id != NULL) {
        op->member_id = operation_alloc(op, strlen(member_id) + 1);
        memcpy(op->member_id, member_id, strlen(member_id));
    }
    op->is_waiting = true;
    TAILQ_INSERT_TAIL(&op->line->waiting, op, link);
    line_run(c, op->line);
}

void *operation_alloc(struct operation *op, size_t size)
{
    void *p = arena_zalloc(&op->arena, size);

    CHECK(p != NULL);
    return p;
}

static void proposed(struct machine_entry *entry, enum status status)
{
    struct operation *op = container_of(entry, struct operation, entry);

    if (operation_is_over(op))
        operation_finish(op);
    else if (status != STATUS_OK)
        operation_refuse(op, status, NULL);
    else
        op->then(op);
}

void operation_propose(struct operation *op, struct records *records,
                       operation_step *then)
{
    struct coordinator *c = op->c;

    CHECK(records->count > 0);
    op->then = then;
    op->entry.done = proposed;
    machine_propose(c->machine, records->items, records->count, c->leader_epoch, c->now,
                    &op->entry);
    records_release(records);
    c->o.appended(c->o.ctx);
}

bool operation_is_over(const struct operation *op)
{
    return op->c->stopped || op->leader_epoch != op->c->leader_epoch;
}

void operation_propose_only(struct coordinator *c, struct records *records)
{
    operation_propose(operation_new(c, NULL), records, operation_finish);
}

void operation_finish(struct operation *op)
{
    struct coordinator *c = op->c;
    struct line *line = op->line;

    CHECK(op->request == NULL);
    operation_free(op);
    if (line == NULL)
        return;
    CHECK(line->under_way > 0);
    line->under_way--;
    line_run(c, line);
}

void operation_answer(struct operation *op, ProtobufCMessage *answer)
{
    struct request *r = op->request;

    op->request = NULL;
    if (r != NULL && answer != NULL)
        request_answer(r, answer);
    else if (r != NULL)
        request_refuse(r, STATUS_THROTTLED, NULL);
    operation_finish(op);
}

void operation_refuse(struct operation *op, enum status status, const char *format, ...)
{
    struct request *r = op->request;
    char text[256];
    va_list args;

    op->request = NULL;
    if (r != NULL && format != NULL) {
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        request_refuse(r, status, "%s", text);
    } else if (r != NULL) {
        request_refuse(r, status, NULL);
    }
    operation_finish(op);
}

struct group *operation_group(const struct operation *op)
{
    return groups_find(&op->c->groups, op->line->group);
}

struct member *operation_member(const struct operation *op)
{
    struct group *g = operation_group(op);

    return g != NULL ? group_member(g, op->member_id) : NULL;
}

/* Those that wait go now. Those under way still have an entry in the machine or a
 * question in some partition; they go when that comes home, or in operations_release. */
void operations_end(struct coordinator *c, enum status why)
{
    struct operation *op, *next;

    for (op = TAILQ_FIRST(&c->operations); op != NULL; op = next) {
        struct request *r = op->request;

        next = TAILQ_NEXT(op, all);
        op->request = NULL;
        if (r != NULL)
            request_refuse(r, why, NULL);
        if (op->is_waiting) {
            TAILQ_REMOVE(&op->line->waiting, op, link);
            line_leave(c, op->line);
            operation_free(op);
        }
    }
}

void operations_release(struct coordinator *c)
{
    struct operation *op;
    struct line *line;

    while ((op = TAILQ_FIRST(&c->operations)) != NULL)
        operation_free(op);
    for (size_t i = 0; (line = map_next(&c->lines, &i)) != NULL;)
        line_free(c, line);
    map_release(&c->lines);
}
