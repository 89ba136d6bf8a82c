/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/simdisk.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "tests/support/simdisk_names.h"

#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512, HANDLES_MAX = 4096 };

/* A write that has completed but was not synced. */
struct loose_write {
    uint64_t id, offset, len;
    uint8_t *data;
    TAILQ_ENTRY(loose_write) link;
};

struct content {
    uint8_t *data;
    uint64_t len, capacity;
};

struct inode {
    bool is_dir;
    struct content view, durable;
    uint64_t
        cut; /* shortest length since the last sync: durable bytes beyond go with it */
    TAILQ_HEAD(, loose_write) loose;
    TAILQ_ENTRY(inode) link; /* all inodes, for freeing */
};

struct handle {
    struct inode *inode;
    char *path; /* of a directory: what a sync covers */
};

struct simdisk {
    struct disk disk;
    struct prng random;
    struct simdisk_options options;
    TAILQ_HEAD(, inode) inodes;
    struct names names;
    TAILQ_HEAD(pending_list, disk_op) pending;
    unsigned pending_count;
    struct handle handles[HANDLES_MAX];
    uint64_t ops, write_id;
    uint64_t die_at;
    enum simdisk_moment moment;
    bool will_die, dead;
    enum disk_kind fail_kind;
    unsigned fail_count;
    enum status fail_status;
    uint64_t fail_at;
    enum status fail_at_status; /* OK: none planned */
};

static struct simdisk *from(struct disk *d)
{
    return container_of(d, struct simdisk, disk);
}

/* ---- contents ------------------------------------------------------------------------
 */

static void resize(struct content *c, uint64_t len)
{
    if (len > c->capacity) {
        c->capacity = len > c->capacity * 2 ? len : c->capacity * 2;
        c->data = must_realloc(c->data, c->capacity);
    }
    if (len > c->len)
        memset(c->data + c->len, 0, len - c->len);
    c->len = len;
}

static void put(struct content *c, uint64_t offset, const uint8_t *data, uint64_t len)
{
    if (offset + len > c->len)
        resize(c, offset + len);
    memcpy(c->data + offset, data, len);
}

static void copy_content(struct content *to, const struct content *source)
{
    resize(to, source->len);
    if (source->len > 0)
        memcpy(to->data, source->data, source->len);
}

static void drop_loose(struct inode *n, struct loose_write *w)
{
    TAILQ_REMOVE(&n->loose, w, link);
    free(w->data);
    free(w);
}

static void free_inode(struct simdisk *s, struct inode *n)
{
    struct loose_write *w;

    while ((w = TAILQ_FIRST(&n->loose)) != NULL)
        drop_loose(n, w);
    TAILQ_REMOVE(&s->inodes, n, link);
    free(n->view.data);
    free(n->durable.data);
    free(n);
}

static struct inode *new_inode(struct simdisk *s, bool is_dir)
{
    struct inode *n = must_zalloc(sizeof *n);

    n->is_dir = is_dir;
    n->cut = UINT64_MAX;
    TAILQ_INIT(&n->loose);
    TAILQ_INSERT_TAIL(&s->inodes, n, link);
    return n;
}

/* ---- operations ----------------------------------------------------------------------
 */

static uint64_t space_used(const struct simdisk *s)
{
    const struct name *n;
    uint64_t sum = 0;

    TAILQ_FOREACH (n, &s->names.view, link)
        sum += n->inode->view.len;
    return sum;
}

static bool has_space(const struct simdisk *s, const struct inode *n, uint64_t len)
{
    return s->options.capacity == 0 || len <= n->view.len ||
           space_used(s) + (len - n->view.len) <= s->options.capacity;
}

static enum status open_file(struct simdisk *s, struct disk_op *op)
{
    struct name *n = names_find(&s->names, op->path);
    struct inode *inode = n != NULL ? n->inode : NULL;

