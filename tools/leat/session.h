/* SPDX-License-Identifier: Apache-2.0
 *
 * Where this run of the tool talks to: brokers, time-out and client settings, each from
 * the first of: flag, -X key=value, environment, profile, built-in. The client is opened
 * when the first command needs it. */
#pragma once

#include "tools/leat/command.h"
#include "tools/leat/output.h"

struct session;

/* Resolve the settings. EXIT_USAGE with a message printed when one of them is wrong. */
int session_open(struct session **out, struct invocation *i);
void session_close(struct session *s);

/* What this command would rather have, unless somebody has said otherwise. Before the
 * first session_client. */
void session_prefer(struct session *s, const char *key, const char *value);

/* The client, opened at first use; NULL with the error printed. */
leat_client *session_client(struct session *s);
/* A configuration for a producer or consumer: the session's, to be set further and freed
 * by the caller; NULL with the error printed. */
leat_conf *session_conf(struct session *s);
int session_timeout_ms(const struct session *s);
const char *session_brokers(const struct session *s);
/* Each setting with its value and where it came from: `leat profile show --origin`. */
void session_each(const struct session *s,
                  void (*each)(void *to, const char *key, const char *value,
                               const char *origin),
                  void *to);

/* SIGINT and SIGTERM set this; long commands look at it and wind up. A second signal ends
 * the process at once. */
bool session_interrupted(void);
/* Called (from the signal handler) when it happens: for waking a consumer. */
void session_on_interrupt(void (*wake)(void));

/* Ask before something destructive: on a terminal show `plan` and ask, default no;
 * without one refuse unless -y was given. With -n nothing is done: returns EXIT_DONE
 * through
 * `*go` = false. Returns EXIT_USAGE when refused. */
int session_confirm(const struct invocation *i, bool *go, const char *plan, ...)
    __attribute__((format(printf, 3, 4)));
