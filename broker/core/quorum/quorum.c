/* SPDX-License-Identifier: Apache-2.0
 *
 * The quorum's life and its turns. */
#include "broker/core/quorum/quorum_inner.h"

#include "broker/core/quorum/records.h"
#include "proto/base/check.h"
#include "proto/base/mark.h"
#include "proto/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SNAPSHOT_BYTES = 4 * 1024 * 1024, SNAPSHOT_EVERY_MS = 1000 };

/* No topic has this id: random ones are of version 4. */
const struct log_id metadata_log_id = {
    .topic = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1},
    .partition = 0,
};

void tell(struct quorum *q, enum log_level level, const char *format, ...)
{
    char text[512];
    va_list args;

    if (q->o.on_log == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    q->o.on_log(q->o.ctx, (int)level, "quorum", text);
}

void fail(struct quorum *q, const char *what)
{
    if (q->failed)
        return;
    q->failed = true;
    tell(q, LOG_LEVEL_ERROR, "%s", what);
    q->o.fatal(q->o.ctx, what);
}

/* ---- the log -------------------------------------------------------------------------
 */

struct log *quorum_log(const struct quorum *q)
{
    return machine_log(q->machine);
}

void log_moved(struct quorum *q)
{
    const struct log *log = quorum_log(q);

    /* While a snapshot takes the log's place there is no log: who has not synced its own
     * neither votes nor stands. */
    raft_log_moved(&q->raft, log_end(log), is_installing(q) ? -1 : log_durable(log),
                   machine_tail_epoch(q->machine));
}

void use_voters(struct quorum *q)
{
    const struct voter_set *newest = voters_newest(&q->voters);

    if (PLANT(15))
        newest = &q->voters.sets[0];
    raft_set_voters(&q->raft, newest->voters, newest->count,
                    !q->leaving && voters_may_stand(&q->voters, q->raft.self), q->now);
}

/* A set counts from now on, committed or not. */
void records_appended(struct quorum *q, int64_t offset, struct bytes record)
{
    struct voter set[RAFT_VOTERS_MAX];
    size_t count = voters_unpack(record, set);

    if (count == 0)
        return;
    voters_append(&q->voters, offset, set, count);
    use_voters(q);
}

static void propose(struct quorum *q, const struct bytes *records, size_t count,
                    struct machine_entry *entry)
{
    int64_t base = log_end(quorum_log(q));

    machine_propose(q->machine, records, count, q->raft.state.epoch, q->now, entry);
    log_moved(q);
    for (size_t i = 0; i < count; i++)
        records_appended(q, base + (int64_t)i, records[i]);
}

void append_own(struct quorum *q, struct writer *record)
{
    const struct bytes bytes = {record->data, record->len};

    CHECK(!writer_status(record));
    propose(q, &bytes, 1, NULL);
    writer_release(record);
}

/* ---- the machine ---------------------------------------------------------------------
 */

static enum status apply(void *ctx, int64_t offset, struct bytes record)
{
    struct quorum *q = ctx;
    enum status st;

    if (q->failed)
        return STATUS_STORAGE_FAILED;
    st = image_apply(q->o.image, offset, record, offset >= 0 ? q->o.watcher : NULL);
    if (st && q->open) {
        fail(q, "a committed record of the metadata does not fit what is known here");
        return STATUS_STORAGE_FAILED;
    }
    if (!st && offset >= 0)
        q->o.committed(q->o.ctx, offset, record);
    return st;
}

static void snapshot(void *ctx, void (*emit)(void *to, struct bytes record), void *to)
{
    struct quorum *q = ctx;

    image_snapshot(q->o.image, emit, to);
}

static void reset(void *ctx)
{
    struct quorum *q = ctx;

    CHECK(q->replaced == NULL);
    q->replaced = must_alloc(sizeof *q->replaced);
    *q->replaced = *q->o.image;
    image_init(q->o.image);
}

static const struct machine_verbs verbs = {
    .apply = apply, .reset = reset, .snapshot = snapshot};

/* A snapshot from elsewhere has taken the place of log and image. */
void quorum_replaced(struct quorum *q)
{
    struct image *before = q->replaced;

    q->replaced = NULL;
    q->o.image->applied = machine_applied(q->machine);
    q->o.replaced(q->o.ctx, before);
    image_release(before);
    free(before);
}

static void commit(struct quorum *q)
{
    int64_t hw = q->raft.high_watermark;

    if (is_installing(q) || q->failed || hw <= machine_applied(q->machine))
        return;
    machine_commit(q->machine, hw);
    voters_commit(&q->voters, hw);
    use_voters(q);
}

/* ---- opening -------------------------------------------------------------------------
 */

static void found_pending(void *to, int64_t offset, int32_t epoch, struct bytes record)
{
    struct quorum *q = to;
    struct voter set[RAFT_VOTERS_MAX];
    size_t count = voters_unpack(record, set);

    (void)epoch;
    if (count > 0)
        voters_append(&q->voters, offset, set, count);
}

static void open_voters(struct quorum *q)
{
    const struct voter alone = {q->o.node_id, q->o.directory, q->o.at};
    size_t count = q->o.bootstrap_count > 0 ? q->o.bootstrap_count : 1;

    q->configured = must_alloc(count * sizeof *q->configured);
    memcpy(q->configured, q->o.bootstrap_count > 0 ? q->o.bootstrap : &alone,
           count * sizeof *q->configured);
    voters_name(q->configured, count, q->name);
    voters_init(&q->voters, q->configured, count);
    voters_restart(&q->voters, q->o.image->voters, q->o.image->voter_count);
    machine_each_pending(q->machine, found_pending, q);
}

/* A vote that nobody remembers may have been given: none is left in that epoch. */
static void open_raft(struct quorum *q, struct raft_state state)
{
    struct raft_options o = {
        .self = {q->o.node_id, q->o.directory},
        .times = {q->o.times.fetch_timeout, q->o.times.election_timeout},
        .random = q->o.random,
        .state = state,
    };
    int32_t tail = machine_tail_epoch(q->machine);

    if (tail > state.epoch)
        o.state = (struct raft_state){.epoch = tail, .voted = o.self};
    raft_init(&q->raft, &o, q->now);
    if (tail > state.epoch)
        q->raft.version++;
    log_moved(q);
    use_voters(q);
}

static enum status open_machine(struct quorum *q, char why[static 256])
{
    const struct machine_options options = {
        .id = metadata_log_id,
        .name = "metadata",
        .verbs = &verbs,
        .ctx = q,
        .snapshot_bytes = SNAPSHOT_BYTES,
    };
    enum status st = machine_open(&q->machine, q->o.store, q->o.disk, &options);

    if (st)
        snprintf(why, 256, "the metadata log cannot be opened: %s", status_text(st));
    return st;
}

static enum status open_file(struct quorum *q, struct raft_state *state, bool *fresh,
                             char why[static 256])
{
    enum status st = vote_file_open(&q->file, q->o.disk, state, fresh);

    if (st == STATUS_CORRUPT)
        snprintf(why, 256,
                 "quorum-state is damaged, so this node might vote twice; remove broker "
                 "%d from the voters, and add it again with an empty data directory",
                 q->o.node_id);
    else if (st)
        snprintf(why, 256, "quorum-state cannot be opened: %s", status_text(st));
    return st;
}

static struct quorum *quorum_new(const struct quorum_options *o, struct instant now)
{
    struct quorum *q = must_zalloc(sizeof *q);

    q->o = *o;
    q->now = now;
    q->leader_told = -1;
    q->told = -1;
    TAILQ_INIT(&q->waiting);
    TAILQ_INIT(&q->flights);
    TAILQ_INIT(&q->calls);
    TAILQ_INIT(&q->held);
    TAILQ_INIT(&q->parked);
    return q;
}

enum status quorum_open(struct quorum **out, const struct quorum_options *o,
                        struct instant now, char why[static 256])
{
    struct quorum *q = quorum_new(o, now);
    struct raft_state state;
    bool fresh;
    enum status st = open_file(q, &state, &fresh, why);

    CHECK(o->bootstrap_count <= RAFT_VOTERS_MAX);
    if (st)
        goto fail_quorum;
    st = open_machine(q, why);
    if (st)
        goto fail_file;
    if (fresh && log_end(quorum_log(q)) > 0) {
        snprintf(why, 256,
                 "quorum-state is missing though there is metadata, so this node might "
                 "vote twice; remove broker %d from the voters, and add it again with an "
                 "empty data directory",
                 o->node_id);
        st = STATUS_CORRUPT;
        goto fail_machine;
    }
    q->o.image->applied = machine_applied(q->machine);
    open_voters(q);
    open_raft(q, state);
    q->open = true;
    *out = q;
    return STATUS_OK;

fail_machine:
    machine_close(q->machine);
fail_file:
    vote_file_close(&q->file);
fail_quorum:
    free(q);
    return st;
}

/* ---- proposals -----------------------------------------------------------------------
 */

void quorum_propose(struct quorum *q, struct proposal *p)
{
    p->quorum = q;
    TAILQ_INSERT_TAIL(&q->waiting, p, link);
}

static void on_applied(struct machine_entry *entry, enum status status)
{
    struct flight *f = container_of(entry, struct flight, entry);
    struct quorum *q = f->quorum;
    struct proposal *p = f->proposal;

    TAILQ_REMOVE(&q->flights, f, link);
    if (q->decided == f)
        q->decided = NULL;
    free(f);
    if (p != NULL)
        p->done(p, status == STATUS_NOT_LEADER ? STATUS_NOT_CONTROLLER : status);
}

static void take_turn(struct quorum *q, struct proposal *p)
{
    enum status st = p->decide(p, &p->change);
    struct flight *f;

    if (st || p->change.count == 0) {
        p->done(p, st);
        return;
    }
    f = must_zalloc(sizeof *f);
    f->quorum = q;
    f->proposal = p;
    f->entry.done = on_applied;
    TAILQ_INSERT_TAIL(&q->flights, f, link);
    q->decided = f;
    propose(q, p->change.records, p->change.count, &f->entry);
}

static void refuse_waiting(struct quorum *q, enum status status)
{
    struct proposal *p;

    while ((p = TAILQ_FIRST(&q->waiting)) != NULL) {
        TAILQ_REMOVE(&q->waiting, p, link);
        p->done(p, status);
    }
}

/* Whether the one that was decided will count, the next leader knows. */
static void give_up_decided(struct quorum *q, enum status status)
{
    struct flight *f = q->decided;
    struct proposal *p;

    if (f == NULL)
        return;
    p = f->proposal;
    f->proposal = NULL;
    q->decided = NULL;
    p->done(p, status);
}

static void decide(struct quorum *q)
{
    if (q->raft.role != RAFT_LEADER) {
        give_up_decided(q, STATUS_NOT_CONTROLLER);
        refuse_waiting(q, STATUS_NOT_CONTROLLER);
        return;
    }
    if (q->stopped)
        refuse_waiting(q, STATUS_SHUTTING_DOWN);
    while (quorum_is_active(q) && q->decided == NULL && !TAILQ_EMPTY(&q->waiting)) {
        struct proposal *p = TAILQ_FIRST(&q->waiting);

        TAILQ_REMOVE(&q->waiting, p, link);
        take_turn(q, p);
    }
}

/* ---- carrying out --------------------------------------------------------------------
 */

static void on_saved(struct vote_file *file, enum status status)
{
    struct quorum *q = container_of(file, struct quorum, file);

    if (status)
        fail(q, "quorum-state cannot be written");
    else
        raft_saved(&q->raft, q->writing, q->now);
}

static void save(struct quorum *q)
{
    if (raft_is_saved(&q->raft) || q->file.busy)
        return;
    q->writing = q->raft.version;
    vote_file_write(&q->file, &q->raft.state, on_saved);
}

static void begin_to_lead(struct quorum *q)
{
    struct writer record = writer_growing();

    q->raft.elected = false;
    q->heard_count = 0;
    q->announce_ms = q->now.mono_ms;
    CHECK(q->raft.epoch_start == log_end(quorum_log(q)));
    leader_change_pack(&record, q->o.node_id, q->raft.state.epoch);
    append_own(q, &record);
    tell(q, LOG_LEVEL_INFO, "broker %d leads the metadata quorum in epoch %d",
         q->o.node_id, q->raft.state.epoch);
}

static void lead(struct quorum *q)
{
    if (q->raft.elected)
        begin_to_lead(q);
    leader_announce(q);
    raft_commit(&q->raft);
    commit(q);
    /* It has taken itself out, and the others know. */
    if (!raft_is_voter(&q->raft) &&
        voters_newest(&q->voters)->offset < q->raft.high_watermark)
        leader_end(q);
    else
        voters_write(q);
}

static void act(struct quorum *q)
{
    if (!raft_is_saved(&q->raft))
        return;
    switch (q->raft.role) {
    case RAFT_LEADER: lead(q); break;
    case RAFT_PROSPECTIVE:
    case RAFT_CANDIDATE: votes_ask(q); break;
    case RAFT_UNATTACHED: leader_look_for(q); break;
    case RAFT_FOLLOWER: break;
    }
    leader_follow(q);
}

static void tell_of_leader(struct quorum *q)
{
    bool active = quorum_is_active(q);

    if (q->raft.role != RAFT_FOLLOWER)
        q->told = -1;
    if (active == q->active && q->leader_told == q->raft.leader &&
        q->epoch_told == q->raft.state.epoch)
        return;
    q->active = active;
    q->leader_told = q->raft.leader;
    q->epoch_told = q->raft.state.epoch;
    q->o.leader_changed(q->o.ctx);
}

void quorum_turn(struct quorum *q, struct instant now)
{
    q->now = now;
    calls_run(q);
    if (q->failed)
        return;
    if (!q->stopped)
        raft_tick(&q->raft, now);
    save(q);
    held_release(q);
    if (!q->stopped) {
        act(q);
        around_ask(q);
    }
    if (q->raft.role == RAFT_FOLLOWER)
        raft_told(&q->raft, q->told);
    commit(q);
    tell_of_leader(q);
    decide(q);
    parked_run(q);
    save(q);
}

void quorum_durable(struct quorum *q, struct instant now)
{
    q->now = now;
    log_moved(q);
    if (q->failed || is_installing(q))
        return;
    if (q->raft.role == RAFT_LEADER && !q->raft.elected)
        raft_commit(&q->raft);
    else if (q->raft.role == RAFT_FOLLOWER)
        raft_told(&q->raft, q->told);
    commit(q);
}

void quorum_tick(struct quorum *q, struct instant now)
{
    q->now = now;
    if (now.mono_ms < q->snapshot_ms || is_installing(q) || q->failed)
        return;
    q->snapshot_ms = now.mono_ms + SNAPSHOT_EVERY_MS;
    machine_tick(q->machine, now);
}

int64_t quorum_deadline(const struct quorum *q)
{
    int64_t first = raft_deadline(&q->raft), parked = parked_deadline(q);

    if (q->stopped || q->failed)
        return INT64_MAX;
    if (parked < first)
        first = parked;
    if (q->left_ms > q->now.mono_ms && q->left_ms < first)
        first = q->left_ms;
    if (machine_is_large(q->machine) && q->snapshot_ms < first)
        first = q->snapshot_ms;
    if (q->looking_around && q->around_ms < first)
        first = q->around_ms;
    if (leader_may_be_asked(q) && q->fetch_ms < first)
        first = q->fetch_ms;
    if (q->raft.role == RAFT_LEADER && leader_is_unknown(q) && q->announce_ms < first)
        first = q->announce_ms;
    return first;
}

/* ---- the end -------------------------------------------------------------------------
 */

/* With nobody to hand over to, what was decided is still brought to an end. */
void quorum_stop(struct quorum *q, struct instant now)
{
    q->now = now;
    if (q->raft.role == RAFT_LEADER && q->raft.peer_count > 1 && !q->failed)
        leader_end(q);
    if (q->raft.role != RAFT_LEADER)
        parked_run(q); /* with the names of the successors */
    /* Half a snapshot would leave the node with an image that is not the one it uses. */
    while (is_installing(q) && !download_is_over(q))
        disk_poll(q->o.disk, true);
    q->stopped = true;
    refuse_waiting(q, STATUS_SHUTTING_DOWN);
    parked_run(q);
    held_release(q);
}

void quorum_close(struct quorum *q)
{
    struct flight *f;

    CHECK(q->stopped && TAILQ_EMPTY(&q->parked));
    calls_run(q);
    refuse_waiting(q, STATUS_SHUTTING_DOWN);
    CHECK(q->asked == 0);
    /* On its way to the disk: it may or may not be there at the next start. */
    give_up_decided(q, STATUS_REQUEST_TIMED_OUT);
    while (q->reading > 0 || q->serving > 0)
        disk_poll(q->o.disk, true);
    held_release(q);
    machine_close(q->machine);
    while ((f = TAILQ_FIRST(&q->flights)) != NULL) {
        TAILQ_REMOVE(&q->flights, f, link);
        free(f);
    }
    vote_file_close(&q->file);
    download_free(q);
    voters_release(&q->voters);
    free(q->configured);
    free(q->heard);
    free(q);
}

/* ---- the door ------------------------------------------------------------------------
 */

void quorum_request(struct quorum *q, struct request *r, struct instant now)
{
    q->now = now;
    if (q->stopped || q->failed) {
        request_refuse(r, STATUS_SHUTTING_DOWN, NULL);
        return;
    }
    switch ((int)r->row->api) {
    case RPC_VOTE: on_vote(q, r); return;
    case RPC_BEGIN_EPOCH: on_begin(q, r); return;
    case RPC_END_EPOCH: on_end(q, r); return;
    case RPC_QUORUM_FETCH: on_fetch(q, r); return;
    case RPC_FETCH_SNAPSHOT: on_snapshot(q, r); return;
    case RPC_DESCRIBE_QUORUM: on_describe(q, r); return;
    case RPC_ALTER_QUORUM: on_alter(q, r); return;
    default: request_refuse(r, STATUS_UNKNOWN_API, NULL); return;
    }
}

/* ---- what others want to know --------------------------------------------------------
 */

bool quorum_is_active(const struct quorum *q)
{
    return q->raft.role == RAFT_LEADER && !q->raft.elected && !q->failed &&
           machine_applied(q->machine) > q->raft.epoch_start;
}

int32_t quorum_leader(const struct quorum *q, struct endpoint *at)
{
    if (q->raft.leader <= 0)
        return -1;
    *at = q->raft.leader == q->o.node_id ? q->o.at : q->raft.leader_at;
    return q->raft.leader;
}

int32_t quorum_epoch(const struct quorum *q)
{
    return q->raft.state.epoch;
}

int64_t quorum_high_watermark(const struct quorum *q)
{
    return q->raft.high_watermark;
}

bool quorum_is_alone(const struct quorum *q)
{
    return q->raft.peer_count == 1 && raft_is_voter(&q->raft);
}

bool quorum_is_voter(const struct quorum *q, int32_t node_id)
{
    const struct voter_set *newest = voters_newest(&q->voters);

    for (size_t i = 0; i < newest->count; i++)
        if (newest->voters[i].node_id == node_id)
            return true;
    return false;
}