    if (strcmp(op->path, ".") == 0)
        inode = TAILQ_FIRST(&s->inodes);
    if (inode != NULL && (op->flags & DISK_EXCLUSIVE))
        return STATUS_EXISTS;
    if (inode == NULL) {
        if (!(op->flags & DISK_CREATE) || !names_parent_exists(&s->names, op->path))
            return STATUS_NOT_FOUND;
        inode = new_inode(s, false);
        names_change(&s->names, NULL, op->path, inode, false);
    }
    for (int i = 0; i < HANDLES_MAX; i++)
        if (s->handles[i].inode == NULL) {
            s->handles[i] = (struct handle){inode, must_text(op->path)};
            op->file = i;
            op->direct = (op->flags & DISK_DIRECT) != 0;
            return STATUS_OK;
        }
    return STATUS_IO;
}

static struct handle *handle_of(struct simdisk *s, const struct disk_op *op)
{
    CHECK(op->file >= 0 && op->file < HANDLES_MAX);
    CHECK(s->handles[op->file].inode != NULL);
    return &s->handles[op->file];
}

static enum status read_file(struct simdisk *s, struct disk_op *op)
{
    const struct content *c = &handle_of(s, op)->inode->view;

    for (unsigned i = 0; i < op->iov_count; i++) {
        uint64_t at = op->offset + op->bytes, left = at < c->len ? c->len - at : 0;
        size_t n = op->iov[i].iov_len < left ? op->iov[i].iov_len : (size_t)left;

        if (n > 0)
            memcpy(op->iov[i].iov_base, c->data + at, n);
        op->bytes += n;
    }
    return STATUS_OK;
}

/* A durable write wins over what loose writes had said there before. */
static void overrule(struct inode *n, uint64_t offset, const uint8_t *data, uint64_t len)
{
    struct loose_write *w;

    TAILQ_FOREACH (w, &n->loose, link) {
        uint64_t start = offset > w->offset ? offset : w->offset;
        uint64_t end =
            offset + len < w->offset + w->len ? offset + len : w->offset + w->len;

        if (start < end)
            memcpy(w->data + (start - w->offset), data + (start - offset), end - start);
    }
}

static void write_piece(struct simdisk *s, struct inode *n, uint64_t offset,
                        const uint8_t *data, uint64_t len, bool durable)
{
    struct loose_write *w;

    put(&n->view, offset, data, len);
    if (durable) {
        overrule(n, offset, data, len);
        put(&n->durable, offset, data, len);
        return;
    }
    w = must_alloc(sizeof *w);
    *w = (struct loose_write){++s->write_id, offset, len, must_alloc(len), {0}};
    memcpy(w->data, data, len);
    TAILQ_INSERT_TAIL(&n->loose, w, link);
}

static uint64_t total_len(const struct disk_op *op)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < op->iov_count; i++)
        sum += op->iov[i].iov_len;
    return sum;
}

static enum status write_file(struct simdisk *s, struct disk_op *op)
{
    struct inode *n = handle_of(s, op)->inode;

    if (!has_space(s, n, op->offset + total_len(op)))
        return STATUS_NO_SPACE;
    for (unsigned i = 0; i < op->iov_count; i++) {
        write_piece(s, n, op->offset + op->bytes, op->iov[i].iov_base, op->iov[i].iov_len,
                    op->sync);
        op->bytes += op->iov[i].iov_len;
    }
    return STATUS_OK;
}

/* A write that was cut: some of its sectors, none of them durable for sure. */
static void tear(struct simdisk *s, struct disk_op *op)
{
    struct inode *n = handle_of(s, op)->inode;
    bool prefix = prng_below(&s->random, 2) == 0;
    uint64_t keep = prng_below(&s->random, total_len(op) / SECTOR + 1), sector = 0;
    uint64_t at = op->offset;

    for (unsigned i = 0; i < op->iov_count; i++)
        for (size_t o = 0; o < op->iov[i].iov_len; o += SECTOR, sector++) {
            size_t len =
                op->iov[i].iov_len - o < SECTOR ? op->iov[i].iov_len - o : SECTOR;

            if (prefix ? sector < keep : prng_below(&s->random, 2) == 0)
                write_piece(s, n, at, (const uint8_t *)op->iov[i].iov_base + o, len,
                            false);
            at += len;
        }
}

/* What had completed when the sync was submitted is durable now: `progress` holds the
 * newest such write. */
static enum status sync_file(struct simdisk *s, struct disk_op *op)
{
    struct handle *h = handle_of(s, op);
    struct loose_write *w, *next;

