/* SPDX-License-Identifier: Apache-2.0
 *
 * Days on which everything happens at once: topics come and go under the hands of
 * producers and consumers on any shard, the disk hesitates, fills up and forgets its
 * cache, the broker restarts. Whatever happens, each request is answered exactly once,
 * and nobody waits who does not want to. A failure prints its seed. */
#include "tests/unit/broker/asks.h"

#include "proto/base/prng.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Days on real storage take a hundred times as long as days in memory. */
#ifndef TURMOIL_DAYS
#define TURMOIL_DAYS 300
#endif

enum { STEPS = 300, TOPICS = 3, PARTITIONS = 5 };

static struct prng chance;

static int64_t pick(uint64_t n)
{
    return (int64_t)prng_below(&chance, n);
}

static const char *topic(void)
{
    static const char *const names[TOPICS + 1] = {"a", "b", "c", "never"};

    return names[pick(TOPICS + 1)];
}

static void produce(struct fake_wire *w)
{
    struct ask_batch batches[4];
    size_t count = (size_t)pick(4) + 1;

    for (size_t i = 0; i < count; i++)
        batches[i] = (struct ask_batch){.partition = (int32_t)pick(PARTITIONS + 1),
                                        .records = (int32_t)pick(3) + 1,
                                        .bytes = (size_t)pick(200),
                                        .time_ms = pick(10000),
                                        .damaged = pick(20) == 0};
    ask_produce(w, &(struct ask_produce){.topic = topic(),
                                         .acks = (int32_t)pick(3) - 1,
                                         .timeout_ms = (int32_t)pick(300),
                                         .batches = batches,
                                         .count = count});
}

static void fetch(struct fake_wire *w)
{
    struct ask_fetch q = {.topic = topic(),
                          .count = (size_t)pick(8),
                          .partition_bytes = (uint32_t)pick(2000) + 1,
                          .min_bytes = (uint32_t)pick(500),
                          .max_bytes = (uint32_t)pick(3000),
                          .max_wait_ms = (int32_t)pick(400)};

    for (size_t i = 0; i < q.count; i++) {
        q.partitions[i] = (int32_t)pick(PARTITIONS); /* some of them twice */
        q.offsets[i] = pick(12) - 1;
    }
    ask_fetch(w, &q);
}

static void change_mood(struct fake_media_mood *mood)
{
    mood->held = pick(3) == 0;
    mood->cold = pick(2) == 0;
    mood->full = pick(4) == 0;
    mood->no_new_logs = pick(6) == 0;
}

static void step(struct fake_wire *w)
{
    static const char *const keys[] = {"x", NULL, "y", "z"};

    switch (pick(16)) {
    case 0: ask_create(w, topic(), (int32_t)pick(PARTITIONS) + 1); break;
    case 1: ask_delete(w, topic()); break;
    case 2: ask_trim(w, topic(), (int32_t)pick(PARTITIONS), pick(8) - 1); break;
    case 3: ask_list(w, topic(), (int32_t)pick(PARTITIONS), pick(10000) - 2); break;
    case 4: ask_logs(w); break;
    case 5: ask_produce_keys(w, topic(), keys, 4); break;
    case 6: ask_set(w, "topics.max", pick(2) ? "2" : NULL); break;
    case 7: change_mood(fake_media_mood(fake_wire_media(w))); break;
    case 8: fake_wire_pass_ms(w, pick(200)); break;
    case 9: fake_wire_turn(w); break;
    case 10:
    case 11: fake_wire_run(w); break;
    case 12:
    case 13: produce(w); break;
    default: fetch(w); break;
    }
}

static void day(uint64_t seed)
{
    struct fake_wire *w = fake_wire_new((unsigned)(seed % SHARDS_MAX) + 1);
    const unsigned shards = (unsigned)(seed % SHARDS_MAX) + 1;

    prng_init(&chance, seed);
    for (int i = 0; i < STEPS; i++) {
        ask_from((unsigned)pick(shards));
        step(w);
        if (pick(100) == 0) {
            fake_wire_close(w); /* every request was answered, or it stops here */
            fake_wire_open(w);
        }
        fake_wire_said(w);
    }
    *fake_media_mood(fake_wire_media(w)) = (struct fake_media_mood){0};
    fake_wire_pass_ms(w, 1000);
    ck_assert_msg(fake_wire_open_requests(w) == 0, "seed %d: %u requests wait for ever",
                  (int)seed, fake_wire_open_requests(w));
    for (unsigned s = 0; s < shards; s++) {
        ck_assert_uint_eq(metric_get(fake_wire_metrics(w, s), METRIC_FETCHES_PARKED), 0);
        ck_assert_uint_eq(metric_get(fake_wire_metrics(w, s), METRIC_PRODUCES_WAITING),
                          0);
    }
    fake_wire_free(w);
}

START_TEST(everybody_is_answered_once)
{
    const char *chosen = getenv("LEAT_SEED");

    if (chosen != NULL) {
        day(strtoull(chosen, NULL, 10));
        return;
    }
    for (uint64_t seed = 0; seed < TURMOIL_DAYS; seed++)
        day(seed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("turmoil");
    TCase *tc = tcase_create("turmoil");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tc, 200);
    tcase_add_test(tc, everybody_is_answered_once);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
