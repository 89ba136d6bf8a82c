/* SPDX-License-Identifier: Apache-2.0
 *
 * Where everything lies below the data directory. Names are made of ids and numbers only:
 * no user's string ever reaches a path.
 *
 *     logs/<32 hex topic id>-<partition>/<20-digit base offset>.log and .index
 *     logs/...-deleted               a deleted log on its way out
 *     journal-<shard>/               see journal.h
 *     checkpoint, checkpoint-<shard> see checkpoint.h
 *     machines/<name>-<offset>.snapshot */
#pragma once

#include "storage/journal.h"

enum { PATH_BYTES = 112 };

#define PATH_LOGS "logs"

/* "logs/<id>". */
void path_log(char out[static PATH_BYTES], const struct log_id *id);
/* "logs/<id>.<serial>-deleted": the serial keeps a second deletion of one id apart. */
void path_deleted(char out[static PATH_BYTES], const struct log_id *id, uint64_t serial);
/* "logs/<id>/<base>.log" */
void path_segment(char out[static PATH_BYTES], const struct log_id *id, int64_t base);
/* "logs/<id>/<base>.index" */
void path_index(char out[static PATH_BYTES], const struct log_id *id, int64_t base);

/* The directory name of a log taken apart; false for any other name. */
bool path_parse_log(const char *name, struct log_id *out);
bool path_is_deleted(const char *name);
/* "<base>.log" or "<base>.index" taken apart; false for any other name. */
bool path_parse_segment(const char *name, int64_t *base, bool *is_index);
/* "<prefix>-<number>" taken apart; false for any other name. */
bool path_parse_number(const char *name, const char *prefix, unsigned *number);

bool log_id_equal(const struct log_id *a, const struct log_id *b);
/* The id's 20 bytes as the key of a map; they stay the id's. */
struct bytes log_id_key(const struct log_id *id);
