/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/batch.h"

#include "proto/base/check.h"
#include "proto/base/mark.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOBS_MAX = 64, PER_PROCESS = 4, MARK_NAME = 48, ALL_MARKS = 256 };

/* What a child tells of its seeds, in one write. */
struct told {
    uint64_t seed;
    struct run_result result;
    unsigned mark_count;
    struct {
        char name[MARK_NAME];
        unsigned long hits;
    } marks[MARKS_MAX];
};

struct sum {
    uint64_t seeds, failed, events, messages, losses, acked, leader_changes;
    double hours;
    uint64_t faults[SWARM_COUNT - SWARM_kill];
    unsigned mark_count;
    struct {
        char name[MARK_NAME];
        unsigned long hits;
    } marks[ALL_MARKS];
};

struct job {
    pid_t pid;
    int pipe;
};

bool batch_prepare(const struct batch_options *b, uint64_t seed, struct run_options *o)
{
    o->seed = seed;
    swarm_draw(&o->swarm, seed);
    for (size_t i = 0; i < b->settings; i++)
        if (!swarm_set(&o->swarm, b->setting[i]))
            return false;
    faults_draw(&o->faults, &o->swarm, seed);
    return true;
}

static void tell_marks(struct told *t)
{
#ifdef LEAT_PLANTS
    for (struct mark *m = marks; m != NULL && t->mark_count < MARKS_MAX; m = m->next) {
        snprintf(t->marks[t->mark_count].name, MARK_NAME, "%s", m->name);
        t->marks[t->mark_count++].hits = m->hits;
        m->hits = 0;
    }
    marks = NULL;
#else
    (void)t;
#endif
}

static _Noreturn void child(const struct batch_options *b, uint64_t first, int out)
{
    for (uint64_t seed = first; seed <= b->last && seed < first + PER_PROCESS; seed++) {
        struct run_options o = {0};
        static struct told t;

        memset(&t, 0, sizeof t);
        t.seed = seed;
        CHECK(batch_prepare(b, seed, &o));
        run_once(&o, &t.result);
        tell_marks(&t);
        CHECK(write(out, &t, sizeof t) == sizeof t);
        if (t.result.violated && !b->keep_going)
            break;
    }
    _exit(0);
}

static struct job start(const struct batch_options *b, uint64_t first)
{
    struct job j;
    int ends[2];

    fflush(stdout);
    CHECK(pipe(ends) == 0);
    j.pid = fork();
    CHECK(j.pid >= 0);
    if (j.pid == 0)
        child(b, first, ends[1]);
    close(ends[1]);
    j.pipe = ends[0];
    return j;
}

static void add_mark(struct sum *s, const char *name, unsigned long hits)
{
    for (unsigned i = 0; i < s->mark_count; i++)
        if (strcmp(s->marks[i].name, name) == 0) {
            s->marks[i].hits += hits;
            return;
        }
    if (s->mark_count == ALL_MARKS)
        return;
    memcpy(s->marks[s->mark_count].name, name, MARK_NAME);
    s->marks[s->mark_count++].hits = hits;
}

static void add(struct sum *s, const struct told *t)
{
    s->seeds++;
    s->failed += t->result.violated;
    s->events += t->result.events;
    s->messages += t->result.messages;
    s->losses += t->result.losses;
    s->acked += t->result.acked;
    s->leader_changes += t->result.leader_changes;
    s->hours += (double)t->result.at / 3.6e12;
    for (size_t i = 0; i < SWARM_COUNT - SWARM_kill; i++)
        s->faults[i] += t->result.faults[i];
    for (unsigned i = 0; i < t->mark_count; i++)
        add_mark(s, t->marks[i].name, t->marks[i].hits);
    if (t->result.violated)
        printf("seed %" PRIu64 ": %s %s\n", t->seed, t->result.id, t->result.text);
}

/* All that the child said; false if it died before it was done. */
static bool finish(struct job *j, struct sum *s)
{
    static struct told t;
    size_t len = 0;
    ssize_t n;
    int how;

    while ((n = read(j->pipe, (char *)&t + len, sizeof t - len)) > 0) {
        len += (size_t)n;
        if (len < sizeof t)
            continue;
        add(s, &t);
        len = 0;
    }
    close(j->pipe);
    waitpid(j->pid, &how, 0);
    j->pid = 0;
    return WIFEXITED(how) && WEXITSTATUS(how) == 0;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_sum(const struct sum *s, double took)
{
    printf("%" PRIu64 " seeds, %" PRIu64 " with a violation, %.1f s\n"
           "simulated: %.2f hours, %" PRIu64 " events, %" PRIu64
           " messages; %.0f times real time\n"
           "records acknowledged and checked: %" PRIu64 "; leader changes: %" PRIu64
           "\nfaults: loss %" PRIu64,
           s->seeds, s->failed, took, s->hours, s->events, s->messages,
           s->hours * 3600 / (took > 0 ? took : 1), s->acked, s->leader_changes,
           s->losses);
    for (size_t i = 0; i < SWARM_COUNT - SWARM_kill; i++)
        printf(", %s %" PRIu64, swarm_name(SWARM_kill + i), s->faults[i]);
    printf("\nmarks: %u\n", s->mark_count);
    for (unsigned i = 0; i < s->mark_count; i++)
        printf("  %-46s %lu\n", s->marks[i].name, s->marks[i].hits);
}

bool batch_run(const struct batch_options *b)
{
    struct job jobs[JOBS_MAX] = {0};
    const unsigned count = b->jobs > 0 && b->jobs <= JOBS_MAX ? b->jobs : 1;
    struct run_options probe = {0};
    static struct sum sum;
    uint64_t next = b->first, shown = 0;
    double began = seconds();
    bool lost = false, stop = false;

    if (!batch_prepare(b, b->first, &probe))
        return false;
    for (unsigned turn = 0;; turn++) {
        struct job *j = &jobs[turn % count];

        if (j->pid > 0 && !finish(j, &sum)) {
            printf("a process died with its seeds\n");
            lost = true;
        }
        stop |= (sum.failed > 0 || lost) && !b->keep_going;
        stop |= b->minutes > 0 && seconds() - began > 60.0 * b->minutes;
        if (!stop && next <= b->last) {
            *j = start(b, next);
            next += PER_PROCESS;
        }
        if (sum.seeds >= shown + 100) {
            shown = sum.seeds;
            printf("... %" PRIu64 " seeds, %.1f s\n", sum.seeds, seconds() - began);
        }
        bool busy = false;
        for (unsigned i = 0; i < count; i++)
            busy |= jobs[i].pid > 0;
        if (!busy)
            break;
    }
    print_sum(&sum, seconds() - began);
    return sum.failed == 0 && !lost;
}
