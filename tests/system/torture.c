/* SPDX-License-Identifier: Apache-2.0
 *
 * A client that believes nothing: it publishes numbered records to every partition of a
 * topic while somebody kills and restarts the broker, reads them back as a member of a
 * group at the same time, and at the end checks what it was promised:
 *
 *     lost       an acknowledged record that was not read, or not at the offset it was
 *                acknowledged with
 *     disorder   in a partition, a record appears for the first time after a later one
 *     backwards  the group's committed offset was seen to go back
 *
 * Repeats are allowed (at least once) and counted. torture BROKERS TOPIC PARTITIONS
 * SECONDS [RATE], in records per second, as fast as can be without; one line of JSON,
 * exit 0 only when nothing was lost, out of order or backwards. */
#include <leat/leat.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RECORDS_MAX = 4000000, PARTITIONS_MAX = 64, VALUE = 100, PENDING_MAX = 20000 };

/* Instead of an offset. */
enum { NOWHERE = -1, FOUND = -2 };

struct torture {
    leat_client *client;
    leat_producer *producer;
    leat_consumer *consumer;
    const char *topic;
    int32_t partitions;
    uint32_t sent, acknowledged, unknown;
    uint32_t allowed;   /* so far */
    int64_t *offset_of; /* by number: where it was acknowledged; NOWHERE, FOUND there */
    int64_t *first_read, *last_read; /* by number: it may be read before we hear of it */
    uint8_t *seen;                   /* by number: times it was read, at most 255 */
    int64_t highest[PARTITIONS_MAX]; /* the latest number read, by partition */
    int64_t committed[PARTITIONS_MAX];
    int64_t end[PARTITIONS_MAX];
    uint64_t read, repeats, disorder, backwards, misplaced, rebalances;
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void delivered(const leat_delivery *d, void *arg)
{
    struct torture *t = arg;
    size_t number = (size_t)d->arg;

    if (d->code != LEAT_OK) {
        t->unknown++; /* it may be stored or not: no promise was made */
        return;
    }
    t->acknowledged++;
    t->offset_of[number] = d->offset;
}

/* The value says which record it is, and repeats it to the end. */
static void fill(char *value, uint32_t number)
{
    for (size_t at = 0; at + 10 <= VALUE; at += 10)
        snprintf(value + at, 11, "%09" PRIu32 ",", number);
}

static void publish_some(struct torture *t)
{
    char value[VALUE + 1];
    leat_error error;

    for (int n = 0; n < 200; n++) {
        leat_record record = {.size = sizeof record, .topic = t->topic};

        if (t->sent == t->allowed || leat_producer_pending(t->producer) > PENDING_MAX)
            return;
        fill(value, t->sent);
        record.partition = (int32_t)(t->sent % (uint32_t)t->partitions);
        record.value = (leat_bytes){value, VALUE};
        t->offset_of[t->sent] = NOWHERE;
        if (leat_producer_send(t->producer, &record, (void *)(size_t)t->sent, &error) !=
            LEAT_OK)
            return;
        t->sent++;
    }
}

static void look_at(struct torture *t, const leat_record *r)
{
    uint32_t number = (uint32_t)strtoul(r->value.data, NULL, 10);
    char value[VALUE + 1];

    fill(value, number);
    if (r->value.len != VALUE || memcmp(value, r->value.data, VALUE) != 0 ||
        number >= t->sent ||
        (int32_t)(number % (uint32_t)t->partitions) != r->partition) {
        fprintf(stderr, "offset %" PRId64 " of partition %d holds something foreign\n",
                r->offset, r->partition);
        t->misplaced++;
        return;
    }
    t->read++;
    if (t->seen[number] > 0)
        t->repeats++;
    else if ((int64_t)number < t->highest[r->partition]) {
        fprintf(stderr, "partition %d: %u comes after %" PRId64 "\n", r->partition,
                number, t->highest[r->partition]);
        t->disorder++;
    }
    if ((int64_t)number > t->highest[r->partition])
        t->highest[r->partition] = number;
    if (t->seen[number] < 255)
        t->seen[number]++;
    if (t->seen[number] == 1)
        t->first_read[number] = r->offset;
    t->last_read[number] = r->offset;
    if (t->offset_of[number] == r->offset)
        t->offset_of[number] = FOUND;
}

static void read_some(struct torture *t, int ms)
{
    leat_batch *batch;
    leat_error error;
    int n = leat_consumer_poll(t->consumer, &batch, ms, &error);

    if (n <= 0)
        return;
    for (size_t at = 0; at < (size_t)n; at++)
        look_at(t, leat_batch_at(batch, at));
    leat_batch_free(batch);
}

static void rebalanced(leat_consumer *consumer, enum leat_rebalance what,
                       const leat_offset *partitions, size_t count, void *arg)
{
    struct torture *t = arg;

    (void)consumer;
    (void)partitions;
    (void)count;
    t->rebalances += what == LEAT_ASSIGNED;
}

/* What the broker says is committed must never go back. */
static void check_committed(struct torture *t)
{
    const leat_group_offset_row *row;
    leat_reply *reply;
    leat_error error;

    if (leat_group_offsets(t->client, "torture", &reply, 500, &error) != LEAT_OK)
        return;
    for (size_t at = 0; (row = leat_reply_group_offset(reply, at)) != NULL; at++) {
        if (row->code != LEAT_OK || row->partition >= t->partitions ||
            strcmp(row->topic, t->topic) != 0)
            continue;
        if (row->offset < t->committed[row->partition]) {
            fprintf(stderr, "partition %d: committed %" PRId64 " after %" PRId64 "\n",
                    row->partition, row->offset, t->committed[row->partition]);
            t->backwards++;
        } else {
            t->committed[row->partition] = row->offset;
        }
    }
    leat_reply_free(reply);
}

static bool read_to_the_end(struct torture *t, int64_t deadline)
{
    leat_offset rows[PARTITIONS_MAX];
    leat_error error;

    for (int32_t p = 0; p < t->partitions; p++)
        rows[p] = (leat_offset){.topic = t->topic, .partition = p};
    while (leat_offsets_list(t->client, LEAT_OFFSET_LATEST, rows, (size_t)t->partitions,
                             1000, &error) != LEAT_OK)
        if (now_ms() > deadline)
            return false;
    for (;;) {
        int32_t done = 0;

        for (int32_t p = 0; p < t->partitions; p++) {
            int64_t position;

            done +=
                leat_consumer_position(t->consumer, t->topic, p, &position) == LEAT_OK &&
                position >= rows[p].offset;
        }
        if (done == t->partitions)
            return true;
        if (now_ms() > deadline)
            return false;
        read_some(t, 100);
    }
}

static leat_conf *configure(const char *brokers)
{
    static const char *const settings[][2] = {
        {"group.id", "torture"},
        {"auto.commit.interval.ms", "50ms"},
        {"session.timeout.ms", "6s"},
        {"retry.backoff.ms", "20ms"},
        {"retry.backoff.max.ms", "100ms"},
        {"reconnect.backoff.ms", "20ms"},
        {"reconnect.backoff.max.ms", "100ms"},
        {"batch.bytes", "8K"},
        {"request.timeout.ms", "5s"},
    };
    leat_conf *conf = leat_conf_new();
    leat_error error;

    if (conf == NULL ||
        leat_conf_set(conf, "bootstrap.servers", brokers, &error) != LEAT_OK)
        return NULL;
    for (size_t n = 0; n < sizeof settings / sizeof settings[0]; n++)
        if (leat_conf_set(conf, settings[n][0], settings[n][1], &error) != LEAT_OK) {
            fprintf(stderr, "%s\n", error.text);
            return NULL;
        }
    return conf;
}

static int open_all(struct torture *t, const char *brokers)
{
    leat_conf *conf = configure(brokers);
    leat_error error = {.text = "out of memory"};

    t->offset_of = calloc(RECORDS_MAX, sizeof *t->offset_of);
    t->first_read = calloc(RECORDS_MAX, sizeof *t->first_read);
    t->last_read = calloc(RECORDS_MAX, sizeof *t->last_read);
    t->seen = calloc(RECORDS_MAX, 1);
    for (int32_t p = 0; p < t->partitions; p++)
        t->highest[p] = -1;
    t->client = conf ? leat_client_open(conf, &error) : NULL;
    if (t->client != NULL)
        t->producer = leat_producer_open(t->client, NULL, delivered, t, &error);
    if (t->producer != NULL)
        t->consumer = leat_consumer_open(t->client, NULL, &error);
    leat_conf_free(conf);
    if (t->consumer == NULL || t->offset_of == NULL || t->first_read == NULL ||
        t->last_read == NULL || t->seen == NULL) {
        fprintf(stderr, "%s: %s\n", error.where, error.text);
        return -1;
    }
    leat_consumer_on_rebalance(t->consumer, rebalanced, t);
    if (leat_consumer_subscribe(t->consumer, &t->topic, 1, &error) != LEAT_OK) {
        fprintf(stderr, "%s: %s\n", error.where, error.text);
        return -1;
    }
    return 0;
}

static uint64_t count_lost(const struct torture *t)
{
    uint64_t lost = 0;

    for (uint32_t n = 0; n < t->sent; n++)
        if (t->offset_of[n] >= 0 &&
            (t->seen[n] == 0 || (t->offset_of[n] != t->first_read[n] &&
                                 t->offset_of[n] != t->last_read[n]))) {
            if (lost++ < 5)
                fprintf(stderr,
                        "%u: acknowledged at %" PRId64
                        " of partition %u, read %u times\n",
                        n, t->offset_of[n], n % (uint32_t)t->partitions, t->seen[n]);
        }
    return lost;
}

static uint32_t allowed(int64_t rate, int64_t ms)
{
    return rate <= 0 || rate * ms / 1000 > RECORDS_MAX ? RECORDS_MAX
                                                       : (uint32_t)(rate * ms / 1000);
}

int main(int argc, char **argv)
{
    static struct torture t;
    int64_t start, end, rate, next_check = 0;
    uint64_t lost;
    size_t left;
    bool complete;

    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: torture BROKERS TOPIC PARTITIONS SECONDS [RATE]\n");
        return 2;
    }
    t.topic = argv[2];
    t.partitions = (int32_t)strtol(argv[3], NULL, 10);
    if (t.partitions < 1 || t.partitions > PARTITIONS_MAX || open_all(&t, argv[1]) != 0)
        return 2;
    rate = argc == 6 ? strtol(argv[5], NULL, 10) : 0;
    start = now_ms();
    end = start + strtol(argv[4], NULL, 10) * 1000;
    while (now_ms() < end) {
        t.allowed = allowed(rate, now_ms() - start);
        publish_some(&t);
        read_some(&t, 2);
        if (now_ms() >= next_check) {
            check_committed(&t);
            next_check = now_ms() + 200;
        }
    }
    left = leat_producer_flush(t.producer, 60000);
    complete = read_to_the_end(&t, now_ms() + 60000);
    check_committed(&t);
    lost = count_lost(&t);
    printf("{\"sent\":%u,\"acknowledged\":%u,\"unknown\":%u,\"undelivered\":%zu,\"read\":"
           "%" PRIu64 ",\"repeats\":%" PRIu64 ",\"rebalances\":%" PRIu64
           ",\"lost\":%" PRIu64 ",\"disorder\":%" PRIu64 ",\"backwards\":%" PRIu64
           ",\"foreign\":%" PRIu64 ",\"complete\":%s}\n",
           t.sent, t.acknowledged, t.unknown, left, t.read, t.repeats, t.rebalances, lost,
           t.disorder, t.backwards, t.misplaced, complete ? "true" : "false");
    leat_consumer_close(t.consumer, 5000);
    leat_producer_close(t.producer, 1000);
    leat_client_close(t.client, 1000);
    free(t.offset_of);
    free(t.first_read);
    free(t.last_read);
    free(t.seen);
    return lost == 0 && t.disorder == 0 && t.backwards == 0 && t.misplaced == 0 &&
                   complete && left == 0
               ? 0
               : 1;
}
