/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated disk behind a fake_wire that was linked with sim_media.c. */
#pragma once

#include "tests/support/fake_store.h"
#include "tests/support/simdisk.h"

struct simdisk *sim_media_disk(struct fake_media *m);