    if (h->inode->is_dir) {
        names_sync(&s->names, h->path);
        return STATUS_OK;
    }
    if (h->inode->cut < h->inode->durable.len)
        resize(&h->inode->durable, h->inode->cut);
    h->inode->cut = UINT64_MAX;
    for (w = TAILQ_FIRST(&h->inode->loose); w != NULL; w = next) {
        next = TAILQ_NEXT(w, link);
        if (w->id > op->progress)
            continue;
        put(&h->inode->durable, w->offset, w->data, w->len);
        drop_loose(h->inode, w);
    }
    resize(&h->inode->durable, h->inode->view.len);
    return STATUS_OK;
}

static enum status truncate_file(struct simdisk *s, struct disk_op *op)
{
    struct inode *n = handle_of(s, op)->inode;
    struct loose_write *w, *next;

    for (w = TAILQ_FIRST(&n->loose); w != NULL; w = next) {
        next = TAILQ_NEXT(w, link);
        if (w->offset >= op->offset)
            drop_loose(n, w);
        else if (w->offset + w->len > op->offset)
            w->len = op->offset - w->offset;
    }
    if (op->offset < n->cut)
        n->cut = op->offset;
    resize(&n->view, op->offset);
    return STATUS_OK;
}

static enum status remove_path(struct simdisk *s, const char *path)
{
    struct name *n = names_find(&s->names, path), *other;

    if (n == NULL)
        return STATUS_NOT_FOUND;
    if (n->inode->is_dir)
        TAILQ_FOREACH (other, &s->names.view, link)
            if (names_lies_in(other->path, path))
                return STATUS_EXISTS;
    names_change(&s->names, path, NULL, n->inode, n->is_dir);
    return STATUS_OK;
}

static enum status list_names(struct simdisk *s, struct disk_op *op)
{
    const struct name *n;
    size_t len = 0;

    if (strcmp(op->path, ".") != 0 && names_find(&s->names, op->path) == NULL)
        return STATUS_NOT_FOUND;
    op->names = must_zalloc(1);
    TAILQ_FOREACH (n, &s->names.view, link) {
        const char *slash = strrchr(n->path, '/');
        const char *base = slash != NULL ? slash + 1 : n->path;

        if (!names_lies_in(n->path, op->path))
            continue;
        op->names = must_realloc(op->names, len + strlen(base) + 2);
        memcpy(op->names + len, base, strlen(base) + 1);
        len += strlen(base) + 1;
        op->names[len] = '\0';
    }
    return STATUS_OK;
}

static enum status make_dir(struct simdisk *s, const char *path)
{
    if (names_find(&s->names, path) != NULL)
        return STATUS_EXISTS;
    if (!names_parent_exists(&s->names, path))
        return STATUS_NOT_FOUND;
    names_change(&s->names, NULL, path, new_inode(s, true), true);
    return STATUS_OK;
}

static enum status rename_path(struct simdisk *s, const char *old, const char *new)
{
    if (names_find(&s->names, old) == NULL || !names_parent_exists(&s->names, new))
        return STATUS_NOT_FOUND;
    names_change(&s->names, old, new, names_find(&s->names, old)->inode,
                 names_find(&s->names, old)->is_dir);
    return STATUS_OK;
}

static enum status carry_out(struct simdisk *s, struct disk_op *op)
{
    struct name *n;

    switch (op->kind) {
    case DISK_OPEN: return open_file(s, op);
    case DISK_CLOSE:
        free(handle_of(s, op)->path);
        s->handles[op->file] = (struct handle){0};
        return STATUS_OK;
    case DISK_READ: return read_file(s, op);
    case DISK_WRITE: return write_file(s, op);
    case DISK_SYNC: return sync_file(s, op);
    case DISK_ALLOCATE:
        if (!has_space(s, handle_of(s, op)->inode, op->offset + op->length))
            return STATUS_NO_SPACE;
        if (handle_of(s, op)->inode->view.len < op->offset + op->length)
            resize(&handle_of(s, op)->inode->view, op->offset + op->length);
        return STATUS_OK;
    case DISK_TRUNCATE: return truncate_file(s, op);
    case DISK_STAT:
        n = names_find(&s->names, op->path);
        if (n == NULL)
            return STATUS_NOT_FOUND;
        op->length = n->inode->view.len;
        return STATUS_OK;
    case DISK_MAKE_DIR: return make_dir(s, op->path);
    case DISK_RENAME: return rename_path(s, op->path, op->path2);
    case DISK_REMOVE: return remove_path(s, op->path);
    case DISK_LIST: return list_names(s, op);
    case DISK_SPACE:
        op->length = s->options.capacity == 0 ? UINT64_C(1) << 50
                     : s->options.capacity > space_used(s)
                         ? s->options.capacity - space_used(s)
                         : 0;
        return STATUS_OK;
    }
    return STATUS_IO;
}

