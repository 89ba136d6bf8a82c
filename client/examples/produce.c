/* SPDX-License-Identifier: Apache-2.0
 *
 * Publish each line of standard input: produce SERVERS TOPIC < lines
 * Exits 0 only if every line was acknowledged. */
#include <leat/leat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t failed;

/* Runs once for every line that was queued, from send's or flush's dispatching. */
static void delivered(const leat_delivery *d, void *arg)
{
    (void)arg;
    if (d->code == LEAT_OK)
        return;
    failed++;
    fprintf(stderr, "%s: %s\n", d->error->where, d->error->text);
}

/* Queue a line; when the buffer is full, wait for deliveries and try again. */
static int publish(leat_client *client, leat_producer *producer,
                   const leat_record *record, leat_error *error)
{
    int code;

    while ((code = leat_producer_send(producer, record, NULL, error)) ==
           LEAT_E_QUEUE_FULL)
        leat_client_wait(client, 1000);
    leat_client_dispatch(client, 1000);
    return code;
}

static size_t publish_lines(leat_client *client, leat_producer *producer,
                            const char *topic)
{
    leat_record record = {
        .size = sizeof record, .topic = topic, .partition = LEAT_PARTITION_ANY};
    leat_error error;
    char *line = NULL;
    size_t size = 0;
    size_t count = 0;
    ssize_t len;

    while ((len = getline(&line, &size, stdin)) >= 0) {
        if (len > 0 && line[len - 1] == '\n')
            len--;
        record.value = (leat_bytes){line, (size_t)len};
        if (publish(client, producer, &record, &error) != LEAT_OK) {
            fprintf(stderr, "%s: %s\n", error.where, error.text);
            failed++;
            break;
        }
        count++;
    }
    free(line);
    return count;
}

int main(int argc, char **argv)
{
    leat_error error;
    leat_conf *conf = leat_conf_new();
    leat_client *client;
    leat_producer *producer;
    size_t count;

    if (argc != 3 || conf == NULL) {
        fprintf(stderr, "usage: produce SERVERS TOPIC < lines\n");
        return 2;
    }
    if (leat_conf_set(conf, "bootstrap.servers", argv[1], &error) != LEAT_OK ||
        (client = leat_client_open(conf, &error)) == NULL) {
        fprintf(stderr, "%s: %s\n", error.where, error.text);
        return 1;
    }
    leat_conf_free(conf);
    producer = leat_producer_open(client, NULL, delivered, NULL, &error);
    if (producer == NULL) {
        fprintf(stderr, "%s: %s\n", error.where, error.text);
        return 1;
    }
    count = publish_lines(client, producer, argv[2]);
    leat_producer_close(producer, 30000);
    leat_client_close(client, 1000);
    printf("%zu published, %zu failed\n", count, failed);
    return failed > 0;
}
