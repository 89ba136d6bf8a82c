/* SPDX-License-Identifier: Apache-2.0
 *
 * One behaviour behind one port: the same stories on io_uring, on plain system calls and
 * on the simulated disk. */
#include "proto/base/check.h"
#include "storage/disk_posix.h"
#include "storage/disk_uring.h"
#include "tests/support/simdisk.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scene {
    struct disk *disk;
    struct simdisk *sim; /* NULL: a real one */
    char root[64];
};

enum { URING, POSIX, SIMULATED, KINDS };

/* False where this machine refuses io_uring. */
static bool begin(struct scene *s, int kind)
{
    enum status st = STATUS_OK;

    *s = (struct scene){0};
    if (kind == SIMULATED) {
        s->sim = simdisk_new(&(struct simdisk_options){.seed = 1});
        s->disk = simdisk_disk(s->sim);
        return true;
    }
    snprintf(s->root, sizeof s->root, "/var/tmp/leat-test-disk-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(s->root));
    st = kind == URING ? disk_uring_open(s->root, &s->disk)
                       : disk_posix_open(s->root, &s->disk);
    if (st == STATUS_UNSUPPORTED_VERSION) {
        printf("io_uring is refused here: not tested\n");
        remove(s->root);
        return false;
    }
    ck_assert_int_eq(st, STATUS_OK);
    return true;
}

static void end(struct scene *s)
{
    disk_close(s->disk);
    if (s->sim != NULL)
        simdisk_free(s->sim);
    else
        ck_assert_int_eq(remove(s->root), 0);
}

static enum status call(struct scene *s, struct disk_op op)
{
    return disk_call(s->disk, &op);
}

static disk_file open_file(struct scene *s, const char *path, unsigned flags)
{
    struct disk_op op = {.kind = DISK_OPEN, .path = path, .flags = flags};

    ck_assert_int_eq(disk_call(s->disk, &op), STATUS_OK);
    return op.file;
}

static void close_file(struct scene *s, disk_file file)
{
    ck_assert_int_eq(call(s, (struct disk_op){.kind = DISK_CLOSE, .file = file}),
                     STATUS_OK);
}

static void write_at(struct scene *s, disk_file file, uint64_t offset, void *data,
                     size_t len, bool sync)
{
    struct iovec iov[2] = {{data, len / 2}, {(char *)data + len / 2, len - len / 2}};
    struct disk_op op = {.kind = DISK_WRITE,
                         .file = file,
                         .offset = offset,
                         .iov = iov,
                         .iov_count = 2,
                         .sync = sync};

    ck_assert_int_eq(disk_call(s->disk, &op), STATUS_OK);
    ck_assert_uint_eq(op.bytes, len);
}

static size_t read_at(struct scene *s, disk_file file, uint64_t offset, void *data,
                      size_t len)
{
    struct iovec iov = {data, len};
    struct disk_op op = {
        .kind = DISK_READ, .file = file, .offset = offset, .iov = &iov, .iov_count = 1};

    ck_assert_int_eq(disk_call(s->disk, &op), STATUS_OK);
    return op.bytes;
}

static enum status remove_path(struct scene *s, const char *path)
{
    return call(s, (struct disk_op){.kind = DISK_REMOVE, .path = path});
}

/* What is written at a place is read there; reading ends at the end of the file. */
START_TEST(written_bytes_are_read_back)
{
    struct scene s;
    char text[] = "a channel cut to carry a stream", back[64] = {0};
    disk_file file;

    if (!begin(&s, _i))
        return;
    file = open_file(&s, "file", DISK_CREATE | DISK_EXCLUSIVE);
    write_at(&s, file, 5, text, sizeof text, false);
    ck_assert_uint_eq(read_at(&s, file, 5, back, sizeof back), sizeof text);
    ck_assert_str_eq(back, text);
    ck_assert_uint_eq(read_at(&s, file, 5 + sizeof text, back, 10), 0);
    ck_assert_int_eq(call(&s, (struct disk_op){.kind = DISK_SYNC, .file = file}),
                     STATUS_OK);
    close_file(&s, file);
    ck_assert_int_eq(remove_path(&s, "file"), STATUS_OK);
    end(&s);
}
END_TEST

/* Direct files take aligned blocks, durable one by one, and can be preallocated and cut.
 */
START_TEST(direct_files_take_aligned_blocks)
{
    struct scene s;
    struct disk_op stat = {.kind = DISK_STAT, .path = "direct"};
    void *block = NULL, *back = NULL;
    disk_file file;

    if (!begin(&s, _i))
        return;
    ck_assert_int_eq(posix_memalign(&block, DISK_ALIGN, 2 * DISK_ALIGN), 0);
    ck_assert_int_eq(posix_memalign(&back, DISK_ALIGN, 4 * DISK_ALIGN), 0);
    memset(block, 'x', 2 * DISK_ALIGN);
    file = open_file(&s, "direct", DISK_CREATE | DISK_DIRECT);
    ck_assert_int_eq(call(&s, (struct disk_op){.kind = DISK_ALLOCATE,
                                               .file = file,
                                               .length = 8 * DISK_ALIGN}),
                     STATUS_OK);
    write_at(&s, file, DISK_ALIGN, block, 2 * DISK_ALIGN, true);
    ck_assert_uint_eq(read_at(&s, file, 0, back, 4 * DISK_ALIGN), 4 * DISK_ALIGN);
    ck_assert_int_eq(((char *)back)[0], 0);
    ck_assert_mem_eq((char *)back + DISK_ALIGN, block, 2 * DISK_ALIGN);
    ck_assert_int_eq(disk_call(s.disk, &stat), STATUS_OK);
    ck_assert_uint_eq(stat.length, 8 * DISK_ALIGN);
    ck_assert_int_eq(
        call(&s, (struct disk_op){.kind = DISK_TRUNCATE, .file = file, .offset = 5000}),
        STATUS_OK);
    ck_assert_int_eq(disk_call(s.disk, &stat), STATUS_OK);
    ck_assert_uint_eq(stat.length, 5000);
    close_file(&s, file);
    ck_assert_int_eq(remove_path(&s, "direct"), STATUS_OK);
    free(block);
    free(back);
    end(&s);
}
END_TEST

/* Names: directories, listing, renaming over a file, and what is refused. */
START_TEST(names_come_move_and_go)
{
    struct scene s;
    struct disk_op list = {.kind = DISK_LIST, .path = "dir"};

    if (!begin(&s, _i))
        return;
    ck_assert_int_eq(call(&s, (struct disk_op){.kind = DISK_MAKE_DIR, .path = "dir"}),
                     STATUS_OK);
    ck_assert_int_eq(call(&s, (struct disk_op){.kind = DISK_MAKE_DIR, .path = "dir"}),
                     STATUS_EXISTS);
    close_file(&s, open_file(&s, "dir/a", DISK_CREATE));
    close_file(&s, open_file(&s, "dir/b", DISK_CREATE));
    ck_assert_int_eq(call(&s, (struct disk_op){.kind = DISK_OPEN,
                                               .path = "dir/a",
                                               .flags = DISK_CREATE | DISK_EXCLUSIVE}),
                     STATUS_EXISTS);
    ck_assert_int_eq(
        call(&s,
             (struct disk_op){.kind = DISK_RENAME, .path = "dir/a", .path2 = "dir/b"}),
        STATUS_OK);
    ck_assert_int_eq(disk_call(s.disk, &list), STATUS_OK);
    ck_assert_mem_eq(list.names, "b\0", 3);
    free(list.names);
    ck_assert_int_eq(disk_sync_dir(s.disk, "dir"), STATUS_OK);
    ck_assert_int_eq(remove_path(&s, "dir"), STATUS_EXISTS);
    ck_assert_int_eq(remove_path(&s, "dir/a"), STATUS_NOT_FOUND);
    ck_assert_int_eq(remove_path(&s, "dir/b"), STATUS_OK);
    ck_assert_int_eq(remove_path(&s, "dir"), STATUS_OK);
    ck_assert_int_eq(call(&s, (struct disk_op){.kind = DISK_OPEN, .path = "dir/b"}),
                     STATUS_NOT_FOUND);
    ck_assert_int_eq(call(&s, (struct disk_op){.kind = DISK_LIST, .path = "dir"}),
                     STATUS_NOT_FOUND);
    ck_assert_int_eq(call(&s, (struct disk_op){.kind = DISK_SPACE}), STATUS_OK);
    end(&s);
}
END_TEST

/* A small file is replaced as a whole. */
START_TEST(a_small_file_is_replaced_as_a_whole)
{
    struct scene s;
    uint8_t *data;
    size_t len;

    if (!begin(&s, _i))
        return;
    ck_assert_int_eq(disk_replace(s.disk, ".", "small", "first version", 13), STATUS_OK);
    ck_assert_int_eq(disk_replace(s.disk, ".", "small", "second", 6), STATUS_OK);
    ck_assert_int_eq(disk_read_all(s.disk, "small", 5, &data, &len), STATUS_TOO_MANY);
    ck_assert_int_eq(disk_read_all(s.disk, "small", 100, &data, &len), STATUS_OK);
    ck_assert_uint_eq(len, 6);
    ck_assert_mem_eq(data, "second", 6);
    free(data);
    ck_assert_int_eq(disk_read_all(s.disk, "other", 100, &data, &len), STATUS_NOT_FOUND);
    ck_assert_int_eq(remove_path(&s, "small"), STATUS_OK);
    end(&s);
}
END_TEST

/* Many operations at once: each completes once, inside a poll and never inside its
 * submit. */
struct many {
    struct disk_op op;
    struct iovec iov;
    uint64_t number, back;
    bool submitting;
    unsigned completions;
};

static void count_done(struct disk_op *op)
{
    struct many *m = container_of(op, struct many, op);

    ck_assert(!m->submitting);
    ck_assert_int_eq(op->status, STATUS_OK);
    m->completions++;
}

START_TEST(every_operation_completes_once)
{
    enum { COUNT = 3000 };
    struct scene s;
    struct many *all = calloc(COUNT, sizeof *all);
    size_t done = 0;
    disk_file file;

    if (!begin(&s, _i)) {
        free(all);
        return;
    }
    file = open_file(&s, "many", DISK_CREATE);
    for (int round = 0; round < 2; round++) {
        for (uint64_t n = 0; n < COUNT; n++) {
            struct many *m = &all[n];

            m->number = n;
            m->iov = (struct iovec){round == 0 ? &m->number : &m->back, sizeof m->number};
            m->op = (struct disk_op){.kind = round == 0 ? DISK_WRITE : DISK_READ,
                                     .file = file,
                                     .offset = n * sizeof m->number,
                                     .iov = &m->iov,
                                     .iov_count = 1,
                                     .done = count_done};
            m->submitting = true;
            disk_submit(s.disk, &m->op);
            m->submitting = false;
        }
        for (done = 0; done < COUNT;)
            done += disk_poll(s.disk, true);
    }
    for (uint64_t n = 0; n < COUNT; n++) {
        ck_assert_uint_eq(all[n].completions, 2);
        ck_assert_uint_eq(all[n].back, n);
    }
    close_file(&s, file);
    ck_assert_int_eq(remove_path(&s, "many"), STATUS_OK);
    free(all);
    end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("disk");
    TCase *t = tcase_create("disk");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, written_bytes_are_read_back, 0, KINDS);
    tcase_add_loop_test(t, direct_files_take_aligned_blocks, 0, KINDS);
    tcase_add_loop_test(t, names_come_move_and_go, 0, KINDS);
    tcase_add_loop_test(t, a_small_file_is_replaced_as_a_whole, 0, KINDS);
    tcase_add_loop_test(t, every_operation_completes_once, 0, KINDS);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
