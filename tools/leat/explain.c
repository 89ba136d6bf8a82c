/* SPDX-License-Identifier: Apache-2.0
 *
 * leat explain: the state of a topic or group in sentences, with what to do next. */
#include "tools/leat/lag.h"
#include "tools/leat/run.h"
#include "tools/leat/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void explain_partition(const leat_partition_row *row)
{
    char records[32], bytes[32], age[32];
    int64_t now = (int64_t)time(NULL) * 1000;

    printf("  %d: ", row->partition);
    if (row->code != LEAT_OK) {
        printf("%s\n", leat_code_text(row->code));
        return;
    }
    if (row->leader < 0) {
        puts("has no leader: nothing can be written to it or read from it. Look at the "
             "brokers: leat cluster status");
        return;
    }
    printf("led by broker %d (epoch %d), %zu of %zu replicas in sync, %s records in %s",
           row->leader, row->leader_epoch, row->in_sync_count, row->replica_count,
           count_text((uint64_t)(row->high_watermark - row->log_start), records),
           bytes_text(row->bytes, bytes));
    if (row->log_start > 0)
        printf(", the first %lld are gone (retention or trim)",
               (long long)row->log_start);
    if (row->log_end > row->high_watermark)
        printf(", %lld not yet safe on all in-sync replicas",
               (long long)(row->log_end - row->high_watermark));
    if (row->last_append_ms >= 0)
        printf(", last write %s ago", duration_text(now - row->last_append_ms, age));
    putchar('\n');
}

int run_explain_topic(struct invocation *i)
{
    const char *slash = strrchr(i->arguments[0], '/');
    int64_t only = -1;
    char topic[256];
    const char *topics[] = {topic};
    const leat_partition_row *row;
    leat_client *client = session_client(i->session);
    leat_error error;
    leat_reply *reply;
    char bytes[32];
    uint64_t sum = 0;
    size_t shown = 0;

    snprintf(topic, sizeof topic, "%.*s",
             slash ? (int)(slash - i->arguments[0]) : (int)strlen(i->arguments[0]),
             i->arguments[0]);
    /* Sentences are for people: programs get the rows behind them. */
    if (i->output->format != OUTPUT_TEXT) {
        i->arguments[0] = topic;
        return run_topic_describe(i);
    }
    if (slash != NULL && !parse_number(slash + 1, 0, INT32_MAX, &only))
        return fail(i->output, EXIT_USAGE, "'%s': write TOPIC or TOPIC/PARTITION",
                    i->arguments[0]);
    if (client == NULL)
        return EXIT_REFUSED;
    if (leat_topics_describe(client, topics, 1, true, true, &reply,
                             session_timeout_ms(i->session), &error) != LEAT_OK)
        return fail_error(i->output, &error);
    row = leat_reply_partition(reply, 0);
    if (row == NULL || row->partition < 0) {
        int code = row != NULL ? row->code : LEAT_E_UNKNOWN_TOPIC_OR_PARTITION;

        leat_reply_free(reply);
        return fail(i->output, exit_code_of(code), "topic %s: %s", topic,
                    leat_code_text(code));
    }
    for (size_t at = 0; at < leat_reply_len(reply); at++)
        sum += leat_reply_partition(reply, at)->bytes;
    printf("%s: %zu partitions, %s\n", topic, leat_reply_len(reply),
           bytes_text(sum, bytes));
    for (size_t at = 0; (row = leat_reply_partition(reply, at)) != NULL; at++)
        if (only < 0 || row->partition == only) {
            explain_partition(row);
            shown++;
        }
    leat_reply_free(reply);
    return shown > 0 ? EXIT_DONE
                     : fail(i->output, EXIT_NOT_FOUND, "%s has no partition %lld", topic,
                            (long long)only);
}

static void explain_member(const leat_member_row *m, const struct lag *lag)
{
    char age[32], behind[32];
    int64_t held = 0;

    for (size_t n = 0; n < m->assigned_count; n++)
        for (size_t r = 0; r < lag->count; r++)
            if (lag->rows[r].partition == m->assigned[n].partition &&
                strcmp(lag->rows[r].topic, m->assigned[n].topic) == 0 &&
                lag->rows[r].lag > 0)
                held += lag->rows[r].lag;
    printf(
        "  %s (%s, %s): works on %zu partitions, %s records behind there; last heartbeat "
        "%s ago\n",
        m->client_id, m->member_id, m->host, m->assigned_count,
        count_text((uint64_t)held, behind), duration_text(m->heartbeat_age_ms, age));
    if (m->heartbeat_age_ms > m->session_timeout_ms / 2)
        printf("    it is silent: after %s of that its partitions go to the others\n",
               duration_text(m->session_timeout_ms, age));
    if (m->target_count != m->assigned_count)
        printf("    it shall work on %zu: partitions are on the move\n", m->target_count);
}

int run_explain_group(struct invocation *i)
{
    const char *group = i->arguments[0];
    const leat_member_row *first, *row;
    size_t members = 0;
    char behind[32];
    struct lag lag;
    int code;

    if (i->output->format != OUTPUT_TEXT)
        return run_group_describe(i);
    code = lag_read(i, group, &lag);
    if (code != EXIT_DONE)
        return code;
    first = leat_reply_member(lag.members, 0);
    for (size_t at = 0; (row = leat_reply_member(lag.members, at)) != NULL; at++)
        members += row->member_id != NULL;
    printf("%s: %s, epoch %d, %zu members, %zu partitions, %s records behind\n", group,
           first ? first->group_state : "empty", first ? first->group_epoch : 0, members,
           lag.count, count_text((uint64_t)lag.total, behind));
    for (size_t at = 0; (row = leat_reply_member(lag.members, at)) != NULL; at++)
        if (row->member_id != NULL)
            explain_member(row, &lag);
    if (members == 0 && lag.total > 0)
        puts("  nobody reads: start a member, or look why the last one stopped");
    else if (members == 0)
        puts("  nobody reads, and nothing waits to be read");
    else if (members > lag.count && lag.count > 0)
        printf("  %zu members have nothing to do: a partition is read by one member at a "
               "time (leat topic grow)\n",
               members - lag.count);
    lag_release(&lag);
    return EXIT_DONE;
}
