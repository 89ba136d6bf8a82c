/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/metrics_page.h"

#include "proto/rpc/codec.h"

enum metric_kind { KIND_COUNTER, KIND_GAUGE };

struct metric_row {
    const char *name;
    enum metric_kind kind;
    const char *text;
};

static const struct metric_row rows[METRIC_COUNT] = {
#define METRIC(id, name, kind, text) {name, KIND_##kind, text},
#include "broker/core/metrics.def"
#undef METRIC
};

static void head(struct writer *w, const char *name, enum metric_kind kind,
                 const char *text)
{
    write_format(w, "# HELP %s %s\n# TYPE %s %s\n", name, text, name,
                 kind == KIND_COUNTER ? "counter" : "gauge");
}

static uint64_t sum(const struct metrics_view *view, enum metric_id id)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < view->shard_count; i++)
        total += metric_get(view->shards[i], id);
    return total;
}

static void table(const struct metrics_view *view, struct writer *w)
{
    for (unsigned i = 0; i < METRIC_COUNT; i++) {
        head(w, rows[i].name, rows[i].kind, rows[i].text);
        write_format(w, "%s %llu\n", rows[i].name,
                     (unsigned long long)sum(view, (enum metric_id)i));
    }
}

/* What is counted per kind of request. */
struct per_api {
    const char *name;
    const char *text;
    size_t offset; /* of the array in struct metrics */
    bool micros;
};

static const struct per_api per_api[] = {
    {"leat_requests_total", "requests that were answered",
     offsetof(struct metrics, requests), false},
    {"leat_request_errors_total", "requests that were answered with an error",
     offsetof(struct metrics, errors), false},
    {"leat_request_seconds_total",
     "time between the arrival of requests and their answers, waiting for records "
     "included",
     offsetof(struct metrics, micros), true},
};

static uint64_t api_sum(const struct metrics_view *view, size_t offset, unsigned api)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < view->shard_count; i++) {
        const _Atomic uint64_t *array =
            (const void *)((const char *)view->shards[i] + offset);

        total += atomic_load_explicit(&array[api], memory_order_relaxed);
    }
    return total;
}

static void write_micros(struct writer *w, uint64_t micros)
{
    write_format(w, "%llu.%06llu\n", (unsigned long long)(micros / 1000000),
                 (unsigned long long)(micros % 1000000));
}

static void requests(const struct metrics_view *view, struct writer *w)
{
    for (size_t m = 0; m < sizeof per_api / sizeof per_api[0]; m++) {
        const struct rpc_api_row *row;

        head(w, per_api[m].name, KIND_COUNTER, per_api[m].text);
        for (size_t i = 0; (row = rpc_api_at(i)) != NULL; i++) {
            uint64_t value = api_sum(view, per_api[m].offset, row->api);

            write_format(w, "%s{api=\"%s\"} ", per_api[m].name, row->name);
            if (per_api[m].micros)
                write_micros(w, value);
            else
                write_format(w, "%llu\n", (unsigned long long)value);
        }
    }
}

static void number(struct writer *w, const char *name, enum metric_kind kind,
                   const char *text, uint64_t value)
{
    head(w, name, kind, text);
    write_format(w, "%s %llu\n", name, (unsigned long long)value);
}

static void process(const struct metrics_view *view, struct writer *w)
{
    const struct process *p = &view->process;

    head(w, "process_cpu_seconds_total", KIND_COUNTER, "processor time of the process");
    write_text(w, "process_cpu_seconds_total ");
    write_micros(w, p->cpu_us);
    head(w, "process_start_time_seconds", KIND_GAUGE, "when the process started");
    write_format(w, "process_start_time_seconds %lld.%03d\n",
                 (long long)(p->started_ms / 1000), (int)(p->started_ms % 1000));
    number(w, "process_resident_memory_bytes", KIND_GAUGE, "memory of the process",
           p->resident_bytes);
    number(w, "process_open_fds", KIND_GAUGE, "open descriptors", p->open_files);
    number(w, "process_max_fds", KIND_GAUGE, "descriptors that may be open",
           p->open_files_max);
}

void metrics_page(const struct metrics_view *view, struct writer *w)
{
    head(w, "leat_build_info", KIND_GAUGE, "what is running");
    write_format(w, "leat_build_info{version=\"%s\",disk=\"%s\",shards=\"%u\"} 1\n",
                 LEAT_VERSION, view->disk, view->shard_count);
    number(w, "leat_ready", KIND_GAUGE, "whether the broker serves requests",
           view->ready);
    table(view, w);
    requests(view, w);
    process(view, w);
}
