/* SPDX-License-Identifier: Apache-2.0
 *
 * Errands between two threads: none lost, none overtaken, whatever the pace. */
#include "broker/io/mailbox.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { MANY = 200000 };

static struct mailbox *mailbox_new(void)
{
    struct mailbox *m = aligned_alloc(_Alignof(struct mailbox), sizeof *m);

    ck_assert_ptr_nonnull(m);
    mailbox_init(m);
    return m;
}

/* What does not fit waits on the writer's side and follows in order. */
START_TEST(full_mailbox_loses_nothing)
{
    struct mailbox *m = mailbox_new();
    struct errand *errands = calloc(3 * MAILBOX_SLOTS, sizeof *errands);
    size_t next = 0;

    ck_assert(mailbox_is_empty(m));
    for (size_t i = 0; i < 3 * MAILBOX_SLOTS; i++)
        mailbox_post(m, &errands[i]);
    ck_assert(mailbox_push(m));
    while (next < 3 * MAILBOX_SLOTS) {
        struct errand *e = mailbox_take(m);

        if (e == NULL) {
            ck_assert(!mailbox_is_empty(m) || mailbox_push(m) || !mailbox_is_empty(m));
            continue;
        }
        ck_assert_ptr_eq(e, &errands[next++]);
    }
    ck_assert(!mailbox_push(m));
    ck_assert_ptr_null(mailbox_take(m));
    free(errands);
    free(m);
}
END_TEST

struct sending {
    struct mailbox *m;
    struct errand *errands;
};

static void *send_all(void *arg)
{
    struct sending *s = arg;

    for (size_t i = 0; i < MANY; i++) {
        s->errands[i].home = (unsigned)i;
        mailbox_post(s->m, &s->errands[i]);
    }
    while (mailbox_push(s->m))
        sched_yield();
    return NULL;
}

/* A writer and a reader at full speed. */
START_TEST(order_is_kept_between_threads)
{
    struct sending s = {mailbox_new(), calloc(MANY, sizeof *s.errands)};
    pthread_t writer;
    unsigned next = 0;

    ck_assert_int_eq(pthread_create(&writer, NULL, send_all, &s), 0);
    while (next < MANY) {
        struct errand *e = mailbox_take(s.m);

        if (e == NULL) {
            sched_yield();
            continue;
        }
        ck_assert_uint_eq(e->home, next);
        next++;
    }
    pthread_join(writer, NULL);
    ck_assert(mailbox_is_empty(s.m));
    free(s.errands);
    free(s.m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mailbox");
    TCase *c = tcase_create("mailbox");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_test(c, full_mailbox_loses_nothing);
    tcase_add_test(c, order_is_kept_between_threads);
    suite_add_tcase(s, c);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
