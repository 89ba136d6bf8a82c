/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/member_inner.h"

#include <inttypes.h>
#include <stdio.h>

static bool is_fresh(const struct member *m, moment at)
{
    return at > 0 && at > member_world(m)->now - SECOND;
}

static bool is_done(const struct member *m, char why[static 200])
{
    if (m->stage != STAGE_IN)
        return snprintf(why, 200, "L4 member %s is not in the group: %s", m->id,
                        status_name(m->last)) < 0;
    if (!is_fresh(m, m->stable))
        return snprintf(why, 200, "L4 the group is not stable, says who member %s asked",
                        m->id) < 0;
    return is_fresh(m, m->agreed) ||
           snprintf(why, 200, "L4 member %s has not read what it committed: %s", m->id,
                    status_name(m->last)) < 0;
}

static bool has_one_owner(struct member *const *members, size_t n,
                          const struct topic *topic, int t, int32_t partition,
                          char why[static 200])
{
    struct oracle *o = members[0]->client.town->oracle;
    const int64_t end = oracle_committed(o, topic->id, partition);
    size_t owners = 0;

    for (size_t i = 0; i < n; i++) {
        const struct portion *p = &members[i]->portions[t][partition];

        owners += p->hold.on;
        if (p->hold.on && (!p->begun || p->leaving || !uuid_equal(p->id, topic->id) ||
                           (end > 0 && p->committed < end)))
            return snprintf(why, 200,
                            "L4 member %s has committed t%d/%d to %" PRId64 " of %" PRId64
                            ", read it to %" PRId64 ": %s",
                            members[i]->id, t, (int)partition, p->committed, end,
                            p->page.offset, status_name(p->page.last)) < 0;
    }
    return owners == 1 || snprintf(why, 200, "L4 t%d/%d is worked on by %zu members", t,
                                   (int)partition, owners) < 0;
}

bool members_are_done(struct member *const *members, size_t n, char why[static 200])
{
    const struct image *image =
        n > 0 ? oracle_image(members[0]->client.town->oracle) : NULL;

    for (size_t i = 0; i < n; i++)
        if (!is_done(members[i], why))
            return false;
    for (int t = 0; n > 0 && t < TOPICS_MAX; t++) {
        const struct topic *topic;
        char name[8];
        bool wanted = false;

        topic_name(t, name);
        for (size_t i = 0; i < n; i++)
            wanted |= members[i]->wants[t];
        topic = image_topic(image, bytes_of(name));
        if (wanted && topic == NULL)
            return snprintf(why, 200, "L4 there is no topic %s", name) < 0;
        for (int32_t i = 0; wanted && i < topic->partition_count; i++)
            if (!has_one_owner(members, n, topic, t, i, why))
                return false;
    }
    return true;
}
