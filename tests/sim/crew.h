/* SPDX-License-Identifier: Apache-2.0
 *
 * What the members of one group are told, and what they commit, laid side by side. Each
 * life of a member tells when it was told of a partition, when it let go of it, and what
 * became of its commits; the crew knows what cannot be true at the same time:
 *
 *   S20  An epoch is told to one life only, and an answer to a join is of a newer epoch
 *        than all that was heard before. Between the first epoch and the last one under
 *        which a life was told of a partition, nobody else is told of it. When another
 *        one was told of it and its old owner has not let go, that one is out: what it
 *        asks after that is refused.
 *   S21  A commit that its member sent after another one was told of the partition, under
 *        a newer epoch, is refused.
 *   S10  What the owner of a partition reads is what was acknowledged last, or a commit
 *        since whose outcome nobody knows. What former owners tried is settled by then:
 *        it cannot come late.
 *
 * Nothing of this is asked of topics that an operator removes: what groups are told and
 * say names topics, not their ids. */
#pragma once

#include "tests/sim/client.h"

struct crew;

/* A partition in the hands of one life of a member. */
struct hold {
    bool on;
    bool contested; /* another one was told of it meanwhile, under a newer epoch */
    uint32_t life;
    int32_t first, last; /* epochs under which it was told of */
};

/* A commit of one partition, under way. */
struct commit {
    uint32_t life;
    int32_t first; /* of the hold */
    int64_t offset;
    bool late; /* it was sent when somebody else had been told of the partition */
};

struct crew *crew_new(struct town *town);
uint32_t crew_new_life(struct crew *c); /* from 1 on */

/* The newest epoch that anybody has heard of. */
int32_t crew_epoch(const struct crew *c);
/* A life was told an epoch, in answer to a join that was sent when `crew_epoch` was
 * `joined_at`; -1: in answer to a heartbeat. */
void crew_heard(struct crew *c, uint32_t life, int32_t epoch, int32_t joined_at);
/* And that it works on this partition, from now on or as before. */
void crew_told(struct crew *c, int topic, int32_t partition, struct hold *h,
               uint32_t life, int32_t epoch);
/* It does not work on it any more. */
void crew_let_go(struct crew *c, int topic, int32_t partition, struct hold *h);
/* A member that was asked to let go, and did not, was answered as one all the same. */
void crew_contested(struct crew *c, int topic, int32_t partition, const struct hold *h);

void crew_commit(struct crew *c, int topic, int32_t partition, const struct hold *h,
                 int64_t offset, struct commit *out);
void crew_committed(struct crew *c, int topic, int32_t partition, const struct commit *m,
                    enum status st);
/* The holder asked for what is committed, and had asked when it held it already. */
void crew_read(struct crew *c, int topic, int32_t partition, const struct hold *h,
               int64_t offset);
