/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/simdisk_names.h"

#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

static struct name *find(const struct name_list *list, const char *path)
{
    struct name *n;

    TAILQ_FOREACH (n, list, link)
        if (strcmp(n->path, path) == 0)
            return n;
    return NULL;
}

static void add_name(struct name_list *list, const char *path, struct inode *inode,
                     bool is_dir)
{
    struct name *n = must_alloc(sizeof *n);

    n->path = must_text(path);
    n->inode = inode;
    n->is_dir = is_dir;
    TAILQ_INSERT_TAIL(list, n, link);
}

static void drop_name(struct name_list *list, const char *path)
{
    struct name *n = find(list, path);

    if (n == NULL)
        return;
    TAILQ_REMOVE(list, n, link);
    free(n->path);
    free(n);
}

static void clear_names(struct name_list *list)
{
    while (!TAILQ_EMPTY(list))
        drop_name(list, TAILQ_FIRST(list)->path);
}

bool names_lies_in(const char *path, const char *dir)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;

    if (strcmp(dir, ".") == 0 || dir[0] == '\0')
        return slash == NULL;
    return strlen(dir) == len && memcmp(path, dir, len) == 0;
}

static bool parent_exists(const struct name_list *list, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir;
    bool exists;

    if (slash == NULL)
        return true;
    dir = must_text(path);
    dir[slash - path] = '\0';
    exists = find(list, dir) != NULL && find(list, dir)->is_dir;
    free(dir);
    return exists;
}

/* A directory's new name is the new beginning of all names in it. */
static void rename_in(struct name_list *list, const char *old, const char *new)
{
    size_t len = strlen(old);
    struct name *n;

    TAILQ_FOREACH (n, list, link) {
        char *path;
        size_t size;

        if (strncmp(n->path, old, len) != 0 ||
            (n->path[len] != '\0' && n->path[len] != '/'))
            continue;
        size = strlen(new) + strlen(n->path + len) + 1;
        path = must_alloc(size);
        memcpy(path, new, strlen(new));
        memcpy(path + strlen(new), n->path + len, strlen(n->path + len) + 1);
        free(n->path);
        n->path = path;
    }
}

static void apply_change(struct name_list *list, const struct name_change *c)
{
    if (c->from != NULL && c->to != NULL) {
        if (find(list, c->from) == NULL)
            return;
        drop_name(list, c->to);
        rename_in(list, c->from, c->to);
    } else if (c->to != NULL) {
        drop_name(list, c->to);
        add_name(list, c->to, c->inode, c->is_dir);
    } else {
        drop_name(list, c->from);
    }
}

static void drop_change(struct names *n, struct name_change *c)
{
    TAILQ_REMOVE(&n->changes, c, link);
    free(c->from);
    free(c->to);
    free(c);
}

void names_change(struct names *n, const char *from, const char *to, struct inode *inode,
                  bool is_dir)
{
    struct name_change *c = must_alloc(sizeof *c);

    *c = (struct name_change){.from = from ? must_text(from) : NULL,
                              .to = to ? must_text(to) : NULL,
                              .inode = inode,
                              .is_dir = is_dir};
    TAILQ_INSERT_TAIL(&n->changes, c, link);
    apply_change(&n->view, c);
}

void names_sync(struct names *n, const char *dir)
{
    struct name_change *c, *next;

    for (c = TAILQ_FIRST(&n->changes); c != NULL; c = next) {
        next = TAILQ_NEXT(c, link);
        if ((c->from != NULL && names_lies_in(c->from, dir)) ||
            (c->to != NULL && names_lies_in(c->to, dir))) {
            apply_change(&n->durable, c);
            drop_change(n, c);
        }
    }
}

static void drop_changes(struct names *n)
{
    while (!TAILQ_EMPTY(&n->changes))
        drop_change(n, TAILQ_FIRST(&n->changes));
}

void names_init(struct names *n)
{
    TAILQ_INIT(&n->view);
    TAILQ_INIT(&n->durable);
    TAILQ_INIT(&n->changes);
}

void names_release(struct names *n)
{
    drop_changes(n);
    clear_names(&n->view);
    clear_names(&n->durable);
}

struct name *names_find(const struct names *n, const char *path)
{
    return find(&n->view, path);
}

bool names_parent_exists(const struct names *n, const char *path)
{
    return parent_exists(&n->view, path);
}

void names_lose(struct names *names, struct prng *random, bool chaotic)
{
    uint64_t count = 0, keep;
    struct name_change *c;
    struct name *n, *next;
    bool gone;

    TAILQ_FOREACH (c, &names->changes, link)
        count++;
    keep = prng_below(random, count + 1);
    TAILQ_FOREACH (c, &names->changes, link)
        if (chaotic ? prng_below(random, 2) == 0 : keep-- > 0)
            apply_change(&names->durable, c);
        else if (!chaotic)
            break;
    drop_changes(names);
    /* A name whose directory is gone is gone as well. */
    do {
        gone = false;
        for (n = TAILQ_FIRST(&names->durable); n != NULL; n = next) {
            next = TAILQ_NEXT(n, link);
            if (!parent_exists(&names->durable, n->path)) {
                drop_name(&names->durable, n->path);
                gone = true;
            }
        }
    } while (gone);
    clear_names(&names->view);
    TAILQ_FOREACH (n, &names->durable, link)
        add_name(&names->view, n->path, n->inode, n->is_dir);
}
