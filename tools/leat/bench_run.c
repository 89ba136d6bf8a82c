/* SPDX-License-Identifier: Apache-2.0
 *
 * leat bench produce, consume and e2e: the measured loops. */
#include "tools/leat/bench.h"
#include "tools/leat/output.h"
#include "tools/leat/run.h"
#include "tools/leat/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CLOSE_MS = 60000, SAMPLE = 64, SLOTS = 1 << 16 };

struct produce_run {
    struct bench bench;
    leat_producer *producer;
    struct histogram latency;
    uint64_t acknowledged, failed;
    uint64_t sent_us[SLOTS]; /* when sampled records were handed over */
};

static void delivered(const leat_delivery *d, void *arg)
{
    struct produce_run *r = arg;
    size_t slot = (size_t)d->arg;

    if (d->code != LEAT_OK) {
        r->failed++;
        return;
    }
    r->acknowledged++;
    if (slot > 0)
        histogram_add(&r->latency, now_us() - r->sent_us[slot - 1]);
}

static bool keeps_on(const struct bench *b, uint64_t sent, uint64_t started)
{
    if (session_interrupted())
        return false;
    if (b->records > 0)
        return sent < (uint64_t)b->records;
    return now_us() - started < (uint64_t)b->duration_ms * 1000;
}

/* As many as the buffer takes, acknowledgements as they come. */
static int produce_pipelined(struct produce_run *r, uint64_t started)
{
    struct bench *b = &r->bench;
    leat_record record = {.size = sizeof record, .topic = b->topic};
    uint64_t sent = 0;
    leat_error error;

    record.value = (leat_bytes){b->value, (size_t)b->size};
    while (sent % SAMPLE != 0 || keeps_on(b, sent, started)) {
        /* With many partitions each gets its turn, batch by batch, from the partitioner.
         */
        size_t slot = sent % SAMPLE == 0 ? (sent / SAMPLE) % SLOTS + 1 : 0;
        int result;

        record.partition = LEAT_PARTITION_ANY;
        if (slot > 0)
            r->sent_us[slot - 1] = now_us();
        result = leat_producer_send(r->producer, &record, (void *)slot, &error);
        if (result == LEAT_E_QUEUE_FULL) {
            leat_client_wait(b->client, 100);
            continue;
        }
        if (result != LEAT_OK)
            return fail_error(b->i->output, &error);
        if (++sent % 4096 == 0)
            leat_client_dispatch(b->client, 4096);
        if (b->records > 0 && sent == (uint64_t)b->records)
            break;
    }
    leat_producer_flush(r->producer, CLOSE_MS);
    return EXIT_DONE;
}

/* One at a time: each waits for its acknowledgement. */
static int produce_singly(struct produce_run *r, uint64_t started)
{
    struct bench *b = &r->bench;
    leat_record record = {.size = sizeof record, .topic = b->topic};
    leat_error error;

    record.value = (leat_bytes){b->value, (size_t)b->size};
    while (keeps_on(b, r->acknowledged, started)) {
        uint64_t at = now_us();

        record.partition = (int32_t)(r->acknowledged % (uint64_t)b->partitions);
        if (leat_producer_send_sync(r->producer, &record, NULL, NULL, 10000, &error) !=
            LEAT_OK)
            return fail_error(b->i->output, &error);
        histogram_add(&r->latency, now_us() - at);
        r->acknowledged++;
    }
    return EXIT_DONE;
}

static void report_produce(struct produce_run *r, uint64_t elapsed, bool singly)
{
    struct bench *b = &r->bench;
    const struct probe *p = &b->probe;
    struct bench_result result = {
        .what = "produce",
        .records = r->acknowledged,
        .bytes = r->acknowledged * (uint64_t)b->size,
        .failed = r->failed,
        .elapsed_us = elapsed,
        .latency = &r->latency,
    };

    if (singly && p->disk) {
        result.ratio = (double)histogram_at(&r->latency, 50) /
                       (double)(p->write_p50_us + p->round_trip_p50_us);
        result.ratio_text =
            "the probe's durable write + round trip (p50; lower is better)";
    } else if (p->disk) {
        double limit = p->disk_bytes_per_s < p->loopback_bytes_per_s
                           ? p->disk_bytes_per_s
                           : p->loopback_bytes_per_s;

        result.ratio = (double)result.bytes * 1e6 / (double)elapsed / limit;
        result.ratio_text = "of the lower of disk and loopback throughput";
    }
    bench_print(b, &result);
}

