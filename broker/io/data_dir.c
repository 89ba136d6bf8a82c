/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/data_dir.h"

#include "proto/base/check.h"
#include "proto/base/crc32c.h"
#include "proto/base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IDENTITY_MAX = 1024 };

size_t identity_format(int version, struct uuid cluster_id, struct uuid directory,
                       int32_t node_id, char *out, size_t size)
{
    char id[UUID_TEXT], own[UUID_TEXT];
    int len;

    uuid_format(cluster_id, id);
    uuid_format(directory, own);
    len = snprintf(out, size,
                   "# What this directory is: Leat's own, not for editing.\n"
                   "version = %d\ncluster.id = %s\nnode.id = %d\n"
                   "directory.id = %s\n",
                   version, id, node_id, own);
    CHECK(len > 0 && (size_t)len < size);
    len += snprintf(out + len, size - (size_t)len, "checksum = %08x\n",
                    crc32c(0, out, (size_t)len));
    CHECK((size_t)len < size);
    return (size_t)len;
}

static enum status damaged(char why[static 256])
{
    snprintf(why, 256, "its identity file is damaged; restore it from a backup");
    return STATUS_CORRUPT;
}

/* The version is looked at first: a newer one may have changed everything else. */
enum status identity_parse(const char *text, size_t len, struct uuid *cluster_id,
                           struct uuid *directory, int32_t *node_id, char why[static 256])
{
    char copy[IDENTITY_MAX], id[UUID_TEXT], own[UUID_TEXT] = "";
    unsigned checksum;
    int version, node, end = -1;
    const char *sum;
    struct uuid parsed;

    if (len >= sizeof copy || memchr(text, '\0', len) != NULL)
        return damaged(why);
    memcpy(copy, text, len);
    copy[len] = '\0';
    text = strstr(copy, "version = ");
    if (text == NULL || sscanf(text, "version = %d", &version) != 1)
        return damaged(why);
    if (version > DATA_DIR_VERSION) {
        snprintf(why, 256,
                 "it has format version %d, and this broker (" LEAT_VERSION
                 ") knows versions up to %d: a newer broker wrote it",
                 version, DATA_DIR_VERSION);
        return STATUS_UNSUPPORTED_VERSION;
    }
    sum = strstr(copy, "checksum = ");
    if (sum == NULL || sscanf(sum, "checksum = %8x", &checksum) != 1 ||
        crc32c(0, copy, (size_t)(sum - copy)) != checksum)
        return damaged(why);
    if (sscanf(text, "version = %*d cluster.id = %32[0-9a-f] node.id = %d%n", id, &node,
               &end) != 2 ||
        end < 0 || !uuid_parse(id, strlen(id), &parsed))
        return damaged(why);
    *directory = (struct uuid){0};
    if (sscanf(text + end, " directory.id = %32[0-9a-f]", own) == 1 &&
        !uuid_parse(own, strlen(own), directory))
        return damaged(why);
    *cluster_id = parsed;
    *node_id = node;
    return STATUS_OK;
}

static enum status trouble(const char *what, char why[static 256])
{
    snprintf(why, 256, "%.160s: %s", what, strerror(errno));
    return STATUS_IO;
}

static char *path_in(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = must_alloc(size);

    snprintf(path, size, "%s/%s", dir, name);
    return path;
}

/* The holder writes its number down for whoever comes second. */
static void note_holder(int fd)
{
    char pid[16];
    int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());

    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len)
        return; /* only the sentence of a refusal would miss it */
}

static enum status locked(int fd, char why[static 256])
{
    char pid[16] = "";
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);

    pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
    snprintf(why, 256, "another broker is running on it%s%s%s",
             pid[0] ? " (process " : "", pid, pid[0] ? ")" : "");
    return STATUS_BUSY;
}

static enum status take_lock(struct data_dir *d, char why[static 256])
{
    char *path = path_in(d->path, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    enum status st = STATUS_OK;

    free(path);
    if (fd < 0)
        return trouble("its lock file cannot be opened", why);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        st = errno == EWOULDBLOCK ? locked(fd, why) : trouble("it cannot be locked", why);
        close(fd);
        return st;
    }
    note_holder(fd);
    d->lock_fd = fd;
    return STATUS_OK;
}

