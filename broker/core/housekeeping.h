/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node does every second whether or not anybody asks: retention and rolling,
 * snapshots, gauges. */
#pragma once

struct node;

void housekeeping_start(struct node *n);
