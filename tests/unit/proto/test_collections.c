/* SPDX-License-Identifier: Apache-2.0
 *
 * The map that remembers the order of insertion, and deadlines in order. Both are checked
 * against the simplest thing that could be right. */
#include "proto/base/heap.h"
#include "proto/base/map.h"
#include "proto/base/prng.h"
#include "tests/unit/proto/suite.h"

#include <stdio.h>
#include <string.h>

enum { KEYS = 300, STEPS = 20000 };

struct item {
    char name[8];
    bool in;
    uint64_t number; /* of the insertion */
};

static struct bytes key_of(const struct item *item)
{
    return bytes_of(item->name);
}

/* Everything that is in is found, in the order in which it went in; nothing else is. */
static void assert_same(const struct map *m, const struct item *items, size_t count)
{
    const struct item *item;
    uint64_t last = 0;
    size_t seen = 0;

    for (size_t i = 0; (item = map_next(m, &i));) {
        ck_assert(item->in);
        ck_assert_uint_gt(item->number, last);
        last = item->number;
        seen++;
    }
    ck_assert_uint_eq(seen, count);
    ck_assert_uint_eq(m->count, count);
    for (size_t i = 0; i < KEYS; i++)
        ck_assert_ptr_eq(map_get(m, key_of(&items[i])), items[i].in ? &items[i] : NULL);
}

START_TEST(map_agrees_with_an_array)
{
    static struct item items[KEYS];
    struct prng random;
    struct map m;
    size_t count = 0;

    map_init(&m);
    prng_init(&random, 11);
    for (size_t i = 0; i < KEYS; i++)
        snprintf(items[i].name, sizeof items[i].name, "k%zu", i);
    for (uint64_t step = 1; step <= STEPS; step++) {
        struct item *item = &items[prng_below(&random, KEYS)];

        if (item->in) {
            ck_assert_ptr_eq(map_remove(&m, key_of(item)), item);
            count--;
        } else {
            ck_assert(map_put(&m, key_of(item), item));
            item->number = step;
            count++;
        }
        item->in = !item->in;
        if (step % 500 == 0)
            assert_same(&m, items, count);
    }
    map_release(&m);
    ck_assert_uint_eq(m.count, 0);
}
END_TEST

START_TEST(map_may_be_emptied_while_it_is_walked)
{
    char names[100][8];
    struct map m;
    char *name;
    size_t seen = 0;

    map_init(&m);
    ck_assert_ptr_null(map_get(&m, bytes_of("nothing")));
    ck_assert_ptr_null(map_remove(&m, bytes_of("nothing")));
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        ck_assert(map_put(&m, bytes_of(names[i]), names[i]));
    }
    for (size_t i = 0; (name = map_next(&m, &i)); seen++)
        ck_assert_ptr_eq(map_remove(&m, bytes_of(name)), name);
    ck_assert_uint_eq(seen, 100);
    ck_assert_uint_eq(m.count, 0);
    map_release(&m);
}
END_TEST

/* One key that comes and goes must not make the table grow. */
START_TEST(map_reuses_its_holes)
{
    struct map m;
    int value;

    map_init(&m);
    for (int i = 0; i < 10000; i++) {
        ck_assert(map_put(&m, bytes_of("again"), &value));
        map_remove(&m, bytes_of("again"));
    }
    ck_assert_uint_le(m.slots, 16);
    map_release(&m);
}
END_TEST

struct waiter {
    struct heap_node node;
    int64_t at_ms;
    uint64_t number;
    bool in;
};

static const struct waiter *first_of(const struct waiter *w, size_t count)
{
    const struct waiter *first = NULL;

    for (size_t i = 0; i < count; i++)
        if (w[i].in && (first == NULL || w[i].at_ms < first->at_ms ||
                        (w[i].at_ms == first->at_ms && w[i].number < first->number)))
            first = &w[i];
    return first;
}

START_TEST(heap_agrees_with_a_search)
{
    static struct waiter w[64];
    struct prng random;
    struct heap h;

    heap_init(&h);
    prng_init(&random, 12);
    for (uint64_t step = 1; step <= STEPS; step++) {
        struct waiter *one = &w[prng_below(&random, 64)];
        const struct waiter *first;

        if (prng_below(&random, 3) > 0) {
            one->at_ms = (int64_t)prng_below(&random, 40); /* many equal times */
            one->number = step;
            ck_assert(heap_set(&h, &one->node, one->at_ms));
            one->in = true;
        } else {
            heap_remove(&h, &one->node);
            one->in = false;
        }
        ck_assert_int_eq(heap_contains(&one->node), one->in);
        first = first_of(w, 64);
        ck_assert_ptr_eq(heap_first(&h), first ? &first->node : NULL);
    }
    heap_release(&h);
}
END_TEST

START_TEST(equal_times_come_out_as_they_went_in)
{
    struct heap_node nodes[50] = {0};
    struct heap h;

    heap_init(&h);
    for (int i = 0; i < 50; i++)
        ck_assert(heap_set(&h, &nodes[i], 7));
    for (int i = 0; i < 50; i++) {
        ck_assert_ptr_eq(heap_first(&h), &nodes[i]);
        heap_remove(&h, &nodes[i]);
    }
    ck_assert_ptr_null(heap_first(&h));
    heap_release(&h);
}
END_TEST

SUITE_MAIN("collections", map_agrees_with_an_array, map_may_be_emptied_while_it_is_walked,
           map_reuses_its_holes, heap_agrees_with_a_search,
           equal_times_come_out_as_they_went_in)