/* What an empty directory may hold all the same. */
static bool is_of_no_concern(const char *name)
{
    return !strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "lock") ||
           !strcmp(name, "lost+found") || !strcmp(name, "identity.tmp");
}

static enum status must_be_empty(const char *path, char why[static 256])
{
    DIR *dir = opendir(path);
    enum status st = STATUS_OK;
    struct dirent *e;

    if (dir == NULL)
        return trouble("it cannot be read", why);
    while (!st && (e = readdir(dir)) != NULL) {
        if (is_of_no_concern(e->d_name))
            continue;
        snprintf(why, 256,
                 "it is not empty ('%.100s'), but it is no data directory of Leat either",
                 e->d_name);
        st = STATUS_EXISTS;
    }
    closedir(dir);
    return st;
}

static bool write_whole(const char *path, const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    bool good;

    if (fd < 0)
        return false;
    good = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
    return close(fd) == 0 && good;
}

static bool sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return good;
}

static enum status write_identity(struct data_dir *d, char why[static 256])
{
    char text[IDENTITY_MAX];
    size_t len = identity_format(DATA_DIR_VERSION, d->cluster_id, d->directory,
                                 d->node_id, text, sizeof text);
    char *path = path_in(d->path, "identity");
    char *tmp = path_in(d->path, "identity.tmp");
    bool good =
        write_whole(tmp, text, len) && rename(tmp, path) == 0 && sync_dir(d->path);
    enum status st = good ? STATUS_OK : trouble("its identity cannot be written", why);

    free(tmp);
    free(path);
    return st;
}

static enum status read_identity(struct data_dir *d, int fd, char why[static 256])
{
    char text[IDENTITY_MAX];
    ssize_t n = read(fd, text, sizeof text);
    int32_t node_id;
    enum status st;

    if (n < 0)
        return trouble("its identity cannot be read", why);
    st = identity_parse(text, (size_t)n, &d->cluster_id, &d->directory, &node_id, why);
    if (st)
        return st;
    if (node_id != d->node_id) {
        snprintf(why, 256, "it belongs to node %d, and node.id is %d", node_id,
                 d->node_id);
        return STATUS_INVALID_CONFIG;
    }
    return STATUS_OK;
}

static enum status identify(struct data_dir *d, struct uuid fresh, struct uuid directory,
                            char why[static 256])
{
    char *path = path_in(d->path, "identity");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum status st;

    free(path);
    if (fd >= 0) {
        st = read_identity(d, fd, why);
        close(fd);
        if (st || !uuid_is_zero(d->directory))
            return st;
        d->directory = directory;
        return write_identity(d, why);
    }
    if (errno != ENOENT)
        return trouble("its identity cannot be opened", why);
    st = must_be_empty(d->path, why);
    if (st)
        return st;
    d->created = true;
    d->cluster_id = fresh;
    d->directory = directory;
    return write_identity(d, why);
}

enum status data_dir_open(struct data_dir *d, const char *path, int32_t node_id,
                          struct uuid fresh, struct uuid directory, char why[static 256])
{
    enum status st;

    *d = (struct data_dir){.lock_fd = -1, .node_id = node_id};
    if (mkdir(path, 0750) != 0 && errno != EEXIST)
        return trouble("it cannot be made", why);
    d->path = must_text(path);
    st = take_lock(d, why);
    if (st)
        goto fail_path;
    st = identify(d, fresh, directory, why);
    if (st)
        goto fail_lock;
    return STATUS_OK;

fail_lock:
    close(d->lock_fd);
fail_path:
    free(d->path);
    return st;
}

void data_dir_close(struct data_dir *d)
{
    close(d->lock_fd);
    free(d->path);
}

char *data_dir_temporary(void)
{
    const char *tmp = getenv("TMPDIR");
    char *path = path_in(tmp && tmp[0] ? tmp : "/tmp", "leatd-XXXXXX");

    if (mkdtemp(path) == NULL) {
        free(path);
        return NULL;
    }
    return path;
}

static int remove_entry(const char *path, const struct stat *st, int type,
                        struct FTW *ftw)
{
    return remove(path);
}

void data_dir_remove(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
