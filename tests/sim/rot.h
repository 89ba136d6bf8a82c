/* SPDX-License-Identifier: Apache-2.0
 *
 * Bits that turn on a disk whose broker is down: in its journals or in the files of its
 * logs, where what is there was synced and can be known to have been. In a journal that
 * is every group of which a later one tells that it was durable; the newest ones have no
 * such witness, and damage to them cannot be told from a write that the power cut tore.
 *
 * What the broker owes to such a disk: it finds everything, or it refuses the damaged
 * journal, log or machine and says so. Nothing may come back shorter than it was. */
#pragma once

#include "tests/sim/broker.h"

/* `what` chooses the place. False if nothing there could rot. */
bool rot_disk(struct sim_broker *b, int64_t what);
