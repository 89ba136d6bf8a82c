/* SPDX-License-Identifier: Apache-2.0
 *
 * One fuzz target: a function that must survive any bytes, and seeds to begin with. Under
 * libFuzzer the function is called for hours; without it replay.c gives it the seeds and
 * a few thousand mutations of them, the same ones every time. */
#pragma once

#include "proto/base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Append the n-th seed; false past the last one. */
bool fuzz_seed(unsigned n, struct writer *out);
