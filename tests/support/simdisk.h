/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk that forgets. It behaves like the real ones behind storage/disk.h, from one seed
 * and without a clock: operations complete in a random order, a few per poll, and what
 * was not synced may be gone, whole, or in pieces after a crash. The same simdisk lives
 * through any number of crashes; what is opened on it afterwards finds what survived.
 *
 *     power cut     synced bytes and names survive; of every other write nothing, all, or
 *                   some sectors; of the other name changes a prefix (or any, if
 * chaotic); a length that was not synced may or may not process kill  everything that had
 * completed is still there, but no more durable than before: a later power cut may take
 * it
 *
 * A planned crash makes the disk dead at a given operation: from then on every operation
 * ends with STATUS_IO, so that the code under test winds up; then simdisk_crash decides
 * what survived, and the disk is alive again. */
#pragma once

#include "storage/disk.h"

struct simdisk;

struct simdisk_options {
    uint64_t seed;
    bool chaotic_names; /* name changes survive a power cut in any combination */
    uint64_t capacity;  /* bytes of all files; 0: no limit */
    unsigned patience;  /* one in so many pending operations completes per poll; 0: 2 */
};

struct simdisk *simdisk_new(const struct simdisk_options *o);
void simdisk_free(struct simdisk *s);
struct disk *simdisk_disk(struct simdisk *s); /* disk_close on it does nothing */

/* Operations that took effect so far: the places at which a crash can be planned. */
uint64_t simdisk_ops(const struct simdisk *s);

/* Operations that are under way. */
unsigned simdisk_pending(const struct simdisk *s);
/* Bytes of all files in view. */
uint64_t simdisk_used(const struct simdisk *s);

enum simdisk_moment { SIMDISK_BEFORE, SIMDISK_TORN, SIMDISK_AFTER };

/* Die at the operation with this number (from simdisk_ops): before it has any effect, in
 * the middle of it (writes only; others: before), or right after it, with its completion
 * never told. Of the other writes under way any sectors may have arrived. */
void simdisk_die_at(struct simdisk *s, uint64_t op, enum simdisk_moment moment);
bool simdisk_is_dead(const struct simdisk *s);

/* The next `count` operations of that kind end with `status` and have no effect. */
void simdisk_fail(struct simdisk *s, enum disk_kind kind, unsigned count,
                  enum status status);
/* The operation with this number (from simdisk_ops) ends with `status`. It has no effect,
 * except that IO leaves any sectors of a write. */
void simdisk_fail_at(struct simdisk *s, uint64_t op, enum status status);
void simdisk_set_capacity(struct simdisk *s, uint64_t bytes);

enum simdisk_crash_kind { SIMDISK_POWER, SIMDISK_PROCESS };

/* The machine or the process went down: keep what survives, forget what was under way
 * (its completions never run), and be alive again. */
void simdisk_crash(struct simdisk *s, enum simdisk_crash_kind kind);

/* Damage a byte of a file, on the medium and in view. False if there is no such byte. */
bool simdisk_flip(struct simdisk *s, const char *path, uint64_t offset, uint8_t mask);
/* Look at a file as it is in view; NULL if there is none. */
const uint8_t *simdisk_peek(const struct simdisk *s, const char *path, uint64_t *length);