static void tear_pending(struct simdisk *s)
{
    struct disk_op *op;

    TAILQ_FOREACH (op, &s->pending, link)
        if (op->kind == DISK_WRITE)
            tear(s, op);
}

static void die(struct simdisk *s, struct disk_op *op)
{
    if (s->moment == SIMDISK_TORN && op->kind == DISK_WRITE)
        tear(s, op);
    else if (s->moment == SIMDISK_AFTER && carry_out(s, op) == STATUS_OK)
        free(op->names);
    tear_pending(s);
    s->dead = true;
}

static void take_effect(struct simdisk *s, struct disk_op *op)
{
    uint64_t number = s->ops++;

    op->bytes = 0;
    op->names = NULL;
    if (!s->dead && s->will_die && number == s->die_at)
        die(s, op);
    if (s->dead) {
        op->names = NULL;
        op->status = STATUS_IO;
    } else if (s->fail_at_status != STATUS_OK && number == s->fail_at) {
        if (op->kind == DISK_WRITE && s->fail_at_status == STATUS_IO)
            tear(s, op);
        op->status = s->fail_at_status;
        s->fail_at_status = STATUS_OK;
    } else if (s->fail_count > 0 && op->kind == s->fail_kind) {
        s->fail_count--;
        op->status = s->fail_status;
    } else {
        op->status = carry_out(s, op);
    }
}

/* ---- the port ------------------------------------------------------------------------
 */

static void sim_submit(struct disk *d, struct disk_op *op)
{
    struct simdisk *s = from(d);

    op->progress = s->write_id; /* what a sync covers */
    TAILQ_INSERT_TAIL(&s->pending, op, link);
    s->pending_count++;
}

static size_t sim_poll(struct disk *d, bool wait)
{
    struct simdisk *s = from(d);
    unsigned patience = s->options.patience > 0 ? s->options.patience : 2;
    size_t ran = 0;

    CHECK(!wait || s->pending_count > 0);
    /* Operations that completions start are left to the next poll. A completion may poll
     * itself, and leave nothing to us. */
    for (unsigned tries = s->pending_count; tries > 0 && s->pending_count > 0; tries--) {
        struct disk_op *op = TAILQ_FIRST(&s->pending);

        TAILQ_REMOVE(&s->pending, op, link);
        if (prng_below(&s->random, patience) != 0 && !(wait && tries == 1 && ran == 0)) {
            TAILQ_INSERT_TAIL(&s->pending, op, link);
            continue;
        }
        s->pending_count--;
        take_effect(s, op);
        op->done(op);
        ran++;
    }
    return ran;
}

static void sim_close(struct disk *d)
{
    CHECK(from(d)->pending_count == 0);
}

/* ---- the harness' side ---------------------------------------------------------------
 */

struct simdisk *simdisk_new(const struct simdisk_options *o)
{
    static const struct disk_verbs verbs = {sim_submit, sim_poll, sim_close};
    struct simdisk *s = must_zalloc(sizeof *s);

    s->disk = (struct disk){&verbs, "simulated"};
    s->options = *o;
    prng_init(&s->random, o->seed);
    TAILQ_INIT(&s->inodes);
    names_init(&s->names);
    TAILQ_INIT(&s->pending);
    new_inode(s, true); /* the root */
    return s;
}

static void close_handles(struct simdisk *s)
{
    for (int i = 0; i < HANDLES_MAX; i++) {
        free(s->handles[i].path);
        s->handles[i] = (struct handle){0};
    }
}

