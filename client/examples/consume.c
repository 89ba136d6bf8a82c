/* SPDX-License-Identifier: Apache-2.0
 *
 * Read topics as a member of a group, until interrupted:
 *
 *     consume BROKERS GROUP TOPIC...
 *
 * A record counts as done when the next one is asked for, so a crash repeats at most what
 * was being worked on, and loses nothing. */
#include <leat/leat.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

static leat_consumer *consumer;
static volatile sig_atomic_t stopping;

static void on_signal(int sig)
{
    (void)sig;
    stopping = 1;
    leat_consumer_wakeup(consumer);
}

static void work_on(const leat_record *r)
{
    printf("%s/%" PRId32 "@%" PRId64 " %.*s\n", r->topic, r->partition, r->offset,
           (int)r->value.len, r->value.data ? (const char *)r->value.data : "");
}

static int run(leat_client *client, const leat_conf *conf, char **topics, int count)
{
    leat_error error;
    int code;

    consumer = leat_consumer_open(client, conf, &error);
    if (!consumer || leat_consumer_subscribe(consumer, (const char *const *)topics,
                                             (size_t)count, &error) != LEAT_OK) {
        fprintf(stderr, "%s: %s\n", error.where, error.text);
        return 1;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    while (!stopping) {
        const leat_record *record;
        const int n = leat_consumer_next(consumer, &record, 1000, &error);

        if (n > 0)
            work_on(record);
        else if (n < 0)
            fprintf(stderr, "%s: %s\n", error.where, error.text);
        if (n < 0 && !error.retriable)
            break;
    }
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    code = leat_consumer_close(consumer, 10000);
    if (code != LEAT_OK)
        fprintf(stderr, "close: %s\n", leat_code_text(code));
    return code != LEAT_OK || !stopping;
}

int main(int argc, char **argv)
{
    leat_conf *conf = leat_conf_new();
    leat_client *client = NULL;
    leat_error error;
    int failed = 1;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 4 || !conf)
        fprintf(stderr, "usage: consume BROKERS GROUP TOPIC...\n");
    else if (leat_conf_set(conf, "bootstrap.servers", argv[1], &error) != LEAT_OK ||
             leat_conf_set(conf, "group.id", argv[2], &error) != LEAT_OK ||
             !(client = leat_client_open(conf, &error)))
        fprintf(stderr, "%s: %s\n", error.where, error.text);
    else
        failed = run(client, conf, argv + 3, argc - 3);
    leat_client_close(client, 5000);
    leat_conf_free(conf);
    return failed;
}
