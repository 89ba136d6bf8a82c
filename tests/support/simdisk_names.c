/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/simdisk_names.h"

#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <stdlib.h>
#include <string.h>

/* What is called so in view, where no two are. */
static struct name *find(const struct name_list *list, const char *path)
{
    struct name *n;

    TAILQ_FOREACH (n, list, link)
        if (strcmp(n->path, path) == 0)
            return n;
    return NULL;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* On disk a directory and its successor of the same name may both have a file of some
 * name: the directory itself tells which is meant. */
static struct name *find_in(const struct name_list *list, const struct inode *dir,
                            const char *path)
{
    struct name *n;

    TAILQ_FOREACH (n, list, link)
        if (n->dir == dir && strcmp(base_of(n->path), base_of(path)) == 0)
            return n;
    return NULL;
}

static void add_name(struct name_list *list, const char *path, struct inode *inode,
                     struct inode *dir, bool is_dir)
{
    struct name *n = must_alloc(sizeof *n);

    n->path = must_text(path);
    n->inode = inode;
    n->dir = dir;
    n->is_dir = is_dir;
    TAILQ_INSERT_TAIL(list, n, link);
}

static void drop_name(struct name_list *list, struct name *n)
{
    if (n == NULL)
        return;
    TAILQ_REMOVE(list, n, link);
    free(n->path);
    free(n);
}

static void clear_names(struct name_list *list)
{
    while (!TAILQ_EMPTY(list))
        drop_name(list, TAILQ_FIRST(list));
}

bool names_lies_in(const char *path, const char *dir)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;

    if (strcmp(dir, ".") == 0 || dir[0] == '\0')
        return slash == NULL;
    return strlen(dir) == len && memcmp(path, dir, len) == 0;
}

/* The directory of a path in view; false if there is none. */
static bool find_dir(const struct name_list *list, const char *path, struct inode **dir)
{
    const char *slash = strrchr(path, '/');
    const struct name *n;
    char *parent;

    *dir = NULL;
    if (slash == NULL)
        return true;
    parent = must_text(path);
    parent[slash - path] = '\0';
    n = find(list, parent);
    free(parent);
    if (n == NULL || !n->is_dir)
        return false;
    *dir = n->inode;
    return true;
}

static void set_path(struct name *n, const char *dir, const char *base)
{
    size_t dir_len = dir != NULL ? strlen(dir) + 1 : 0;
    char *path = must_alloc(dir_len + strlen(base) + 1);

    if (dir != NULL) {
        memcpy(path, dir, dir_len - 1);
        path[dir_len - 1] = '/';
    }
    memcpy(path + dir_len, base, strlen(base) + 1);
    free(n->path);
    n->path = path;
}

/* A directory's name is the beginning of all names in it. */
static void name_all_in(struct name_list *list, const struct name *dir)
{
    struct name *n;

    TAILQ_FOREACH (n, list, link) {
        if (n->dir != dir->inode)
            continue;
        set_path(n, dir->path, base_of(n->path));
        if (n->is_dir)
            name_all_in(list, n);
    }
}

static void rename_name(struct name_list *list, const struct name_change *c)
{
    struct name *n = find_in(list, c->from_dir, c->from);

    if (n == NULL || n->inode != c->inode)
        return;
    drop_name(list, find_in(list, c->to_dir, c->to));
    n->dir = c->to_dir;
    set_path(n, NULL, c->to);
    if (n->is_dir)
        name_all_in(list, n);
}

static void apply_change(struct name_list *list, const struct name_change *c)
{
    if (c->from != NULL && c->to != NULL) {
        rename_name(list, c);
    } else if (c->to != NULL) {
        drop_name(list, find_in(list, c->to_dir, c->to));
        add_name(list, c->to, c->inode, c->to_dir, c->is_dir);
    } else {
        drop_name(list, find_in(list, c->from_dir, c->from));
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
    if (from != NULL)
        CHECK(find_dir(&n->view, from, &c->from_dir));
    if (to != NULL)
        CHECK(find_dir(&n->view, to, &c->to_dir));
    TAILQ_INSERT_TAIL(&n->changes, c, link);
    apply_change(&n->view, c);
}

void names_sync(struct names *n, const char *dir)
{
    const struct name *d = strcmp(dir, ".") == 0 ? NULL : find(&n->view, dir);
    const struct inode *which = d != NULL ? d->inode : NULL;
    struct name_change *c, *next;

    for (c = TAILQ_FIRST(&n->changes); c != NULL; c = next) {
        next = TAILQ_NEXT(c, link);
        if ((c->from != NULL && c->from_dir == which) ||
            (c->to != NULL && c->to_dir == which)) {
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
    struct inode *dir;

    return find_dir(&n->view, path, &dir);
}

/* The name of the directory `inode`; NULL if it is lost. */
static const struct name *dir_of(const struct name_list *list, const struct inode *inode)
{
    const struct name *n;

    TAILQ_FOREACH (n, list, link)
        if (n->is_dir && n->inode == inode)
            return n;
    return NULL;
}

/* Names are where their directories are; those whose directory is gone are gone. */
static void settle(struct name_list *list)
{
    struct name *n, *next;
    bool gone;

    do {
        gone = false;
        for (n = TAILQ_FIRST(list); n != NULL; n = next) {
            next = TAILQ_NEXT(n, link);
            if (n->dir != NULL && dir_of(list, n->dir) == NULL) {
                drop_name(list, n);
                gone = true;
            }
        }
    } while (gone);
    TAILQ_FOREACH (n, list, link)
        if (n->is_dir && n->dir == NULL)
            name_all_in(list, n);
}

void names_lose(struct names *names, struct prng *random, bool chaotic)
{
    uint64_t count = 0, keep;
    struct name_change *c;
    struct name *n;

    TAILQ_FOREACH (c, &names->changes, link)
        count++;
    keep = prng_below(random, count + 1);
    TAILQ_FOREACH (c, &names->changes, link)
        if (chaotic ? prng_below(random, 2) == 0 : keep-- > 0)
            apply_change(&names->durable, c);
        else if (!chaotic)
            break;
    drop_changes(names);
    settle(&names->durable);
    clear_names(&names->view);
    TAILQ_FOREACH (n, &names->durable, link)
        add_name(&names->view, n->path, n->inode, n->dir, n->is_dir);
}
