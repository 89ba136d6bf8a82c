/* SPDX-License-Identifier: Apache-2.0
 *
 * How long is a partition not available for writing? gaps BROKERS TOPIC PARTITIONS
 * SECONDS keeps one record of every partition on its way, the next one as soon as the one
 * before is acknowledged, and prints each pause between two acknowledgements that is
 * longer than 100 ms as it ends, then one line of JSON: how many were acknowledged, how
 * many failed, and all pauses with when they began (milliseconds since 1970). */
#include <leat/leat.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PARTITIONS_MAX = 64, GAPS_MAX = 4096, GAP_MS = 100 };

struct gap {
    int32_t partition;
    int64_t from_ms, ms;
};

struct gaps {
    leat_producer *producer;
    const char *topic;
    bool going;
    int64_t last_ms[PARTITIONS_MAX]; /* of the newest acknowledgement */
    uint64_t acknowledged, failed;
    struct gap list[GAPS_MAX];
    size_t count;
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void send_one(struct gaps *g, int32_t partition)
{
    leat_record record = {.size = sizeof record,
                          .topic = g->topic,
                          .partition = partition,
                          .value = {"tick", 4}};
    leat_error error;

    if (leat_producer_send(g->producer, &record, (void *)(intptr_t)partition, &error) !=
        LEAT_OK)
        g->failed++;
}

static void note(struct gaps *g, int32_t partition, int64_t now)
{
    int64_t ms = now - g->last_ms[partition];

    if (g->last_ms[partition] > 0 && ms > GAP_MS && g->count < GAPS_MAX) {
        g->list[g->count++] = (struct gap){partition, g->last_ms[partition], ms};
        fprintf(stderr, "partition %d: %" PRId64 " ms\n", partition, ms);
    }
    g->last_ms[partition] = now;
}

static void delivered(const leat_delivery *d, void *arg)
{
    struct gaps *g = arg;
    int32_t partition = (int32_t)(intptr_t)d->arg;

    if (d->code == LEAT_OK) {
        g->acknowledged++;
        note(g, partition, now_ms());
    } else {
        g->failed++;
    }
    if (g->going)
        send_one(g, partition);
}

static void print(const struct gaps *g)
{
    printf("{\"acknowledged\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"gaps\":[",
           g->acknowledged, g->failed);
    for (size_t i = 0; i < g->count; i++)
        printf("%s{\"partition\":%d,\"from_ms\":%" PRId64 ",\"ms\":%" PRId64 "}",
               i > 0 ? "," : "", g->list[i].partition, g->list[i].from_ms, g->list[i].ms);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    static struct gaps g;
    leat_conf *conf = leat_conf_new();
    leat_error error;
    leat_client *client;
    int64_t end;
    long partitions;

    if (argc != 5 || conf == NULL) {
        fprintf(stderr, "usage: gaps BROKERS TOPIC PARTITIONS SECONDS\n");
        return 2;
    }
    g.topic = argv[2];
    partitions = strtol(argv[3], NULL, 10);
    if (partitions < 1 || partitions > PARTITIONS_MAX ||
        leat_conf_set(conf, "bootstrap.servers", argv[1], &error) ||
        leat_conf_set(conf, "linger.ms", "0", &error) ||
        leat_conf_set(conf, "retry.backoff.ms", "20ms", &error) ||
        leat_conf_set(conf, "retry.backoff.max.ms", "100ms", &error))
        return 2;
    client = leat_client_open(conf, &error);
    leat_conf_free(conf);
    if (client != NULL)
        g.producer = leat_producer_open(client, NULL, delivered, &g, &error);
    if (g.producer == NULL) {
        fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    g.going = true;
    for (int32_t i = 0; i < partitions; i++)
        send_one(&g, i);
    end = now_ms() + strtol(argv[4], NULL, 10) * 1000;
    while (now_ms() < end)
        leat_client_wait(client, 20);
    g.going = false;
    leat_producer_flush(g.producer, 30000);
    print(&g);
    leat_producer_close(g.producer, 1000);
    leat_client_close(client, 1000);
    return 0;
}
