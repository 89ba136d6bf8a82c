/* SPDX-License-Identifier: Apache-2.0
 *
 * leat log: look at a broker's files without a broker. Nothing is ever written. */
#include "proto/record/compress.h"
#include "proto/record/iterate.h"
#include "storage/disk_posix.h"
#include "storage/journal.h"
#include "tools/leat/output.h"
#include "tools/leat/run.h"
#include "tools/leat/session.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD_LIMIT = 64 << 20 };

struct scan {
    struct invocation *i;
    bool dump, records;
    int64_t left; /* batches that may still be printed; -1: no limit */
    uint64_t files, batches, record_count, bytes, damaged;
    /* The segment before, in the same directory: where the next must go on. */
    char dir[4096];
    int64_t next_offset;
};

static void print_bytes(struct bytes b)
{
    if (b.data == NULL)
        fputs("null", stdout);
    else
        json_string(b.data, b.len);
}

static void print_record(const struct record *r)
{
    printf("    {\"offset\":%lld,\"timestamp_ms\":%lld,\"key\":", (long long)r->offset,
           (long long)r->timestamp);
    print_bytes(r->key);
    fputs(",\"value\":", stdout);
    print_bytes(r->value);
    printf(",\"headers\":%d}\n", r->header_count);
}

static bool print_records(struct bytes data)
{
    struct iterate it;
    struct record record;
    enum status st = iterate_begin(&it, data, RECORD_LIMIT);

    if (st)
        return false;
    while ((st = iterate_next(&it, &record)) == STATUS_OK)
        print_record(&record);
    iterate_end(&it);
    return st == STATUS_AGAIN;
}

static void print_batch(const struct batch *b, uint64_t position)
{
    char time[32];

    printf("  %lld..%lld  %d records  %zu bytes at %llu  epoch %d  codec %s  %s\n",
           (long long)b->base_offset, (long long)batch_next_offset(b) - 1, b->count,
           b->size, (unsigned long long)position, b->leader_epoch,
           codec_name((enum codec)(b->attributes & BATCH_CODEC_MASK)),
           time_text(b->max_timestamp, time));
}

static bool all_zero(const uint8_t *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* What is wrong with the batch at the start of `data`; NULL: nothing. */
static const char *fault_of(struct bytes data, int64_t expected, struct batch *b)
{
    enum status st = batch_parse(data, b);

    if (st == STATUS_UNSUPPORTED_FORMAT)
        return "no record batch of format 2";
    if (st)
        return "a batch that is cut off or malformed";
    if (!batch_checksum_ok(b, data))
        return "a checksum that does not match";
    if (expected >= 0 && b->base_offset != expected)
        return "a batch with an unexpected offset";
    return NULL;
}

/* Walk one segment in memory. */
static void scan_segment(struct scan *s, const char *path, struct bytes data,
                         int64_t base)
{
    uint64_t position = 0;
    int64_t expected = base;
    struct batch b;

    while (position < data.len && s->left != 0) {
        struct bytes rest = {data.data + position, data.len - position};
        const char *fault;

        if (all_zero(rest.data, rest.len < BATCH_HEADER ? rest.len : BATCH_HEADER) &&
            all_zero(rest.data, rest.len))
            break; /* the open segment's unused end */
        fault = fault_of(rest, expected, &b);
        if (fault != NULL) {
            printf("%s: at byte %llu: %s; expected offset %lld\n", path,
                   (unsigned long long)position, fault, (long long)expected);
            s->damaged++;
            return;
        }
        if (s->dump)
            print_batch(&b, position);
        if (s->records && !print_records((struct bytes){rest.data, b.size}))
            printf("    (the records cannot be read)\n");
        s->batches++;
        s->record_count += (uint64_t)b.count;
        s->bytes += b.size;
        expected = batch_next_offset(&b);
        position += b.size;
        if (s->left > 0)
            s->left--;
    }
    s->next_offset = expected;
    if (!s->dump && !s->i->output->quiet && s->i->output->format == OUTPUT_TEXT)
        printf("%s: ok, offsets %lld to %lld\n", path, (long long)base,
               (long long)expected);
}

static bool segment_base(const char *name, int64_t *base)
{
    char *end;

    if (strlen(name) != 24 || strcmp(name + 20, ".log") != 0)
        return false;
    *base = strtoll(name, &end, 10);
    return end == name + 20;
}

/* Segments of one log must follow each other without a gap. */
static void check_sequence(struct scan *s, const char *path, int64_t base)
{
    const char *slash = strrchr(path, '/');
    char dir[4096];

    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 0, path);
    if (strcmp(dir, s->dir) == 0 && s->next_offset != base && s->left != 0) {
        printf("%s: begins at %lld, but the segment before ends at %lld\n", path,
               (long long)base, (long long)s->next_offset);
        s->damaged++;
    }
    snprintf(s->dir, sizeof s->dir, "%s", dir);
}

