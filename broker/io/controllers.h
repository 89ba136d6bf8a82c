/* SPDX-License-Identifier: Apache-2.0
 *
 * The setting `controllers`: who makes up the metadata quorum when the cluster is first
 * started. The same list on all brokers; later the quorum itself knows better. */
#pragma once

#include "broker/core/image.h"
#include "broker/io/listener.h"

/* "1@host:9092,2@host:9092" as voters, `*out` is the caller's to free. INVALID_CONFIG
 * with a sentence. */
STATUS_MUST_CHECK enum status controllers_parse(const char *text, struct voter **out,
                                                size_t *count, char why[static 256]);

/* The entry with our own id must be us: on the port that we listen on, or that others are
 * told. INVALID_CONFIG with a sentence. */
STATUS_MUST_CHECK enum status controllers_check(const struct voter *list, size_t count,
                                                int32_t self,
                                                const struct address *listen,
                                                const struct address *advertised,
                                                char why[static 256]);

/* Whether others than `self` are in the list. */
bool controllers_are_others(const struct voter *list, size_t count, int32_t self);
