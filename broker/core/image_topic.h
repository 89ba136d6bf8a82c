/* SPDX-License-Identifier: Apache-2.0
 *
 * How a topic leaves memory: between the two files that make up the image. */
#pragma once

struct topic;

void topic_free(struct topic *topic);
