/* SPDX-License-Identifier: Apache-2.0
 *
 * Any protobuf message as one line of text, for transcripts: fields that differ from
 * their default, in the order of their numbers; bytes as their length. */
#pragma once

#include "proto/base/bytes.h"

#include <protobuf-c/protobuf-c.h>

void message_text(const ProtobufCMessage *m, struct writer *out);
