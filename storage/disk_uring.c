/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/disk_uring.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"
#include "storage/disk_files.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

enum { ENTRIES = 256, COMPLETIONS = 2048 };

struct uring_disk {
    struct disk disk;
    struct io_uring ring;
    int root;
    unsigned under_way;
    TAILQ_HEAD(, disk_op) held; /* waits for a free place in the ring */
};

static struct uring_disk *from(struct disk *d)
{
    return container_of(d, struct uring_disk, disk);
}

/* What the ring does without leaving this thread, or what would block it too long. */
static bool goes_through_ring(const struct disk_op *op)
{
    switch (op->kind) {
    case DISK_READ:
    case DISK_WRITE:
    case DISK_SYNC:
    case DISK_ALLOCATE:
    case DISK_REMOVE: return true;
    case DISK_OPEN:
    case DISK_CLOSE:
    case DISK_TRUNCATE:
    case DISK_STAT:
    case DISK_MAKE_DIR:
    case DISK_RENAME:
    case DISK_LIST:
    case DISK_SPACE: return false;
    }
    return false;
}

/* The rest of an operation's vector, kept while the kernel may look at it: a short
 * transfer is rare, so the first attempt uses the caller's own. */
static void prepare_transfer(struct disk_op *op, struct io_uring_sqe *sqe)
{
    uint64_t at = op->offset + op->progress;

    if (op->progress > 0) {
        unsigned n = disk_rest(op, op->progress, op->iov);

        op->iov_count = n;
        op->offset = at;
        op->bytes += op->progress;
        op->progress = 0;
    }
    if (op->kind == DISK_READ) {
        io_uring_prep_readv(sqe, op->file, op->iov, op->iov_count, at);
    } else {
        io_uring_prep_writev(sqe, op->file, op->iov, op->iov_count, at);
        sqe->rw_flags = op->sync ? RWF_DSYNC : 0;
    }
}

static void prepare(struct uring_disk *u, struct disk_op *op, struct io_uring_sqe *sqe)
{
    if (!goes_through_ring(op)) {
        /* Done here and now; its completion takes the same way as all others. */
        disk_carry_out(u->root, op);
        io_uring_prep_nop(sqe);
    } else if (op->kind == DISK_SYNC) {
        io_uring_prep_fsync(sqe, op->file, 0);
    } else if (op->kind == DISK_ALLOCATE) {
        io_uring_prep_fallocate(sqe, op->file, 0, (off_t)op->offset, (off_t)op->length);
    } else if (op->kind == DISK_REMOVE) {
        io_uring_prep_unlinkat(sqe, u->root, op->path, op->progress ? AT_REMOVEDIR : 0);
    } else {
        prepare_transfer(op, sqe);
    }
    io_uring_sqe_set_data(sqe, op);
}

static bool start(struct uring_disk *u, struct disk_op *op)
{
    struct io_uring_sqe *sqe;

    if (u->under_way == COMPLETIONS)
        return false;
    sqe = io_uring_get_sqe(&u->ring);
    if (sqe == NULL) {
        io_uring_submit(&u->ring);
        sqe = io_uring_get_sqe(&u->ring);
    }
    if (sqe == NULL)
        return false;
    u->under_way++;
    prepare(u, op, sqe);
    return true;
}

static void uring_submit(struct disk *d, struct disk_op *op)
{
    struct uring_disk *u = from(d);

    op->progress = 0;
    op->bytes = 0;
    op->error = 0;
    if (!TAILQ_EMPTY(&u->held) || !start(u, op))
        TAILQ_INSERT_TAIL(&u->held, op, link);
}

static size_t wanted_bytes(const struct disk_op *op)
{
    size_t sum = 0;

    for (unsigned i = 0; i < op->iov_count; i++)
        sum += op->iov[i].iov_len;
    return sum;
}

