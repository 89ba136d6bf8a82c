/* SPDX-License-Identifier: Apache-2.0
 *
 * What a broker on this machine costs, seen from outside: the process that listens on a
 * port, its processor time and resident memory. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The process that listens on the TCP port; 0 when it is not here or not ours to see. */
pid_t broker_pid(uint16_t port);
/* User and system time so far, in microseconds; 0 when it cannot be read. */
uint64_t broker_cpu_us(pid_t pid);
uint64_t broker_resident_bytes(pid_t pid);
