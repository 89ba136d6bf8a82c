/* SPDX-License-Identifier: Apache-2.0
 *
 * The same as consume.c for a program that has an event loop of its own (here: poll) and
 * wants no thread of the library's:
 *
 *     consume_loop BROKERS GROUP TOPIC...
 *
 * One descriptor says when there is something to do; it ends with standard input. */
#include <leat/leat.h>

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static void work_on(const leat_record *r)
{
    printf("%s/%" PRId32 "@%" PRId64 " %.*s\n", r->topic, r->partition, r->offset,
           (int)r->value.len, r->value.data ? (const char *)r->value.data : "");
}

/* Whatever has come by now; waits for nothing. False: there is no point in going on. */
static bool read_what_came(leat_consumer *consumer)
{
    leat_batch *batch;
    leat_error error;
    int n;

    while ((n = leat_consumer_poll(consumer, &batch, 0, &error)) > 0) {
        for (size_t i = 0; i < leat_batch_len(batch); i++)
            work_on(leat_batch_at(batch, i));
        leat_batch_free(batch);
    }
    if (n < 0)
        fprintf(stderr, "%s: %s\n", error.where, error.text);
    return n == 0 || error.retriable;
}

static int loop(leat_client *client, leat_consumer *consumer)
{
    struct pollfd fds[] = {
        {.fd = leat_client_fd(client), .events = POLLIN},
        {.fd = STDIN_FILENO, .events = POLLIN},
    };
    char input[256];

    for (;;) {
        if (poll(fds, 2, -1) < 0)
            return 1;
        if (fds[1].revents && read(STDIN_FILENO, input, sizeof input) <= 0)
            return 0;
        leat_client_dispatch(client, 100);
        if (!read_what_came(consumer))
            return 1;
        fflush(stdout);
    }
}

static int run(leat_client *client, const leat_conf *conf, char **topics, int count)
{
    leat_error error;
    leat_consumer *consumer = leat_consumer_open(client, conf, &error);
    int failed = 1;

    if (!consumer || leat_consumer_subscribe(consumer, (const char *const *)topics,
                                             (size_t)count, &error) != LEAT_OK)
        fprintf(stderr, "%s: %s\n", error.where, error.text);
    else
        failed = loop(client, consumer);
    return leat_consumer_close(consumer, 10000) != LEAT_OK || failed;
}

int main(int argc, char **argv)
{
    leat_conf *conf = leat_conf_new();
    leat_client *client = NULL;
    leat_error error;
    int failed = 1;

    if (argc < 4 || !conf)
        fprintf(stderr, "usage: consume_loop BROKERS GROUP TOPIC...\n");
    else if (leat_conf_set(conf, "bootstrap.servers", argv[1], &error) != LEAT_OK ||
             leat_conf_set(conf, "group.id", argv[2], &error) != LEAT_OK ||
             leat_conf_set(conf, "client.threads", "0", &error) != LEAT_OK ||
             !(client = leat_client_open(conf, &error)))
        fprintf(stderr, "%s: %s\n", error.where, error.text);
    else
        failed = run(client, conf, argv + 3, argc - 3);
    leat_client_close(client, 5000);
    leat_conf_free(conf);
    return failed;
}
