/* SPDX-License-Identifier: Apache-2.0
 *
 * The consumer inside. A *share* is one partition that it works on: what to fetch, how
 * far it has been handed out, done and committed. Shares come and go only on the
 * program's side (consumer_rebalance.c runs as a notice, from dispatch); reading,
 * heartbeats, commits and lookups go on by the engine. consumer.c opens and closes,
 * consumer_assign.c says what is read, consumer_poll.c hands it out, consumer_commit.c
 * commits, consumer_lookup.c finds out where to begin.
 *
 * Everything here is called with the engine's lock held, unless it says otherwise. */
#pragma once

#include "client/client.h"
#include "client/fetcher.h"
#include "client/membership.h"
#include "client/progress.h"

enum { TOPIC_NAME_MAX = 249 };

enum share_stage {
    SHARE_ARRIVED,   /* the program does not know of it yet */
    SHARE_COMMITTED, /* what is committed must be looked up */
    SHARE_TIME,      /* the offset at `time_ms` must be looked up */
    SHARE_READING,
};

struct share {
    struct source source;
    struct progress progress;
    enum share_stage stage;
    int64_t time_ms;               /* of LIST_OFFSETS: -2, -1, or a time */
    bool committed_known;          /* before that, nothing is committed automatically */
    struct lookup *asks_committed; /* who is asking */
    struct lookup *asks_time;
    bool leaving;     /* to be given up; nothing is read any more */
    struct bytes key; /* in the map: see share_key */
    uint8_t key_bytes[];
};

/* OFFSET_COMMIT under way. Owned by the consumer, or by who waits for it. */
struct commit {
    TAILQ_ENTRY(commit) link;
    struct leat_consumer *consumer;
    struct call call;
    leat_offset *offsets;
    size_t count;
    struct arena memory;  /* of offsets and their texts */
    int32_t member_epoch; /* it was sent under */
    bool finished;
    int code;
    char text[256];
    /* One of these says what happens in the end; with none, nobody asks. */
    void (*done)(struct commit *commit); /* on the turner; frees */
    leat_commit_fn *fn;                  /* from dispatch */
    void *arg;
    bool awaited; /* somebody waits for `finished` and frees */
};

enum rebalance_step {
    REBALANCE_NONE,
    REBALANCE_COMMITTING, /* what the leaving shares have done */
    REBALANCE_COMMITTED,
};

struct leat_consumer {
    struct attachment attachment;
    struct leat_client *client;
    struct leat_conf *conf;
    struct fetcher fetcher;
    struct map shares; /* in the order in which they came */

    /* Who is inside. */
    unsigned depth;
    pthread_t owner;
    bool calling; /* the program's callback runs */
    pthread_t caller;
    bool closing;

    /* Group. */
    bool grouped; /* there is a group.id */
    struct membership membership;
    char **topics; /* subscription */
    size_t topic_count;
    bool lost; /* the shares are gone, and the program does not know yet */
    enum rebalance_step step;
    struct notice rebalance;
    leat_rebalance_fn *on_rebalance;
    void *on_rebalance_arg;

    /* Reading. */
    atomic_bool woken;
    struct notice arrived; /* makes the client's descriptor readable */
    struct share *out;     /* whose records the program works on */
    int64_t out_since_ms;
    struct engine_timer idle_timer; /* max.poll.interval.ms */
    struct leat_batch *current;     /* what leat_consumer_next walks */
    uint32_t current_epoch;
    int64_t turned_ms; /* without a thread: when there last was I/O */

    /* Committing. */
    TAILQ_HEAD(commits, commit) commits;
    struct commit *automatic; /* at most one of these at a time */
    struct notice committed;  /* commits that the program is to hear of */
    struct engine_timer commit_timer;

    /* Looking up. */
    TAILQ_HEAD(, lookup) lookups;
    struct engine_task lookup_task;
    struct engine_timer lookup_timer;
    struct cluster_listener listener;

    /* What the next poll reports. */
    leat_error error;
    bool failed;
    int reported_code; /* the same one is not told again within some seconds */
    int64_t reported_ms;
};

/* ---- consumer.c ---- */

/* Take the lock and go in; LEAT_E_BAD_STATE if another thread is inside. Without the
 * lock. */
int consumer_enter(leat_consumer *c, leat_error *error);
/* Go out and let go of the lock. */
void consumer_exit(leat_consumer *c);

/* Whether this thread is inside one of the program's callbacks. */
bool consumer_is_calling(const leat_consumer *c);

struct engine *consumer_engine(const leat_consumer *c);
struct share *consumer_share(const leat_consumer *c, const char *topic,
                             int32_t partition);
/* NULL without memory. */
struct share *consumer_add(leat_consumer *c, const char *topic, int32_t partition);
void consumer_remove(leat_consumer *c, struct share *s);
void consumer_remove_all(leat_consumer *c);
void consumer_forget_topics(leat_consumer *c);

/* Something the program should hear of, by the next poll. Repetitions are dropped. */
void consumer_report(leat_consumer *c, enum status status, const char *text,
                     const char *where, const char *what);

/* ---- consumer_poll.c ---- */

/* Give back what leat_consumer_next has not walked yet. Lets go of the lock meanwhile. */
void consumer_drop_current(leat_consumer *c);
void consumer_arrived(struct fetcher *f);
bool consumer_arrived_notice(struct notice *n, int max, int *ran);
void consumer_idle_timer(struct engine_timer *t);

/* ---- consumer_commit.c ---- */

/* Copy what is to be committed: `offsets`, or with NULL all that is done, in the shares
 * that are leaving only or in all. `*out` is NULL if there is nothing. */
STATUS_MUST_CHECK enum status commit_new(leat_consumer *c, const leat_offset *offsets,
                                         size_t count, bool automatic, bool leaving,
                                         struct commit **out);
/* Send it; one that cannot be sent is finished soon all the same. */
void commit_start(struct commit *commit, int64_t deadline_ms);
/* Cancels. */
void commit_free(struct commit *commit);
void consumer_commit_timer(struct engine_timer *t);
bool consumer_committed_notice(struct notice *n, int max, int *ran);
/* Those that the program still waits to hear of are over. Lets go of the lock meanwhile.
 */
void consumer_end_commits(leat_consumer *c);
bool consumer_commits_by_itself(const leat_consumer *c);

/* ---- consumer_lookup.c ---- */

/* Where the share goes on: an offset, or one of the LEAT_OFFSET_ constants. */
void share_begin(leat_consumer *c, struct share *s, int64_t offset);
/* What auto.offset.reset says. */
void share_reset(leat_consumer *c, struct share *s);
void lookup_cancel_all(leat_consumer *c);
/* The share asks for nothing any more. */
void share_ask_nothing(struct share *s);
void consumer_lookup_task(struct engine_task *t);
void consumer_lookup_timer(struct engine_timer *t);
void consumer_metadata(struct cluster_listener *l, enum status status);

/* ---- consumer_rebalance.c ---- */

bool consumer_rebalance(struct notice *n, int max, int *ran);
/* Call the program back about all shares that are `leaving`, or all that have ARRIVED.
 * Lets go of the lock meanwhile. NO_MEMORY: it was not called. */
STATUS_MUST_CHECK enum status consumer_tell(leat_consumer *c, enum leat_rebalance what);
/* Set what the membership tells us. */
void consumer_membership(leat_consumer *c);
/* All shares are gone already: the program will hear, and then we join again. */
void consumer_lose_all(leat_consumer *c);
void consumer_remove_leaving(leat_consumer *c);
void consumer_leave_all(leat_consumer *c);
