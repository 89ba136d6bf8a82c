/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/bench.h"

#include "tools/leat/broker_cpu.h"
#include "tools/leat/output.h"
#include "tools/leat/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROBE_MS = 1500, PARTITIONS_MAX = 100000 };

static int read_flags(struct bench *b)
{
    const char *size = flag_text(b->i, "size", "100");
    const char *duration = flag_text(b->i, "duration", "5s");

    if (!parse_bytes(size, &b->size) || b->size < 1 || b->size > 64 << 20)
        return fail(b->i->output, EXIT_USAGE, "-s '%s': a size from 1 to 64M", size);
    if (!parse_duration(duration, &b->duration_ms) || b->duration_ms < 100 ||
        b->duration_ms > 3600000)
        return fail(b->i->output, EXIT_USAGE, "-d '%s': a duration from 100ms to 1h",
                    duration);
    if (!flag_number(b->i, "partitions", 1, 1, PARTITIONS_MAX, &b->partitions) ||
        !flag_number(b->i, "records", 0, 1, INT64_MAX, &b->records))
        return EXIT_USAGE;
    b->value = malloc((size_t)b->size);
    if (b->value == NULL)
        return fail(b->i->output, EXIT_REFUSED, "out of memory");
    /* Text-like: neither constant nor random. */
    for (int64_t n = 0; n < b->size; n++)
        b->value[n] = (char)('a' + (n * 7 + n / 13) % 26);
    return EXIT_DONE;
}

/* The broker's port, from the first address that we connect to. */
static uint16_t first_port(const char *brokers)
{
    const char *end = strchr(brokers, ','), *colon = NULL;

    for (const char *p = brokers; *p != '\0' && p != end; p++)
        if (*p == ':')
            colon = p;
    return colon != NULL ? (uint16_t)strtoul(colon + 1, NULL, 10) : 9092;
}

/* The probe writes where the broker writes, if that is on this machine. */
static void choose_data(struct bench *b)
{
    const char *given = flag_text(b->i, "data", NULL);
    const leat_config_row *row;
    leat_error error;
    leat_reply *reply;

    snprintf(b->data, sizeof b->data, "%s", given != NULL ? given : ".");
    if (given != NULL || b->broker == 0 ||
        leat_config_describe(b->client, LEAT_BROKER, "", &reply,
                             session_timeout_ms(b->i->session), &error) != LEAT_OK)
        return;
    for (size_t at = 0; (row = leat_reply_config(reply, at)) != NULL; at++)
        if (strcmp(row->key, "data") == 0 && access(row->value, W_OK) == 0)
            snprintf(b->data, sizeof b->data, "%s", row->value);
    leat_reply_free(reply);
}

static int make_topic(struct bench *b)
{
    const char *given = flag_text(b->i, "topic", NULL);
    leat_error error;

    if (given != NULL) {
        snprintf(b->topic, sizeof b->topic, "%s", given);
        return EXIT_DONE;
    }
    snprintf(b->topic, sizeof b->topic, "leat-bench-%d", (int)getpid());
    if (leat_topic_create(b->client, b->topic, (int32_t)b->partitions, 0, NULL, 0, false,
                          session_timeout_ms(b->i->session), &error) != LEAT_OK)
        return fail_error(b->i->output, &error);
    b->made = true;
    return EXIT_DONE;
}

int bench_open(struct bench *b, struct invocation *i)
{
    int code;

    *b = (struct bench){.i = i};
    code = read_flags(b);
    if (code != EXIT_DONE)
        return code;
    b->client = session_client(i->session);
    if (b->client == NULL)
        return EXIT_REFUSED;
    code = make_topic(b);
    if (code != EXIT_DONE)
        return code;
    b->broker = broker_pid(first_port(session_brokers(i->session)));
    choose_data(b);
    say(i->output, "measuring what disk and loopback can do at best ...");
    probe_run(&b->probe, b->data, PROBE_MS);
    if (!b->probe.disk)
        say(i->output, "no disk probe: %s (choose a directory with --data)",
            b->probe.why);
    return EXIT_DONE;
}

void bench_start(struct bench *b)
{
    b->cpu_us = broker_cpu_us(b->broker);
}

void bench_stop(struct bench *b)
{
    b->cpu_us = broker_cpu_us(b->broker) - b->cpu_us;
    b->resident = broker_resident_bytes(b->broker);
}

static void print_json(const struct bench *b, const struct bench_result *r)
{
    const struct probe *p = &b->probe;
    double seconds = (double)r->elapsed_us / 1e6;

    printf("{\"benchmark\":\"%s\",\"records\":%llu,\"failed\":%llu,\"value_bytes\":%lld,"
           "\"seconds\":%.3f,\"records_per_second\":%.0f,\"bytes_per_second\":%.0f,",
           r->what, (unsigned long long)r->records, (unsigned long long)r->failed,
           (long long)b->size, seconds, (double)r->records / seconds,
           (double)r->bytes / seconds);
    if (r->latency != NULL)
        printf("\"p50_us\":%llu,\"p99_us\":%llu,\"p999_us\":%llu,\"max_us\":%llu,",
               (unsigned long long)histogram_at(r->latency, 50),
               (unsigned long long)histogram_at(r->latency, 99),
               (unsigned long long)histogram_at(r->latency, 99.9),
               (unsigned long long)r->latency->max_us);
    if (b->broker != 0)
        printf("\"broker_cpu_us_per_record\":%.4f,\"broker_resident_bytes\":%llu,",
               (double)b->cpu_us / (double)(r->records ? r->records : 1),
               (unsigned long long)b->resident);
    if (r->ratio > 0)
        printf("\"ratio\":%.3f,", r->ratio);
    printf("\"probe\":{\"write_p50_us\":%llu,\"round_trip_p50_us\":%llu,"
           "\"disk_bytes_per_second\":%.0f,\"loopback_bytes_per_second\":%.0f,"
           "\"direct\":%s}}\n",
           (unsigned long long)p->write_p50_us, (unsigned long long)p->round_trip_p50_us,
           p->disk_bytes_per_s, p->loopback_bytes_per_s, p->direct ? "true" : "false");
}

