/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/io/secret.h"

#include "proto/base/bytes.h"
#include "proto/base/check.h"
#include "proto/base/memory.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char label[] = "leat broker 1";
static const char cluster_label[] = "leat cluster id";

enum { SIGNED_MAX = 128 };

/* ---- the file ------------------------------------------------------------------------
 */

static enum status refuse(char why[static 256], const char *path, const char *what)
{
    snprintf(why, 256, "cluster.secret.file %.120s %.110s", path, what);
    return STATUS_INVALID_CONFIG;
}

/* Its owner's alone; or root's, who may let our group read it: services that run without
 * privileges are given their secrets so (Kubernetes' fsGroup, root:leatd in packages). */
static bool is_private(const struct stat *st)
{
    return (st->st_mode & (st->st_uid == 0 ? 037 : 077)) == 0;
}

static enum status read_all(struct secret *s, int fd, const char *path,
                            char why[static 256])
{
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) != 0)
        return refuse(why, path, strerror(errno));
    if (!is_private(&st))
        return refuse(why, path,
                      "may be read by others than its owner: 'chmod 600' it first");
    n = read(fd, s->bytes, sizeof s->bytes);
    if (n < 0)
        return refuse(why, path, strerror(errno));
    if ((size_t)n == sizeof s->bytes)
        return refuse(why, path, "is too large for a secret (4095 bytes)");
    s->len = (size_t)n;
    while (s->len > 0 && isspace(s->bytes[s->len - 1]))
        s->len--;
    if (s->len < SECRET_LEAST)
        return refuse(why, path,
                      "holds less than 16 bytes: make one with 'openssl rand -hex 32'");
    return STATUS_OK;
}

enum status secret_read(struct secret *s, const char *path, char why[static 256])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum status st;

    if (fd < 0)
        return refuse(why, path, strerror(errno));
    st = read_all(s, fd, path, why);
    close(fd);
    return st;
}

/* ---- proofs --------------------------------------------------------------------------
 */

static void sign(const struct secret *s, const void *data, size_t len,
                 uint8_t out[static PROOF_BYTES])
{
    unsigned size = PROOF_BYTES;

    CHECK(HMAC(EVP_sha256(), s->bytes, (int)s->len, data, len, out, &size) != NULL);
    CHECK(size == PROOF_BYTES);
}

struct uuid secret_cluster_id(const struct secret *s)
{
    uint8_t digest[PROOF_BYTES];
    struct uuid id;

    sign(s, cluster_label, sizeof cluster_label - 1, digest);
    memcpy(id.id, digest, UUID_BYTES);
    id.id[6] = (uint8_t)((id.id[6] & 0x0f) | 0x40);
    id.id[8] = (uint8_t)((id.id[8] & 0x3f) | 0x80);
    return id;
}

void secret_prove(const struct secret *s, const struct acquaintance *a,
                  enum speaker speaker, uint8_t proof[static PROOF_BYTES])
{
    uint8_t data[SIGNED_MAX];
    struct writer w = writer_fixed(data, sizeof data);

    write_bytes(&w, label, sizeof label - 1);
    write_u8(&w, (uint8_t)speaker);
    write_bytes(&w, a->caller_nonce, NONCE_BYTES);
    write_bytes(&w, a->listener_nonce, NONCE_BYTES);
    write_bytes(&w, a->cluster_id.id, UUID_BYTES);
    write_u32(&w, (uint32_t)a->caller);
    write_u32(&w, (uint32_t)a->listener);
    CHECK(!writer_status(&w));
    sign(s, data, w.len, proof);
}

bool secret_check(const struct secret *s, const struct acquaintance *a,
                  enum speaker speaker, const uint8_t *proof, size_t len)
{
    uint8_t right[PROOF_BYTES];

    secret_prove(s, a, speaker, right);
    return len == PROOF_BYTES && CRYPTO_memcmp(right, proof, PROOF_BYTES) == 0;
}

void secret_nonce(uint8_t nonce[static NONCE_BYTES])
{
    CHECK(getrandom(nonce, NONCE_BYTES, 0) == NONCE_BYTES);
}
