/* SPDX-License-Identifier: Apache-2.0
 *
 * Create a topic, show it, change it, delete it: admin SERVERS TOPIC */
#include <leat/leat.h>

#include <stdio.h>

enum { TIMEOUT_MS = 10000 };

static int say(const leat_error *error)
{
    fprintf(stderr, "%s: %s%s\n", error->where, error->text,
            error->retriable ? " (trying again may help)" : "");
    return 1;
}

static int show(leat_client *client, const char *topic, leat_error *error)
{
    leat_reply *reply;
    const leat_partition_row *row;

    if (leat_topics_describe(client, &topic, 1, false, true, &reply, TIMEOUT_MS, error))
        return error->code;
    for (size_t i = 0; (row = leat_reply_partition(reply, i)) != NULL; i++)
        printf("%s/%d: leader %d, offsets %lld to %lld\n", row->topic, row->partition,
               row->leader, (long long)row->log_start, (long long)row->log_end);
    leat_reply_free(reply);
    return LEAT_OK;
}

static int tour(leat_client *client, const char *topic, leat_error *error)
{
    const leat_setting keep = {"retention.ms", "3600000"};
    int code;

    code = leat_topic_create(client, topic, 2, 1, NULL, 0, false, TIMEOUT_MS, error);
    if (!code)
        code = show(client, topic, error);
    if (!code)
        code = leat_topic_alter(client, topic, 3, &keep, 1, false, TIMEOUT_MS, error);
    if (!code)
        code = show(client, topic, error);
    if (!code)
        code = leat_topic_delete(client, topic, TIMEOUT_MS, error);
    return code;
}

int main(int argc, char **argv)
{
    leat_error error;
    leat_conf *conf = leat_conf_new();
    leat_client *client;
    int failed = 0;

    if (argc != 3 || conf == NULL) {
        fprintf(stderr, "usage: admin SERVERS TOPIC\n");
        return 2;
    }
    if (leat_conf_set(conf, "bootstrap.servers", argv[1], &error) != LEAT_OK)
        return say(&error);
    client = leat_client_open(conf, &error);
    leat_conf_free(conf);
    if (client == NULL)
        return say(&error);
    if (tour(client, argv[2], &error) != LEAT_OK)
        failed = say(&error);
    leat_client_close(client, 1000);
    return failed;
}
