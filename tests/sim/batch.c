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

enum { JOBS_MAX = 64, PER_PROCESS = 8, MARK_NAME = 64, ALL_MARKS = 256 };
enum { WAYS_TO_DIE = 6 };

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
    uint64_t seeds, failed, wanted, events, messages, losses, acked, leader_changes;
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

bool batch_prepare(const struct batch_options *b, uint64_t number, struct run_options *o)
{
    o->seed = b->sweep > 0 ? b->first : number;
    swarm_draw(&o->swarm, o->seed);
    for (size_t i = 0; i < b->settings; i++)
        if (!swarm_set(&o->swarm, b->setting[i]))
            return false;
    faults_draw(&o->faults, &o->swarm, o->seed);
    if (b->sweep > 0 && number > 0) {
        o->swarm.crash_op = (int64_t)(1 + (number - 1) / WAYS_TO_DIE * b->sweep);
        o->swarm.crash_how = (int64_t)((number - 1) % WAYS_TO_DIE);
    }
    return true;
}

static void print_replay(const struct batch_options *b, uint64_t number)
{
    struct run_options o = {0};

    CHECK(batch_prepare(b, number, &o));
    printf("    replay: leat-sim --seed %" PRIu64, o.seed);
    for (size_t i = 0; i < b->settings; i++)
        printf(" --config %s", b->setting[i]);
    if (b->sweep > 0)
        printf(" --config crash_op=%" PRId64 " --config crash_how=%" PRId64,
               o.swarm.crash_op, o.swarm.crash_how);
#ifdef LEAT_PLANTS
    if (plant_chosen != 0)
        printf(" --plant M%d", plant_chosen);
#endif
    printf("\n");
}

static bool is_wanted(const struct batch_options *b, const char *id)
{
    const size_t len = strlen(id);

    for (const char *at = b->wanted; at != NULL && (at = strstr(at, id)) != NULL; at++)
        if ((at == b->wanted || at[-1] == ',') && (at[len] == '\0' || at[len] == ','))
            return true;
    return false;
}

static void tell_marks(struct told *t)
{
#ifdef LEAT_PLANTS
    struct mark *const *row = __start_leat_marks;

    for (; row < __stop_leat_marks && t->mark_count < MARKS_MAX; row++) {
        snprintf(t->marks[t->mark_count].name, MARK_NAME, "%s", (*row)->name);
        t->marks[t->mark_count++].hits = (*row)->hits;
        (*row)->hits = 0;
    }
#else
    (void)t;
#endif
}

static _Noreturn void child(const struct batch_options *b, uint64_t first, int out)
{
    for (uint64_t seed = first; seed <= b->last && seed < first + PER_PROCESS; seed++) {
        struct run_options o = {.quiet = b->wanted != NULL};
        static struct told t;

        memset(&t, 0, sizeof t);
        t.seed = seed;
        CHECK(batch_prepare(b, seed, &o));
        run_once(&o, &t.result);
        tell_marks(&t);
        CHECK(write(out, &t, sizeof t) == sizeof t);
        if (t.result.violated && !b->keep_going && b->wanted == NULL)
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

static void add(struct sum *s, const struct told *t, const struct batch_options *b)
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
    if (!t->result.violated)
        return;
    s->wanted += is_wanted(b, t->result.id);
    printf("seed %" PRIu64 ": %s %s\n", t->seed, t->result.id, t->result.text);
    print_replay(b, t->seed);
}

/* All that the child said; false if it died before it was done. */
static bool finish(struct job *j, struct sum *s, const struct batch_options *b)
{
    static struct told t;
    size_t len = 0;
    ssize_t n;
    int how;

    while ((n = read(j->pipe, (char *)&t + len, sizeof t - len)) > 0) {
        len += (size_t)n;
        if (len < sizeof t)
            continue;
        add(s, &t, b);
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

static void print_marks(const struct sum *s)
{
    unsigned hit = 0;

    for (unsigned i = 0; i < s->mark_count; i++)
        hit += s->marks[i].hits > 0;
    if (s->mark_count == 0)
        printf("marks are counted when built with -Dplants=true\n");
    else
        printf("marks: %u of %u were hit\n", hit, s->mark_count);
    for (unsigned i = 0; i < s->mark_count; i++)
        printf("  %-60s %lu%s\n", s->marks[i].name, s->marks[i].hits,
               s->marks[i].hits == 0 ? " (never)" : "");
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
    printf("\n");
    print_marks(s);
}

/* How many steps the sweep has: the life without a crash tells. */
static uint64_t sweep_steps(const struct batch_options *b)
{
    struct job j = start(b, 0);
    struct told t = {0};

    CHECK(read(j.pipe, &t, sizeof t) == sizeof t);
    close(j.pipe);
    waitpid(j.pid, NULL, 0);
    printf("sweep: %" PRIu64 " disk operations of broker 1, every %" PRIu64
           "th, %d ways each\n",
           t.result.disk_ops, b->sweep, WAYS_TO_DIE);
    return (t.result.disk_ops + b->sweep - 1) / b->sweep * WAYS_TO_DIE;
}

static bool run_all(const struct batch_options *b, struct sum *sum)
{
    struct job jobs[JOBS_MAX] = {0};
    const unsigned count = b->jobs > 0 && b->jobs <= JOBS_MAX ? b->jobs : 1;
    uint64_t next = b->sweep > 0 ? 1 : b->first, shown = 0;
    const double began = seconds();
    bool lost = false, stop = false, busy = true;

    for (unsigned turn = 0; busy; turn++) {
        struct job *j = &jobs[turn % count];

        if (j->pid > 0 && !finish(j, sum, b)) {
            printf("a process died with its seeds\n");
            lost = true;
        }
        stop |= b->wanted != NULL ? sum->wanted > 0 : sum->failed > 0 && !b->keep_going;
        stop |= lost && !b->keep_going;
        stop |= b->seconds > 0 && seconds() - began > b->seconds;
        if (!stop && next <= b->last) {
            *j = start(b, next);
            next += PER_PROCESS;
        }
        if (sum->seeds >= shown + 100) {
            shown = sum->seeds;
            printf("... %" PRIu64 " seeds, %.1f s\n", sum->seeds, seconds() - began);
        }
        busy = false;
        for (unsigned i = 0; i < count; i++)
            busy |= jobs[i].pid > 0;
    }
    if (next <= b->last && b->seconds > 0 && !lost)
        printf("the time is over: %" PRIu64 " of %" PRIu64 " were not run\n",
               b->last - next + 1, b->last - (b->sweep > 0 ? 1 : b->first) + 1);
    return !lost;
}

bool batch_run(const struct batch_options *options)
{
    struct batch_options b = *options;
    struct run_options probe = {0};
    static struct sum sum;
    const double began = seconds();
    bool whole;

    if (!batch_prepare(&b, b.first, &probe))
        return false;
    if (b.sweep > 0)
        b.last = sweep_steps(&b);
    whole = run_all(&b, &sum);
    print_sum(&sum, seconds() - began);
    return b.wanted != NULL ? sum.wanted > 0 : sum.failed == 0 && whole;
}
