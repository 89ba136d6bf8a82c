/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/disk_files.h"

#include "proto/base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum status disk_status_of(int error_number)
{
    switch (error_number) {
    case 0: return STATUS_OK;
    case ENOENT: return STATUS_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY: return STATUS_EXISTS;
    case ENOSPC:
    case EDQUOT: return STATUS_NO_SPACE;
    case ENOMEM: return STATUS_NO_MEMORY;
    default: return STATUS_IO;
    }
}

int disk_open_flags(unsigned flags)
{
    int o = O_CLOEXEC;

    if (flags & DISK_DIRECTORY)
        return o | O_RDONLY | O_DIRECTORY;
    o |= flags & DISK_READ_ONLY ? O_RDONLY : O_RDWR;
    if (flags & DISK_CREATE)
        o |= O_CREAT;
    if (flags & DISK_EXCLUSIVE)
        o |= O_EXCL;
    if (flags & DISK_DIRECT)
        o |= O_DIRECT;
    return o;
}

unsigned disk_rest(const struct disk_op *op, uint64_t done, struct iovec *rest)
{
    unsigned n = 0;

    for (unsigned i = 0; i < op->iov_count; i++) {
        struct iovec v = op->iov[i];

        if (done >= v.iov_len) {
            done -= v.iov_len;
            continue;
        }
        v.iov_base = (char *)v.iov_base + done;
        v.iov_len -= done;
        done = 0;
        rest[n++] = v;
    }
    return n;
}

static int open_file(int root, struct disk_op *op)
{
    int flags = disk_open_flags(op->flags);
    int fd = openat(root, op->path, flags, 0640);

    op->direct = (op->flags & DISK_DIRECT) != 0;
    if (fd < 0 && errno == EINVAL && op->direct) {
        op->direct = false;
        fd = openat(root, op->path, flags & ~O_DIRECT, 0640);
    }
    op->file = fd;
    return fd < 0 ? errno : 0;
}

/* All of the operation's bytes; reading ends early at the end of the file. */
static int move_bytes(struct disk_op *op)
{
    struct iovec rest[DISK_IOV_MAX];
    unsigned n;

    op->bytes = 0;
    while ((n = disk_rest(op, op->bytes, rest)) > 0) {
        off_t at = (off_t)(op->offset + op->bytes);
        ssize_t moved = op->kind == DISK_READ ? preadv2(op->file, rest, (int)n, at, 0)
                                              : pwritev2(op->file, rest, (int)n, at,
                                                         op->sync ? RWF_DSYNC : 0);

        if (moved < 0 && errno == EINTR)
            continue;
        if (moved < 0)
            return errno;
        if (moved == 0)
            return op->kind == DISK_READ ? 0 : EIO;
        op->bytes += (size_t)moved;
        /* Off a page's boundary only the end of the file cuts a read. */
        if (op->kind == DISK_READ && (op->offset + op->bytes) % DISK_ALIGN != 0)
            return 0;
    }
    return 0;
}

static int remove_path(int root, const char *path)
{
    if (unlinkat(root, path, 0) == 0)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return errno;
    return unlinkat(root, path, AT_REMOVEDIR) == 0 ? 0 : errno;
}

static int list_names(int root, struct disk_op *op)
{
    int fd = openat(root, op->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    size_t len = 0, capacity = 0;
    char *names = NULL;
    const struct dirent *entry;

    if (dir == NULL)
        return errno;
    while ((entry = readdir(dir)) != NULL) {
        size_t size = strlen(entry->d_name) + 1;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (len + size + 1 > capacity) {
            capacity = (len + size + 1) * 2;
            names = must_realloc(names, capacity);
        }
        memcpy(names + len, entry->d_name, size);
        len += size;
    }
    closedir(dir);
    names = must_realloc(names, len + 1);
    names[len] = '\0';
    op->names = names;
    return 0;
}

static int stat_path(int root, struct disk_op *op)
{
    struct stat st;

    if (fstatat(root, op->path, &st, 0) != 0)
        return errno;
    op->length = (uint64_t)st.st_size;
    return 0;
}

static int free_space(int root, struct disk_op *op)
{
    struct statvfs st;

    if (fstatvfs(root, &st) != 0)
        return errno;
    op->length = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

static int carry_out(int root, struct disk_op *op)
{
    switch (op->kind) {
    case DISK_OPEN: return open_file(root, op);
    case DISK_CLOSE: return close(op->file) == 0 ? 0 : errno;
    case DISK_READ:
    case DISK_WRITE: return move_bytes(op);
    case DISK_SYNC: return fsync(op->file) == 0 ? 0 : errno;
    case DISK_ALLOCATE:
        return fallocate(op->file, 0, (off_t)op->offset, (off_t)op->length) == 0 ? 0
                                                                                 : errno;
    case DISK_TRUNCATE: return ftruncate(op->file, (off_t)op->offset) == 0 ? 0 : errno;
    case DISK_STAT: return stat_path(root, op);
    case DISK_MAKE_DIR: return mkdirat(root, op->path, 0750) == 0 ? 0 : errno;
    case DISK_RENAME: return renameat(root, op->path, root, op->path2) == 0 ? 0 : errno;
    case DISK_REMOVE: return remove_path(root, op->path);
    case DISK_LIST: return list_names(root, op);
    case DISK_SPACE: return free_space(root, op);
    }
    return EINVAL;
}

void disk_carry_out(int root, struct disk_op *op)
{
    op->error = carry_out(root, op);
    /* A file system that cannot preallocate grows the file as it is written. */
    if (op->kind == DISK_ALLOCATE && op->error == EOPNOTSUPP)
        op->error = 0;
    op->status = disk_status_of(op->error);
}
