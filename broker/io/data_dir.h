/* SPDX-License-Identifier: Apache-2.0
 *
 * A data directory belongs to one broker at a time, and knows whose it is: the file
 * `identity` holds its format version, cluster and node id and an id of its own, by which
 * the cluster notices that a disk was replaced; the file `lock` is locked as long as a
 * broker runs on it. */
#pragma once

#include "proto/base/uuid.h"

enum { DATA_DIR_VERSION = 1 };

struct data_dir {
    char *path;
    int lock_fd;
    struct uuid cluster_id;
    struct uuid directory; /* random */
    int32_t node_id;
    bool created; /* it was empty */
};

/* Lock it, making it (and its identity: `fresh` becomes the cluster's id, `directory` its
 * own) if it is new; one that was made before directories had ids is given one.
 * BUSY: another broker runs on it; EXISTS: there are other people's files in it;
 * UNSUPPORTED_VERSION, CORRUPT, INVALID_CONFIG (another node's), IO. `why` says it. */
STATUS_MUST_CHECK enum status data_dir_open(struct data_dir *d, const char *path,
                                            int32_t node_id, struct uuid fresh,
                                            struct uuid directory, char why[static 256]);
void data_dir_close(struct data_dir *d);

/* A temporary one, for trying things out; the caller frees the path. NULL if none can be
 * made. */
char *data_dir_temporary(void);
void data_dir_remove(const char *path);

/* Pure: the identity file's text, and back. */
size_t identity_format(int version, struct uuid cluster_id, struct uuid directory,
                       int32_t node_id, char *out, size_t size);
/* `*directory` is zero if there is none. */
STATUS_MUST_CHECK enum status identity_parse(const char *text, size_t len,
                                             struct uuid *cluster_id,
                                             struct uuid *directory, int32_t *node_id,
                                             char why[static 256]);
