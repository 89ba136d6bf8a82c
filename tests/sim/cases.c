/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/cases.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool read_line(char *line, struct run_options *o)
{
    struct fault f;

    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#')
        return true;
    if (strncmp(line, "seed ", 5) == 0) {
        o->seed = strtoull(line + 5, NULL, 10);
        return true;
    }
    if (strncmp(line, "fault ", 6) != 0)
        return swarm_set(&o->swarm, line);
    if (!fault_parse(&f, line + 6))
        return false;
    o->faults.all = must_realloc(o->faults.all, (o->faults.count + 1) * sizeof f);
    o->faults.all[o->faults.count++] = f;
    return true;
}

bool case_read(const char *path, struct run_options *o)
{
    FILE *file = fopen(path, "r");
    char line[256];
    int number = 0;
    bool good = file != NULL;

    while (good && fgets(line, sizeof line, file) != NULL) {
        number++;
        good = read_line(line, o);
    }
    if (!good)
        fprintf(stderr, "leat-sim: %s, line %d: cannot be read\n", path, number);
    if (file != NULL)
        fclose(file);
    return good;
}

void case_print(const struct run_options *o)
{
    char text[128];

    printf("seed %" PRIu64 "\n", o->seed);
    for (size_t i = 0; i < SWARM_COUNT; i++)
        printf("%s=%" PRId64 "\n", swarm_name(i), swarm_get(&o->swarm, i));
    for (size_t i = 0; i < o->faults.count; i++) {
        fault_format(&o->faults.all[i], text, sizeof text);
        printf("fault %s\n", text);
    }
}

/* In a process of its own. */
static struct run_result try(const struct run_options *o)
{
    struct run_options quiet = *o;
    struct run_result result = {0};
    int ends[2];
    pid_t pid;

    quiet.quiet = true;
    CHECK(pipe(ends) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        run_once(&quiet, &result);
        CHECK(write(ends[1], &result, sizeof result) == sizeof result);
        _exit(0);
    }
    close(ends[1]);
    if (read(ends[0], &result, sizeof result) != sizeof result)
        snprintf(result.id, sizeof result.id, "died");
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return result;
}

/* Leave out pieces, ever smaller ones, as long as the same goes wrong. */
static void drop_faults(struct run_options *o, const char *id)
{
    for (size_t piece = o->faults.count; piece > 0; piece /= 2)
        for (size_t at = 0; at < o->faults.count;) {
            struct run_options less = *o;
            size_t n = piece < o->faults.count - at ? piece : o->faults.count - at;

            less.faults.all = must_alloc(o->faults.count * sizeof *less.faults.all);
            memcpy(less.faults.all, o->faults.all, at * sizeof *less.faults.all);
            memcpy(less.faults.all + at, o->faults.all + at + n,
                   (o->faults.count - at - n) * sizeof *less.faults.all);
            less.faults.count = o->faults.count - n;
            if (strcmp(try(&less).id, id) == 0) {
                *o = less;
                fprintf(stderr, "%zu faults\n", o->faults.count);
            } else {
                at += n;
                free(less.faults.all);
            }
        }
}

static void simplify(struct run_options *o, const char *id)
{
    static const char *const words[] = {
        "shards=1",  "loss_ppm=0", "drift_ppm=0", "chaotic=0",    "admins=0",
        "members=0", "readers=0",  "careless=0",  "producers=1",  "topics=1",
        "window=1",  "seconds=10", "seconds=15",  "partitions=1",
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct run_options less = *o;

        if (swarm_set(&less.swarm, words[i]) &&
            memcmp(&less.swarm, &o->swarm, sizeof less.swarm) != 0 &&
            strcmp(try(&less).id, id) == 0)
            *o = less;
    }
}

bool case_shrink(const struct run_options *o)
{
    struct run_options small = *o;
    struct run_result result = try(o);

    if (result.id[0] == '\0') {
        printf("nothing is violated\n");
        return true;
    }
    drop_faults(&small, result.id);
    simplify(&small, result.id);
    drop_faults(&small, result.id);
    printf("# %s %s\n", result.id, result.text);
    case_print(&small);
    return false;
}
