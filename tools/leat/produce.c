/* SPDX-License-Identifier: Apache-2.0
 *
 * leat produce: lines in, records out. Exit code 0 only when every line was acknowledged.
 */
#include "tools/leat/output.h"
#include "tools/leat/progress.h"
#include "tools/leat/run.h"
#include "tools/leat/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADERS_MAX = 64, ERRORS_SHOWN = 5, DISPATCH_EVERY = 1024 };

struct publish {
    struct invocation *i;
    leat_client *client;
    leat_producer *producer;
    leat_record record; /* what all records share */
    leat_header headers[HEADERS_MAX];
    const char *separator;
    bool tombstones;
    uint64_t sent, acknowledged, failed, bytes;
    leat_error first_error;
    struct progress progress;
};

static void delivered(const leat_delivery *d, void *arg)
{
    struct publish *p = arg;

    if (d->code == LEAT_OK) {
        p->acknowledged++;
        return;
    }
    if (p->failed++ == 0)
        p->first_error = *d->error;
    if (p->failed <= ERRORS_SHOWN)
        fprintf(stderr, "leat: line %zu: %s\n", (size_t)d->arg, d->error->text);
}

static int read_headers(struct publish *p)
{
    const char *text;

    for (unsigned n = 0; (text = flag_nth(p->i, "header", n)) != NULL; n++) {
        const char *colon = strchr(text, ':');

        if (colon == NULL || n == HEADERS_MAX)
            return fail(p->i->output, EXIT_USAGE, "-H %s: write NAME:VALUE", text);
        p->headers[n] =
            (leat_header){{text, (size_t)(colon - text)}, {colon + 1, strlen(colon + 1)}};
        p->record.header_count = n + 1;
    }
    p->record.headers = p->headers;
    return EXIT_DONE;
}

static int read_flags(struct publish *p)
{
    const char *key = flag_text(p->i, "key", NULL);
    int64_t partition;

    if (!flag_number(p->i, "partition", LEAT_PARTITION_ANY, 0, INT32_MAX, &partition))
        return EXIT_USAGE;
    p->separator = flag_text(p->i, "key-separator", NULL);
    if (p->separator != NULL && (p->separator[0] == '\0' || key != NULL))
        return fail(p->i->output, EXIT_USAGE,
                    "-K needs a separator, and no -k beside it");
    if (p->separator != NULL && strcmp(p->separator, "\\t") == 0)
        p->separator = "\t";
    p->tombstones = flag_given(p->i, "tombstone");
    p->record = (leat_record){.size = sizeof p->record,
                              .topic = p->i->arguments[0],
                              .partition = (int32_t)partition};
    if (key != NULL)
        p->record.key = (leat_bytes){key, strlen(key)};
    return read_headers(p);
}

static int open_producer(struct publish *p)
{
    static const struct {
        const char *flag, *key;
    } settings[] = {
        {"acks", "acks"}, {"compression", "compression.type"}, {"linger", "linger.ms"}};
    leat_conf *conf = session_conf(p->i->session);
    int code = EXIT_DONE;
    leat_error error;

    if (conf == NULL)
        return EXIT_USAGE;
    for (size_t n = 0; n < 3 && code == EXIT_DONE; n++) {
        const char *value = flag_text(p->i, settings[n].flag, NULL);

        if (value != NULL &&
            leat_conf_set(conf, settings[n].key, value, &error) != LEAT_OK)
            code = fail_error(p->i->output, &error);
    }
    p->client = code == EXIT_DONE ? session_client(p->i->session) : NULL;
    if (p->client != NULL) {
        p->producer = leat_producer_open(p->client, conf, delivered, p, &error);
        if (p->producer == NULL)
            code = fail_error(p->i->output, &error);
    } else if (code == EXIT_DONE) {
        code = EXIT_REFUSED;
    }
    leat_conf_free(conf);
    return code;
}