void simdisk_free(struct simdisk *s)
{
    close_handles(s);
    names_release(&s->names);
    while (!TAILQ_EMPTY(&s->inodes))
        free_inode(s, TAILQ_FIRST(&s->inodes));
    free(s);
}

struct disk *simdisk_disk(struct simdisk *s)
{
    return &s->disk;
}

uint64_t simdisk_ops(const struct simdisk *s)
{
    return s->ops;
}

unsigned simdisk_pending(const struct simdisk *s)
{
    return s->pending_count;
}

uint64_t simdisk_used(const struct simdisk *s)
{
    return space_used(s);
}

void simdisk_die_at(struct simdisk *s, uint64_t op, enum simdisk_moment moment)
{
    s->will_die = true;
    s->die_at = op;
    s->moment = moment;
}

bool simdisk_is_dead(const struct simdisk *s)
{
    return s->dead;
}

void simdisk_fail(struct simdisk *s, enum disk_kind kind, unsigned count,
                  enum status status)
{
    s->fail_kind = kind;
    s->fail_count = count;
    s->fail_status = status;
}

void simdisk_fail_at(struct simdisk *s, uint64_t op, enum status status)
{
    s->fail_at = op;
    s->fail_at_status = status;
}

void simdisk_set_capacity(struct simdisk *s, uint64_t bytes)
{
    s->options.capacity = bytes;
}

/* Writes under way may have reached the medium, in part. */
static void settle_pending(struct simdisk *s)
{
    if (!s->dead)
        tear_pending(s);
    TAILQ_INIT(&s->pending);
    s->pending_count = 0;
}

/* A length that was not synced is the old one or the new one. */
static void lose_length(struct simdisk *s, struct inode *n)
{
    if (n->cut < n->durable.len && prng_below(&s->random, 2) == 0)
        resize(&n->durable, n->cut);
    if (n->view.len > n->durable.len && prng_below(&s->random, 2) == 0)
        resize(&n->durable, n->view.len);
}

/* Each loose write: none, all, a prefix of its sectors, or any of them. */
static void lose_power(struct simdisk *s, struct inode *n)
{
    const bool is_safe =
        TAILQ_EMPTY(&n->loose) && n->cut == UINT64_MAX && n->view.len == n->durable.len;
    struct loose_write *w;

    if (is_safe)
        return; /* all of it was synced: what is in view is what is durable */
    lose_length(s, n);
    while ((w = TAILQ_FIRST(&n->loose)) != NULL) {
        uint64_t fate = prng_below(&s->random, 4);
        uint64_t keep = prng_below(&s->random, w->len / SECTOR + 1);

        for (uint64_t o = 0, sector = 0; o < w->len && fate > 0; o += SECTOR, sector++) {
            uint64_t len = w->len - o < SECTOR ? w->len - o : SECTOR;

            if (fate == 1 || (fate == 2 && sector < keep) ||
                (fate == 3 && prng_below(&s->random, 2) == 0))
                put(&n->durable, w->offset + o, w->data + o, len);
        }
        drop_loose(n, w);
    }
    copy_content(&n->view, &n->durable);
    n->cut = UINT64_MAX;
}

void simdisk_crash(struct simdisk *s, enum simdisk_crash_kind kind)
{
    struct inode *n;

    settle_pending(s);
    close_handles(s);
    if (kind == SIMDISK_POWER) {
        TAILQ_FOREACH (n, &s->inodes, link)
            lose_power(s, n);
        names_lose(&s->names, &s->random, s->options.chaotic_names);
    }
    s->will_die = s->dead = false;
    s->fail_count = 0;
    s->fail_at_status = STATUS_OK;
}

bool simdisk_flip(struct simdisk *s, const char *path, uint64_t offset, uint8_t mask)
{
    struct name *n = names_find(&s->names, path);

    if (n == NULL || offset >= n->inode->view.len)
        return false;
    n->inode->view.data[offset] ^= mask;
    if (offset < n->inode->durable.len)
        n->inode->durable.data[offset] ^= mask;
    return true;
}

const uint8_t *simdisk_peek(const struct simdisk *s, const char *path, uint64_t *length)
{
    struct name *n = names_find(&s->names, path);

    if (n == NULL)
        return NULL;
    *length = n->inode->view.len;
    return n->inode->view.data;
}