int run_bench_produce(struct invocation *i)
{
    struct produce_run *r = calloc(1, sizeof *r);
    uint64_t started, elapsed;
    int64_t in_flight;
    int code;

    if (r == NULL)
        return fail(i->output, EXIT_REFUSED, "out of memory");
    if (!flag_number(i, "in-flight", 0, 1, 1, &in_flight)) {
        free(r);
        return EXIT_USAGE;
    }
    session_on_interrupt(NULL);
    /* Without a thread of its own the library answers on the caller's: two wakes less. */
    if (in_flight == 1)
        session_prefer(i->session, "client.threads", "0");
    code = bench_open(&r->bench, i);
    if (code == EXIT_DONE) {
        r->producer =
            bench_producer(&r->bench, in_flight == 1 ? "0" : "5ms", delivered, r);
        code = r->producer != NULL ? EXIT_DONE : EXIT_USAGE;
    }
    if (code == EXIT_DONE) {
        bench_start(&r->bench);
        started = now_us();
        code =
            in_flight == 1 ? produce_singly(r, started) : produce_pipelined(r, started);
        elapsed = now_us() - started;
        bench_stop(&r->bench);
        leat_producer_close(r->producer, CLOSE_MS);
        if (code == EXIT_DONE)
            report_produce(r, elapsed, in_flight == 1);
        if (r->failed > 0)
            code = EXIT_REFUSED;
    }
    bench_close(&r->bench);
    free(r);
    return code;
}

/* ---- consume -------------------------------------------------------------------------
 */

static int fill(struct bench *b, int64_t records)
{
    leat_producer *producer = bench_producer(b, "5ms", NULL, NULL);
    leat_record record = {
        .size = sizeof record, .topic = b->topic, .partition = LEAT_PARTITION_ANY};
    leat_error error;
    size_t left;

    if (producer == NULL)
        return EXIT_USAGE;
    record.value = (leat_bytes){b->value, (size_t)b->size};
    for (int64_t n = 0; n < records && !session_interrupted();) {
        int result = leat_producer_send(producer, &record, NULL, &error);

        if (result == LEAT_E_QUEUE_FULL)
            leat_client_wait(b->client, 100);
        else if (result != LEAT_OK)
            return fail_error(b->i->output, &error);
        else
            n++;
    }
    leat_producer_flush(producer, CLOSE_MS);
    left = leat_producer_close(producer, CLOSE_MS);
    return left == 0
               ? EXIT_DONE
               : fail(b->i->output, EXIT_REFUSED, "%zu records were not stored", left);
}

static int read_all(struct bench *b, leat_consumer *consumer, uint64_t wanted,
                    struct bench_result *result)
{
    uint64_t started = now_us(), last = started;
    leat_batch *batch;
    leat_error error;

    while (result->records < wanted && !session_interrupted()) {
        int n = leat_consumer_poll(consumer, &batch, 1000, &error);

        if (n < 0 && !error.retriable)
            return fail_error(b->i->output, &error);
        if (n > 0) {
            for (size_t at = 0; at < (size_t)n; at++)
                result->bytes += leat_batch_at(batch, at)->value.len;
            result->records += (uint64_t)n;
            leat_batch_free(batch);
            last = now_us();
        } else if (now_us() - last > 10000000) {
            return fail(b->i->output, EXIT_UNREACHABLE,
                        "no record for 10 s, %llu of %llu were read",
                        (unsigned long long)result->records, (unsigned long long)wanted);
        }
    }
    result->elapsed_us = last - started;
    return EXIT_DONE;
}

int run_bench_consume(struct invocation *i)
{
    struct bench_result result = {.what = "consume"};
    leat_consumer *consumer = NULL;
    struct bench b;
    int code;

    session_on_interrupt(NULL);
    code = bench_open(&b, i);
    /* By default 32 MB: what a broker's hot tail holds. */
    if (b.records == 0)
        b.records = b.size > 0 ? (32 << 20) / b.size + 1 : 1;
    if (code == EXIT_DONE && b.made)
        code = fill(&b, b.records);
    if (code == EXIT_DONE) {
        consumer = bench_consumer(&b, LEAT_OFFSET_EARLIEST);
        code = consumer != NULL ? EXIT_DONE : EXIT_REFUSED;
    }
    if (code == EXIT_DONE) {
        bench_start(&b);
        code = read_all(&b, consumer, (uint64_t)b.records, &result);
        bench_stop(&b);
    }
    if (consumer != NULL)
        leat_consumer_close(consumer, 2000);
    if (code == EXIT_DONE) {
        result.ratio = b.probe.loopback_bytes_per_s > 0
                           ? (double)result.bytes * 1e6 / (double)result.elapsed_us /
                                 b.probe.loopback_bytes_per_s
                           : 0;
        result.ratio_text = "of loopback throughput";
        bench_print(&b, &result);
    }
    bench_close(&b);
    return code;
}

