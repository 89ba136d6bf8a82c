/* SPDX-License-Identifier: Apache-2.0
 *
 * The secret that the brokers of a cluster share, and what it proves: that the other end
 * of a connection is one of them. Caller and listener each send random bytes and prove
 * with HMAC-SHA-256 over both, both names and the cluster's id that they know it; whoever
 * speaks is part of what is signed, so that no proof can be sent back to its maker. */
#pragma once

#include "proto/base/uuid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SECRET_MAX = 4096, SECRET_LEAST = 16, NONCE_BYTES = 32, PROOF_BYTES = 32 };

struct secret {
    uint8_t bytes[SECRET_MAX];
    size_t len; /* 0: there is none */
};

/* Read the secret from a file that only its owner may read, or of root's, its group;
 * white space at the end does not count. INVALID_CONFIG with a sentence. */
STATUS_MUST_CHECK enum status secret_read(struct secret *s, const char *path,
                                          char why[static 256]);
/* The cluster id that follows from it. */
struct uuid secret_cluster_id(const struct secret *s);

/* What both ends know of a connection. */
struct acquaintance {
    uint8_t caller_nonce[NONCE_BYTES], listener_nonce[NONCE_BYTES];
    int32_t caller, listener; /* node ids */
    struct uuid cluster_id;
};

enum speaker { SPEAKER_CALLER = 'c', SPEAKER_LISTENER = 's' };

void secret_prove(const struct secret *s, const struct acquaintance *a,
                  enum speaker speaker, uint8_t proof[static PROOF_BYTES]);
/* Takes as long for a wrong proof as for a right one. */
bool secret_check(const struct secret *s, const struct acquaintance *a,
                  enum speaker speaker, const uint8_t *proof, size_t len);

/* Random bytes that nobody can guess. */
void secret_nonce(uint8_t nonce[static NONCE_BYTES]);
