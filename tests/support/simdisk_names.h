/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated disk's name space: what is in view, what is durable, and the changes in
 * between that no directory sync has covered yet. */
#pragma once

#include "proto/base/prng.h"

#include <stdbool.h>
#include <sys/queue.h>

struct inode;

struct name {
    char *path;
    struct inode *inode;
    struct inode *dir; /* the directory that it lies in, whatever that is called; NULL: .
                        */
    bool is_dir;
    TAILQ_ENTRY(name) link;
};

TAILQ_HEAD(name_list, name);

/* `from` NULL: a creation; `to` NULL: a removal. */
struct name_change {
    char *from, *to;
    struct inode *from_dir, *to_dir;
    struct inode *inode;
    bool is_dir;
    TAILQ_ENTRY(name_change) link;
};

struct names {
    struct name_list view, durable;
    TAILQ_HEAD(, name_change) changes;
};

void names_init(struct names *n);
void names_release(struct names *n);

/* In view; NULL if there is none. */
struct name *names_find(const struct names *n, const char *path);
bool names_parent_exists(const struct names *n, const char *path);
/* Whether `path` lies directly in the directory `dir` ("." is the root). */
bool names_lies_in(const char *path, const char *dir);

void names_change(struct names *n, const char *from, const char *to, struct inode *inode,
                  bool is_dir);
/* The changes that touch the directory are durable now. */
void names_sync(struct names *n, const char *dir);
/* The power goes: a prefix of the changes survives, or any of them if chaotic. */
void names_lose(struct names *n, struct prng *random, bool chaotic);