static int scan_file(struct scan *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    int64_t base;
    struct stat st;
    void *memory;
    int fd;

    if (!segment_base(slash ? slash + 1 : path, &base))
        return fail(s->i->output, EXIT_USAGE, "%s: a segment is named <20 digits>.log",
                    path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int error = errno;

        if (fd >= 0)
            close(fd);
        return fail(s->i->output, error == ENOENT ? EXIT_NOT_FOUND : EXIT_REFUSED,
                    "%s: %s", path, strerror(error));
    }
    memory = st.st_size > 0
                 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)
                 : NULL;
    close(fd);
    if (memory == MAP_FAILED)
        return fail(s->i->output, EXIT_REFUSED, "%s: %s", path, strerror(errno));
    check_sequence(s, path, base);
    if (s->dump)
        printf("%s\n", path);
    s->files++;
    scan_segment(s, path, (struct bytes){memory, (size_t)st.st_size}, base);
    if (memory != NULL)
        munmap(memory, (size_t)st.st_size);
    return EXIT_DONE;
}

static enum status count_frame(void *ctx, const struct journal_frame *f)
{
    uint64_t *frames = ctx;

    (void)f;
    (*frames)++;
    return STATUS_OK;
}

/* A journal is read as recovery would read it. */
static int scan_journal(struct scan *s, const char *parent, const char *name)
{
    struct journal_replay_result result;
    struct disk *disk;
    uint64_t frames = 0;
    char why[256];
    enum status st = disk_posix_open(parent, &disk);

    if (st)
        return fail(s->i->output, EXIT_REFUSED, "%s: %s", parent, status_text(st));
    st = journal_replay(disk, name, count_frame, &frames, &result, why);
    disk_close(disk);
    if (st) {
        printf("%s/%s: %s\n", parent, name, why[0] ? why : status_text(st));
        s->damaged++;
    } else if (!s->i->output->quiet && s->i->output->format == OUTPUT_TEXT) {
        printf("%s/%s: ok, %llu frames to repeat%s\n", parent, name,
               (unsigned long long)frames,
               result.torn ? ", a torn write at the end (leatd will cut it)" : "");
    }
    return EXIT_DONE;
}

static int scan_path(struct scan *s, const char *path);

static int scan_dir(struct scan *s, const char *path)
{
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort), code = EXIT_DONE;
    int64_t base;

    if (count < 0)
        return fail(s->i->output, EXIT_REFUSED, "%s: %s", path, strerror(errno));
    for (int n = 0; n < count; n++) {
        const char *name = names[n]->d_name;
        char child[4096];
        bool fits =
            (size_t)snprintf(child, sizeof child, "%s/%s", path, name) < sizeof child;

        if (code == EXIT_DONE && fits && name[0] != '.') {
            if (strncmp(name, "journal-", 8) == 0)
                code = s->dump ? EXIT_DONE : scan_journal(s, path, name);
            else if (names[n]->d_type == DT_DIR || segment_base(name, &base))
                code = scan_path(s, child);
        }
        free(names[n]);
    }
    free(names);
    return code;
}

static int scan_path(struct scan *s, const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return fail(s->i->output, EXIT_NOT_FOUND, "%s: %s", path, strerror(errno));
    return S_ISDIR(st.st_mode) ? scan_dir(s, path) : scan_file(s, path);
}

static int scan_all(struct scan *s)
{
    int code = EXIT_DONE;

    s->next_offset = -1;
    for (unsigned n = 0; n < s->i->argument_count && code == EXIT_DONE; n++)
        code = scan_path(s, s->i->arguments[n]);
    return code;
}

int run_log_dump(struct invocation *i)
{
    struct scan s = {.i = i, .dump = true, .records = flag_given(i, "records")};

    if (!flag_number(i, "count", -1, 1, INT64_MAX, &s.left))
        return EXIT_USAGE;
    return scan_all(&s) == EXIT_DONE && s.damaged == 0 ? EXIT_DONE : EXIT_REFUSED;
}

int run_log_verify(struct invocation *i)
{
    struct scan s = {.i = i, .left = -1};
    char records[32], bytes[32];
    int code = scan_all(&s);

    if (code != EXIT_DONE)
        return code;
    if (i->output->format == OUTPUT_JSON)
        printf("{\"segments\":%llu,\"batches\":%llu,\"records\":%llu,\"bytes\":%llu,"
               "\"damaged\":%llu}\n",
               (unsigned long long)s.files, (unsigned long long)s.batches,
               (unsigned long long)s.record_count, (unsigned long long)s.bytes,
               (unsigned long long)s.damaged);
    else
        printf("%llu segments, %s records, %s: %llu damaged\n",
               (unsigned long long)s.files, count_text(s.record_count, records),
               bytes_text(s.bytes, bytes), (unsigned long long)s.damaged);
    return s.damaged == 0 ? EXIT_DONE : EXIT_REFUSED;
}