/* ---- end to end ----------------------------------------------------------------------
 */

struct e2e {
    struct bench bench;
    leat_producer *producer;
    leat_consumer *consumer;
    struct histogram latency;
    uint64_t sent, received;
    int64_t rate;
};

/* Take what has arrived, waiting `ms` at most. A record's value begins with the time at
 * which it was due to be sent, so a stall counts against all that it held up. */
static int receive(struct e2e *e, int ms)
{
    leat_batch *batch;
    leat_error error;
    int n = leat_consumer_poll(e->consumer, &batch, ms, &error);

    if (n < 0 && !error.retriable)
        return fail_error(e->bench.i->output, &error);
    if (n <= 0)
        return EXIT_DONE;
    for (size_t at = 0; at < (size_t)n; at++) {
        uint64_t due;

        memcpy(&due, leat_batch_at(batch, at)->value.data, sizeof due);
        histogram_add(&e->latency, now_us() - due);
    }
    e->received += (uint64_t)n;
    leat_batch_free(batch);
    return EXIT_DONE;
}

static int exchange(struct e2e *e)
{
    struct bench *b = &e->bench;
    leat_record record = {
        .size = sizeof record, .topic = b->topic, .partition = LEAT_PARTITION_ANY};
    uint64_t started = now_us(), end = started + (uint64_t)b->duration_ms * 1000;
    uint64_t give_up = end + 10000000;
    int code = EXIT_DONE;
    leat_error error;

    record.value = (leat_bytes){b->value, (size_t)b->size};
    while (code == EXIT_DONE && !session_interrupted()) {
        uint64_t due = started + e->sent * 1000000 / (uint64_t)e->rate, now = now_us();

        if (due >= end ? e->received >= e->sent || now > give_up : false)
            break;
        if (due < end && due <= now) {
            memcpy(b->value, &due, sizeof due);
            if (leat_producer_send(e->producer, &record, NULL, &error) != LEAT_OK)
                return fail_error(b->i->output, &error);
            e->sent++;
            continue;
        }
        code =
            receive(e, due > now && due - now < 1000000 ? (int)((due - now) / 1000) : 10);
    }
    return code;
}

static int open_e2e(struct e2e *e, struct invocation *i)
{
    int code = EXIT_USAGE;

    if (!flag_number(i, "rate", 1000, 1, 10000000, &e->rate))
        return code;
    code = bench_open(&e->bench, i);
    if (code != EXIT_DONE)
        return code;
    if (e->bench.size < (int64_t)sizeof(uint64_t))
        return fail(i->output, EXIT_USAGE, "-s: at least 8 bytes, for the time stamp");
    e->producer = bench_producer(&e->bench, "0", NULL, NULL);
    e->consumer = e->producer ? bench_consumer(&e->bench, LEAT_OFFSET_LATEST) : NULL;
    return e->consumer != NULL ? EXIT_DONE : EXIT_REFUSED;
}

int run_bench_e2e(struct invocation *i)
{
    struct e2e *e = calloc(1, sizeof *e);
    struct bench_result result = {.what = "e2e"};
    uint64_t started;
    int code;

    if (e == NULL)
        return fail(i->output, EXIT_REFUSED, "out of memory");
    session_on_interrupt(NULL);
    code = open_e2e(e, i);
    if (code == EXIT_DONE) {
        receive(e, 200); /* the consumer has found its place */
        bench_start(&e->bench);
        started = now_us();
        code = exchange(e);
        result.elapsed_us = now_us() - started;
        bench_stop(&e->bench);
    }
    if (code == EXIT_DONE) {
        const struct probe *p = &e->bench.probe;

        result.records = e->received;
        result.failed = e->sent - e->received;
        result.bytes = e->received * (uint64_t)e->bench.size;
        result.latency = &e->latency;
        if (p->disk) {
            result.ratio = (double)histogram_at(&e->latency, 50) /
                           (double)(p->write_p50_us + p->round_trip_p50_us);
            result.ratio_text =
                "the probe's durable write + round trip (p50; lower is better)";
        }
        bench_print(&e->bench, &result);
        if (result.failed > 0)
            code = fail(i->output, EXIT_REFUSED, "%llu records did not arrive",
                        (unsigned long long)result.failed);
    }
    if (e->producer != NULL)
        leat_producer_close(e->producer, 2000);
    if (e->consumer != NULL)
        leat_consumer_close(e->consumer, 2000);
    bench_close(&e->bench);
    free(e);
    return code;
}