void bench_print(const struct bench *b, const struct bench_result *r)
{
    const struct probe *p = &b->probe;
    double seconds = (double)(r->elapsed_us ? r->elapsed_us : 1) / 1e6;
    char text[32], rate[32], size[32];

    if (b->i->output->format == OUTPUT_JSON) {
        print_json(b, r);
        return;
    }
    printf("%s: %s records of %s in %.2f s: %s records/s, ", r->what,
           count_text(r->records, text), bytes_text((uint64_t)b->size, size), seconds,
           count_text((uint64_t)((double)r->records / seconds), rate));
    printf("%s/s", bytes_text((uint64_t)((double)r->bytes / seconds), rate));
    if (r->failed > 0)
        printf("  (%s FAILED)", count_text(r->failed, text));
    putchar('\n');
    if (r->latency != NULL)
        printf("latency: p50 %llu us, p99 %llu us, p99.9 %llu us, max %llu us\n",
               (unsigned long long)histogram_at(r->latency, 50),
               (unsigned long long)histogram_at(r->latency, 99),
               (unsigned long long)histogram_at(r->latency, 99.9),
               (unsigned long long)r->latency->max_us);
    if (b->broker != 0)
        printf("broker: %.3f us of processor per record, %.0f %% of one, %s resident\n",
               (double)b->cpu_us / (double)(r->records ? r->records : 1),
               (double)b->cpu_us / (double)r->elapsed_us * 100,
               bytes_text(b->resident, text));
    if (p->disk)
        printf("probe: durable 4 KiB write p50 %llu us, 64 B round trip p50 %llu us, "
               "disk %s/s, ",
               (unsigned long long)p->write_p50_us,
               (unsigned long long)p->round_trip_p50_us,
               bytes_text((uint64_t)p->disk_bytes_per_s, text));
    else
        printf("probe: 64 B round trip p50 %llu us, ",
               (unsigned long long)p->round_trip_p50_us);
    printf("loopback %s/s\n", bytes_text((uint64_t)p->loopback_bytes_per_s, text));
    if (r->ratio > 0)
        printf("ratio: %.2fx %s\n", r->ratio, r->ratio_text);
}

void bench_close(struct bench *b)
{
    leat_error error;

    if (b->made && !flag_given(b->i, "keep") &&
        leat_topic_delete(b->client, b->topic, session_timeout_ms(b->i->session),
                          &error) != LEAT_OK)
        fail_error(b->i->output, &error);
    free(b->value);
}

leat_producer *bench_producer(struct bench *b, const char *linger,
                              leat_delivery_fn *delivered, void *arg)
{
    const char *batch = flag_text(b->i, "batch", "64K");
    const char *acks = flag_text(b->i, "acks", "all");
    const char *codec = flag_text(b->i, "compression", "none");
    leat_conf *conf = session_conf(b->i->session);
    leat_producer *producer = NULL;
    leat_error error;

    if (conf == NULL)
        return NULL;
    if (leat_conf_set(conf, "linger.ms", linger, &error) == LEAT_OK &&
        leat_conf_set(conf, "batch.bytes", batch, &error) == LEAT_OK &&
        leat_conf_set(conf, "acks", acks, &error) == LEAT_OK &&
        leat_conf_set(conf, "compression.type", codec, &error) == LEAT_OK)
        producer = leat_producer_open(b->client, conf, delivered, arg, &error);
    leat_conf_free(conf);
    if (producer == NULL)
        fail_error(b->i->output, &error);
    return producer;
}

static leat_offset *all_partitions(struct bench *b, int64_t where, leat_reply **reply,
                                   size_t *count)
{
    const char *topics[] = {b->topic};
    leat_offset *rows;
    leat_error error;

    if (leat_topics_describe(b->client, topics, 1, false, false, reply,
                             session_timeout_ms(b->i->session), &error) != LEAT_OK) {
        fail_error(b->i->output, &error);
        return NULL;
    }
    *count = leat_reply_len(*reply);
    rows = calloc(*count + 1, sizeof *rows);
    for (size_t n = 0; rows != NULL && n < *count; n++)
        rows[n] = (leat_offset){.topic = b->topic,
                                .partition = leat_reply_partition(*reply, n)->partition,
                                .offset = where};
    return rows;
}

leat_consumer *bench_consumer(struct bench *b, int64_t where)
{
    leat_reply *reply = NULL;
    size_t count = 0;
    leat_offset *rows = all_partitions(b, where, &reply, &count);
    leat_consumer *consumer = NULL;
    leat_error error;

    if (rows != NULL) {
        consumer = leat_consumer_open(b->client, NULL, &error);
        if (consumer == NULL) {
            fail_error(b->i->output, &error);
        } else if (leat_consumer_assign(consumer, rows, count, &error) != LEAT_OK) {
            fail_error(b->i->output, &error);
            leat_consumer_close(consumer, 1000);
            consumer = NULL;
        }
    }
    free(rows);
    if (reply != NULL)
        leat_reply_free(reply);
    return consumer;
}
