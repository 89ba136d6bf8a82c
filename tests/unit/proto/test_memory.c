/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of a request (arena) and memory that is shared (buf). */
#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "tests/unit/proto/suite.h"

#include <string.h>

START_TEST(pieces_are_aligned_and_apart)
{
    struct arena a;
    unsigned char *pieces[200];

    arena_init(&a, 0);
    for (size_t i = 0; i < 200; i++) {
        pieces[i] = arena_alloc(&a, i * 7);
        ck_assert_uint_eq((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i * 7);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t j = 0; j < i * 7; j++)
            ck_assert_uint_eq(pieces[i][j], i);
    arena_release(&a);
    ck_assert_uint_eq(a.used, 0);
}
END_TEST

/* A large piece gets a chunk of its own and does not waste the one that is filling. */
START_TEST(large_piece_leaves_the_small_ones_together)
{
    struct arena a;
    char *first, *second;

    arena_init(&a, 0);
    first = arena_alloc(&a, 16);
    ck_assert_ptr_nonnull(arena_alloc(&a, 100000));
    second = arena_alloc(&a, 16);
    ck_assert_ptr_eq(second, first + 16);
    arena_release(&a);
}
END_TEST

/* The wall is where it was said to be, for many small pieces and for one large. */
START_TEST(limit_is_a_wall)
{
    static const size_t limits[] = {64, 1000, 4096, 10000, 1000000};

    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct arena a;
        size_t got = 0;

        arena_init(&a, limits[i]);
        ck_assert_ptr_null(arena_alloc(&a, limits[i] + 16));
        while (arena_alloc(&a, 32) != NULL)
            got += 32;
        ck_assert_uint_le(got, limits[i]);
        ck_assert_uint_ge(got + limits[i] / 50 + 32, limits[i]);
        ck_assert_uint_le(a.used, limits[i]);
        ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
        ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX - 20));
        arena_release(&a);
    }
}
END_TEST

START_TEST(text_ends_with_a_nul)
{
    struct arena a;

    arena_init(&a, 0);
    ck_assert_str_eq(arena_text(&a, "abcdef", 3), "abc");
    ck_assert_str_eq(arena_text(&a, NULL, 0), "");
    ck_assert_str_eq(arena_format(&a, "%d of %s", 7, "9"), "7 of 9");
    ck_assert_mem_eq(arena_zalloc(&a, 4), "\0\0\0\0", 4);
    arena_release(&a);
}
END_TEST

static int freed;

static void count_free(struct buf *b)
{
    (void)b;
    freed++;
}

START_TEST(last_reference_frees)
{
    uint8_t memory[10];
    struct buf b;
    struct slice s;

    freed = 0;
    buf_init(&b, memory, sizeof memory, count_free);
    ck_assert(buf_is_unique(&b));
    s = slice_of(&b, memory + 2, 8);
    ck_assert(!buf_is_unique(&b));
    buf_unref(&b);
    ck_assert_int_eq(freed, 0);
    slice_release(&s);
    ck_assert_int_eq(freed, 1);
    ck_assert_ptr_null(s.buf);
    slice_release(&s); /* nothing is left to release */
    ck_assert_int_eq(freed, 1);
}
END_TEST

START_TEST(buf_has_what_was_asked_for)
{
    struct buf *b = buf_new(1000);

    ck_assert_uint_eq(b->capacity, 1000);
    ck_assert_uint_eq((uintptr_t)b->data % 16, 0);
    memset(b->data, 1, 1000);
    buf_unref(buf_ref(b));
    buf_unref(b);
    buf_unref(NULL);
    ck_assert_ptr_null(buf_new(SIZE_MAX));
}
END_TEST

SUITE_MAIN("memory", pieces_are_aligned_and_apart,
           large_piece_leaves_the_small_ones_together, limit_is_a_wall,
           text_ends_with_a_nul, last_reference_frees, buf_has_what_was_asked_for)