static int send_line(struct publish *p, const char *line, size_t len)
{
    const char *split = NULL;
    leat_record r = p->record;
    leat_error error;
    int result;

    if (p->separator != NULL)
        split = memmem(line, len, p->separator, strlen(p->separator));
    if (split != NULL) {
        r.key = (leat_bytes){line, (size_t)(split - line)};
        len -= (size_t)(split - line) + strlen(p->separator);
        line = split + strlen(p->separator);
    }
    if (len > 0 || !p->tombstones)
        r.value = (leat_bytes){line, len};
    while ((result = leat_producer_send(p->producer, &r, (void *)(size_t)(p->sent + 1),
                                        &error)) == LEAT_E_QUEUE_FULL) {
        leat_client_wait(p->client, 100);
        progress_update(&p->progress, p->acknowledged, p->bytes);
        if (session_interrupted())
            return EXIT_INTERRUPTED;
    }
    if (result != LEAT_OK)
        return fail_error(p->i->output, &error);
    p->sent++;
    p->bytes += len;
    if (p->sent % DISPATCH_EVERY == 0) {
        leat_client_dispatch(p->client, DISPATCH_EVERY);
        progress_update(&p->progress, p->acknowledged, p->bytes);
    }
    return EXIT_DONE;
}

static int send_lines(struct publish *p, FILE *from)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len;
    int code = EXIT_DONE;

    while (code == EXIT_DONE && !session_interrupted() &&
           (len = getline(&line, &size, from)) >= 0) {
        if (len > 0 && line[len - 1] == '\n')
            len--;
        code = send_line(p, line, (size_t)len);
    }
    if (code == EXIT_DONE && ferror(from) && !session_interrupted())
        code = fail(p->i->output, EXIT_REFUSED, "reading failed: %s", strerror(errno));
    free(line);
    return session_interrupted() ? EXIT_INTERRUPTED : code;
}

static int report(struct publish *p, int code)
{
    char count[32], bytes[32], rate[32];
    int64_t ms = progress_ms(&p->progress);

    progress_end(&p->progress);
    if (p->i->output->format == OUTPUT_JSON)
        printf("{\"sent\":%llu,\"acknowledged\":%llu,\"failed\":%llu,\"bytes\":%llu,"
               "\"milliseconds\":%lld}\n",
               (unsigned long long)p->sent, (unsigned long long)p->acknowledged,
               (unsigned long long)p->failed, (unsigned long long)p->bytes,
               (long long)ms);
    else
        say(p->i->output, "%s records acknowledged, %s, %s records/s",
            count_text(p->acknowledged, count), bytes_text(p->bytes, bytes),
            count_text(p->acknowledged * 1000 / (uint64_t)(ms > 0 ? ms : 1), rate));
    if (p->failed > 0) {
        fprintf(stderr, "leat: %llu of %llu records were not acknowledged\n",
                (unsigned long long)p->failed, (unsigned long long)p->sent);
        return code != EXIT_DONE ? code : exit_code_of(p->first_error.code);
    }
    return code;
}

int run_produce(struct invocation *i)
{
    enum { CLOSE_MS = 130000 };
    const char *path = flag_text(i, "file", NULL);
    struct publish p = {.i = i};
    FILE *from = stdin;
    int code = read_flags(&p);

    if (code != EXIT_DONE)
        return code;
    if (path != NULL && strcmp(path, "-") != 0)
        from = fopen(path, "r");
    if (from == NULL)
        return fail(i->output, EXIT_USAGE, "%s: %s", path, strerror(errno));
    session_on_interrupt(NULL);
    progress_start(&p.progress, i->output, "published");
    code = open_producer(&p);
    if (p.producer != NULL) {
        code = send_lines(&p, from);
        leat_producer_close(p.producer, code == EXIT_INTERRUPTED ? 5000 : CLOSE_MS);
        code = report(&p, code);
    }
    if (from != stdin)
        fclose(from);
    return code;
}
