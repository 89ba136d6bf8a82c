/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernel says about our process. */
#pragma once

#include <stdint.h>

struct process {
    int64_t started_ms; /* since 1970 */
    uint64_t cpu_us;
    uint64_t resident_bytes;
    uint64_t open_files, open_files_max;
};

/* Zeros where the kernel does not tell. `started_ms` is the caller's. */
void process_look(struct process *p);

/* Let the C library give large blocks back to the system when they are freed: it would
 * otherwise learn to keep them, and a broker that was busy once would look so for good.
 */
void process_return_memory(void);
/* Raise the limit of open files to what the system allows. */
void process_raise_files(void);

/* Tell systemd, if it started us and wants to know: "READY=1", "STATUS=...",
 * "STOPPING=1". No harm done otherwise. */
void process_notify(const char *state);