/* Judge a completion; true if the operation must go on. */
static bool goes_on(struct disk_op *op, int result)
{
    if (!goes_through_ring(op))
        return false;
    if (result == -EINTR || result == -EAGAIN)
        return true;
    if (op->kind == DISK_REMOVE && (result == -EISDIR || result == -EPERM) &&
        op->progress == 0) {
        op->progress = 1;
        return true;
    }
    if (op->kind == DISK_ALLOCATE && result == -EOPNOTSUPP)
        result = 0;
    if (result < 0) {
        op->error = -result;
    } else if (op->kind == DISK_READ || op->kind == DISK_WRITE) {
        size_t wanted = wanted_bytes(op);

        /* Off a page's boundary only the end of the file cuts a read. */
        if ((size_t)result < wanted && result > 0 &&
            (op->kind == DISK_WRITE ||
             (op->offset + (uint64_t)result) % DISK_ALIGN == 0)) {
            op->progress = (uint64_t)result;
            return true;
        }
        if ((size_t)result < wanted && op->kind == DISK_WRITE)
            op->error = EIO;
        op->bytes += (size_t)result;
    }
    op->status = disk_status_of(op->error);
    return false;
}

static void start_held(struct uring_disk *u)
{
    struct disk_op *op;

    while ((op = TAILQ_FIRST(&u->held)) != NULL && start(u, op))
        TAILQ_REMOVE(&u->held, op, link);
}

/* Run what has completed; operations that these start are left to the next round. */
static size_t reap(struct uring_disk *u)
{
    struct io_uring_cqe *cqe;
    size_t ran = 0;

    while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
        struct disk_op *op = io_uring_cqe_get_data(cqe);
        int result = cqe->res;

        io_uring_cqe_seen(&u->ring, cqe);
        u->under_way--;
        if (goes_on(op, result)) {
            if (!start(u, op))
                TAILQ_INSERT_HEAD(&u->held, op, link);
            continue;
        }
        op->done(op);
        ran++;
    }
    return ran;
}

static size_t uring_poll(struct disk *d, bool wait)
{
    struct uring_disk *u = from(d);
    size_t ran;

    do {
        int submitted;

        start_held(u);
        CHECK(!wait || u->under_way > 0);
        submitted =
            wait && !io_uring_cq_ready(&u->ring)
                ? io_uring_submit_and_wait(&u->ring, 1)
                : (io_uring_sq_ready(&u->ring) > 0 ? io_uring_submit(&u->ring) : 0);
        CHECK(submitted >= 0 || submitted == -EINTR || submitted == -EAGAIN ||
              submitted == -EBUSY);
        ran = reap(u);
    } while (wait && ran == 0);
    /* What the completions started must not wait for the next turn. */
    if (io_uring_sq_ready(&u->ring) > 0)
        io_uring_submit(&u->ring);
    return ran;
}

static void uring_close(struct disk *d)
{
    struct uring_disk *u = from(d);

    CHECK(u->under_way == 0 && TAILQ_EMPTY(&u->held));
    io_uring_queue_exit(&u->ring);
    close(u->root);
    free(u);
}

/* Without SINGLE_ISSUER: it would bind the ring to the thread that opens it, and a
 * shard's disk is opened before its thread starts. */
static bool ring_open(struct io_uring *ring)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETIONS,
    };

    if (io_uring_queue_init_params(ENTRIES, ring, &params) == 0)
        return true;
    /* Kernels before 5.19 do not know the first flag. */
    params = (struct io_uring_params){.flags = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
                                      .cq_entries = COMPLETIONS};
    return io_uring_queue_init_params(ENTRIES, ring, &params) == 0;
}

enum status disk_uring_open(const char *root, struct disk **out)
{
    static const struct disk_verbs verbs = {uring_submit, uring_poll, uring_close};
    struct uring_disk *u = must_zalloc(sizeof *u);

    u->disk = (struct disk){&verbs, "io_uring"};
    TAILQ_INIT(&u->held);
    u->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (u->root < 0) {
        enum status st = disk_status_of(errno);

        free(u);
        return st;
    }
    if (!ring_open(&u->ring)) {
        close(u->root);
        free(u);
        return STATUS_UNSUPPORTED_VERSION;
    }
    *out = &u->disk;
    return STATUS_OK;
}

int disk_uring_fd(struct disk *d)
{
    return from(d)->ring.ring_fd;
}
