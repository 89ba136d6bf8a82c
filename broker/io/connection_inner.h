/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up connections. */
#pragma once

#include "broker/io/connection.h"

/* connection_read.c: one read, then take whole messages until the connection is full. */
void connection_read(struct connection *c);
/* Hold no more memory than what was received and not taken needs. */
void connection_shrink(struct connection *c);
void connection_release_input(struct connection *c);

/* connection.c */
bool connection_reads(const struct connection *c); /* its state allows it */
bool connection_is_full(const struct connection *c);
void connection_pause(struct connection *c);
void connection_resume(struct connection *c);
void connection_make_runnable(struct connection *c);
/* Bring the books up to date after anything changed. */
void connection_account(struct connection *c);
/* Send, and draw the conclusions: may close it and, with nothing at the node, free it. */
void connection_settle(struct connection *c);
void connection_drop(struct connection *c);
/* What is gone is freed once nothing of it is at the node any more. */
void connection_free_when_done(struct connection *c);
void connection_linger_on(struct connection *c);
struct connection *connection_new(struct connections *s, int fd, const char *host);
