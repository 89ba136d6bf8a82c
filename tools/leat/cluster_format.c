/* SPDX-License-Identifier: Apache-2.0
 *
 * leat cluster format: everything that a new cluster's brokers must agree on, written
 * once for all of them: the secret, and a configuration for each node. */
#include "tools/leat/output.h"
#include "tools/leat/run.h"
#include "tools/leat/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_BYTES = 32, PATH_BYTES = 4096, HOST_BYTES = 256, CONTROLLERS_BYTES = 8192 };

struct member {
    long id;
    char host[HOST_BYTES];
    long port;
};

static bool parse_member(struct invocation *i, const char *text, struct member *m)
{
    char *end;
    const char *colon = strrchr(text, ':');
    size_t len;

    m->id = strtol(text, &end, 10);
    len = colon && *end == '@' && colon > end ? (size_t)(colon - end - 1) : 0;
    m->port = colon ? strtol(colon + 1, NULL, 10) : 0;
    if (m->id < 1 || m->id > INT32_MAX || len == 0 || len >= HOST_BYTES || m->port < 1 ||
        m->port > 65535) {
        fail(i->output, EXIT_USAGE,
             "--node '%s': write ID@HOST:PORT, as in 1@10.0.0.1:9092", text);
        return false;
    }
    memcpy(m->host, end + 1, len);
    m->host[len] = '\0';
    return true;
}

/* A file that was not there before; never over one that was. */
static FILE *create(struct invocation *i, const char *path, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (f == NULL)
        fail(i->output, EXIT_REFUSED, "%s cannot be written: %s", path, strerror(errno));
    return f;
}

static bool finish(struct invocation *i, FILE *f, const char *path)
{
    bool good = fflush(f) == 0 && fsync(fileno(f)) == 0;

    if (fclose(f) == 0 && good)
        return true;
    fail(i->output, EXIT_REFUSED, "%s cannot be written: %s", path, strerror(errno));
    return false;
}

static bool write_secret(struct invocation *i, const char *path)
{
    unsigned char secret[SECRET_BYTES];
    FILE *f;

    if (getrandom(secret, sizeof secret, 0) != sizeof secret) {
        fail(i->output, EXIT_REFUSED, "no random numbers can be had");
        return false;
    }
    f = create(i, path, 0600);
    if (f == NULL)
        return false;
    for (size_t n = 0; n < sizeof secret; n++)
        fprintf(f, "%02x", secret[n]);
    fprintf(f, "\n");
    return finish(i, f, path);
}

static bool write_node(struct invocation *i, const char *path, const struct member *m,
                       const char *controllers, size_t count, const char *secret)
{
    FILE *f = create(i, path, 0644);

    if (f == NULL)
        return false;
    fprintf(f,
            "# Broker %ld of %zu. Everything else has its default: leatd --help.\n"
            "node.id = %ld\n"
            "listen = 0.0.0.0:%ld\n"
            "advertise = %s:%ld\n"
            "controllers = %s\n"
            "cluster.secret.file = %s\n"
            "data = /var/lib/leatd\n"
            "default.replication.factor = %d\n",
            m->id, count, m->id, m->port, m->host, m->port, controllers, secret,
            count < 3 ? (int)count : 3);
    if (count >= 3)
        fprintf(f, "min.insync.replicas = 2\n");
    return finish(i, f, path);
}

static size_t list_members(struct invocation *i, struct member *members, size_t most,
                           char *controllers, size_t size)
{
    const char *text;
    size_t count = 0, used = 0;

    while (count < most && (text = flag_nth(i, "node", (unsigned)count)) != NULL) {
        struct member *m = &members[count];

        if (!parse_member(i, text, m))
            return 0;
        for (size_t n = 0; n < count; n++)
            if (members[n].id == m->id) {
                fail(i->output, EXIT_USAGE, "two nodes have the id %ld", m->id);
                return 0;
            }
        used += (size_t)snprintf(controllers + used, size - used, "%s%ld@%s:%ld",
                                 count > 0 ? "," : "", m->id, m->host, m->port);
        count++;
    }
    if (count == 0)
        fail(
            i->output, EXIT_USAGE,
            "name the brokers: --node 1@HOST:PORT --node 2@HOST:PORT --node 3@HOST:PORT");
    return count;
}

int run_cluster_format(struct invocation *i)
{
    const char *out = flag_text(i, "out", ".");
    struct member members[31];
    char controllers[CONTROLLERS_BYTES], secret[PATH_BYTES], path[PATH_BYTES];
    size_t count = list_members(i, members, 31, controllers, sizeof controllers);

    if (count == 0)
        return EXIT_USAGE;
    if (mkdir(out, 0755) != 0 && errno != EEXIST)
        return fail(i->output, EXIT_REFUSED, "%s cannot be made: %s", out,
                    strerror(errno));
    snprintf(secret, sizeof secret, "%s/cluster.secret", out);
    if (!write_secret(i, secret))
        return EXIT_REFUSED;
    for (size_t n = 0; n < count; n++) {
        snprintf(path, sizeof path, "%s/node-%ld.conf", out, members[n].id);
        if (!write_node(i, path, &members[n], controllers, count,
                        flag_text(i, "secret-path", "/etc/leatd/cluster.secret")))
            return EXIT_REFUSED;
    }
    done(i->output, "written", out,
         "wrote %s and %zu configurations.\n"
         "On each host: put cluster.secret where its configuration says (readable by "
         "leatd's user only),\nthe host's node-N.conf as /etc/leatd/leatd.conf, and "
         "start leatd --config /etc/leatd/leatd.conf.\n"
         "Then: leat cluster wait --count %zu -b %s:%ld",
         secret, count, count, members[0].host, members[0].port);
    return EXIT_DONE;
}
