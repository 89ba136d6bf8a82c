/* SPDX-License-Identifier: Apache-2.0
 *
 * From members and topics to targets: gathers what an assignor needs. */
#include "broker/core/group/assign.h"
#include "broker/core/group/group.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

struct wanted {
    const char *name;
    bool exists;
    uint32_t place; /* among the topics that exist */
    struct assign_topic topic;
};

struct settling {
    const struct catalog *catalog;
    struct map by_name; /* struct wanted */
    struct wanted **wanted;
    size_t wanted_count;
    struct assign_topic *topics;
    size_t topic_count;
    struct member **members; /* by id */
    struct assign_member *questions;
    size_t member_count;
};

static int by_id(const void *a, const void *b)
{
    return strcmp((*(struct member *const *)a)->id, (*(struct member *const *)b)->id);
}

static int by_topic_name(const void *a, const void *b)
{
    return strcmp((*(struct wanted *const *)a)->name, (*(struct wanted *const *)b)->name);
}

static void want(struct settling *s, const char *name)
{
    struct wanted *w;

    if (map_get(&s->by_name, bytes_of(name)) != NULL)
        return;
    w = must_zalloc(sizeof *w);
    w->name = name;
    w->exists =
        s->catalog->find(s->catalog->from, name, &w->topic.id, &w->topic.partitions);
    CHECK(map_put(&s->by_name, bytes_of(name), w));
}

/* All topics that somebody subscribes to, in the order of their names, so that the result
 * does not depend on who came first. */
static void gather_topics(struct settling *s)
{
    struct wanted *w;

    for (size_t m = 0; m < s->member_count; m++)
        for (size_t i = 0; i < s->members[m]->topic_count; i++)
            want(s, s->members[m]->topics[i]);
    s->wanted = must_alloc((s->by_name.count + 1) * sizeof(struct wanted *));
    for (size_t i = 0; (w = map_next(&s->by_name, &i)) != NULL;)
        s->wanted[s->wanted_count++] = w;
    qsort(s->wanted, s->wanted_count, sizeof(struct wanted *), by_topic_name);
    s->topics = must_alloc((s->wanted_count + 1) * sizeof *s->topics);
    for (size_t i = 0; i < s->wanted_count; i++) {
        if (!s->wanted[i]->exists)
            continue;
        s->wanted[i]->place = (uint32_t)s->topic_count;
        s->topics[s->topic_count++] = s->wanted[i]->topic;
    }
}

static void gather_members(struct settling *s, const struct group *g)
{
    struct member *m;

    s->members = must_alloc((g->members.count + 1) * sizeof(struct member *));
    for (size_t i = 0; (m = map_next(&g->members, &i)) != NULL;)
        s->members[s->member_count++] = m;
    qsort(s->members, s->member_count, sizeof(struct member *), by_id);
}

static void ask(struct settling *s)
{
    s->questions = must_zalloc((s->member_count + 1) * sizeof *s->questions);
    for (size_t m = 0; m < s->member_count; m++) {
        const struct member *member = s->members[m];
        uint32_t *topics = must_alloc((member->topic_count + 1) * sizeof *topics);
        size_t n = 0;

        for (size_t i = 0; i < member->topic_count; i++) {
            struct wanted *w = map_get(&s->by_name, bytes_of(member->topics[i]));

            if (w->exists)
                topics[n++] = w->place;
        }
        s->questions[m].topics = topics;
        s->questions[m].topic_count = n;
        s->questions[m].previous = &member->assigned;
    }
}

static bool take_answers(struct settling *s)
{
    bool changed = false;

    for (size_t m = 0; m < s->member_count; m++) {
        changed |= !share_equal(&s->members[m]->target, &s->questions[m].target);
        share_replace(&s->members[m]->target, s->questions[m].target);
        free((void *)s->questions[m].topics);
    }
    return changed;
}

bool group_settle(struct group *g, const struct catalog *catalog)
{
    struct settling s = {.catalog = catalog};
    const struct assignor *assignor = assignor_find(g->assignor);
    bool changed;

    if (!g->stale)
        return false;
    gather_members(&s, g);
    gather_topics(&s);
    ask(&s);
    /* A name from a later version's log: any assignment beats none. */
    assign(assignor != NULL ? assignor : assignor_find(""), s.topics, s.topic_count,
           s.questions, s.member_count);
    changed = take_answers(&s);
    g->stale = false;
    for (size_t i = 0; i < s.wanted_count; i++)
        free(s.wanted[i]);
    free(s.wanted);
    free(s.topics);
    free(s.questions);
    free(s.members);
    map_release(&s.by_name);
    return changed;
}
