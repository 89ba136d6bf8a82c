/* SPDX-License-Identifier: Apache-2.0
 *
 * What people type: sizes (512M, 10GiB), durations (7d, 1h30m), times (RFC 3339, -2h,
 * unix seconds or milliseconds). No guessing: what is not exactly one of these is
 * refused. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* K, M, G, T with or without B or iB are powers of 1024. */
bool parse_bytes(const char *text, int64_t *out);
/* A number is milliseconds; ms, s, m, h, d, w otherwise, also combined. */
bool parse_duration(const char *text, int64_t *out_ms);
/* RFC 3339 ("2026-11-22T08:00:00Z", "2026-11-22"), "-2h" before `now_ms`, unix seconds
 * (up to 11 digits) or milliseconds. */
bool parse_time(const char *text, int64_t now_ms, int64_t *out_ms);
bool parse_number(const char *text, int64_t min, int64_t max, int64_t *out);
