/* SPDX-License-Identifier: Apache-2.0
 *
 * Austin Appleby's MurmurHash2 with the seed that Kafka's Java client uses, so that equal
 * keys meet in equal partitions whichever client wrote them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int32_t murmur2(const void *data, size_t len);

/* (murmur2(key) & 0x7fffffff) % partitions, Kafka's default for records with a key. */
int32_t murmur2_partition(const void *key, size_t len, int32_t partitions);
