/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a fuzz target without libFuzzer:
 *
 *     replay_X                 all seeds, then MUTATIONS of each
 *     replay_X --seeds DIR     write the seeds, for libFuzzer to begin with
 *     replay_X FILE...         these inputs, such as one that crashed */
#include "proto/base/check.h"
#include "proto/base/prng.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MUTATIONS = 2000, CHANGES_MAX = 6 };

/* An exact allocation, so that the sanitizer sees a read past the end. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);

    CHECK(exact != NULL);
    if (size > 0)
        memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void change(struct prng *p, uint8_t *data, size_t *size)
{
    static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff};
    size_t at = prng_below(p, *size), len = 1 + prng_below(p, 8);

    if (len > *size - at)
        len = *size - at;
    switch (prng_below(p, 5)) {
    case 0: data[at] ^= (uint8_t)(1u << prng_below(p, 8)); break;
    case 1: data[at] = edges[prng_below(p, sizeof edges)]; break;
    case 2: memset(data + at, edges[prng_below(p, sizeof edges)], len); break;
    case 3: memmove(data + prng_below(p, *size - len + 1), data + at, len); break;
    case 4: *size = at + 1; break;
    }
}

static void replay_seed(unsigned n, const struct writer *seed)
{
    uint8_t *data = malloc(seed->len + 1);
    struct prng p;

    CHECK(data != NULL);
    prng_init(&p, n);
    run(seed->data, seed->len);
    for (int i = 0; i < MUTATIONS; i++) {
        size_t size = seed->len;

        memcpy(data, seed->data, size);
        for (uint64_t changes = 1 + prng_below(&p, CHANGES_MAX); changes > 0; changes--)
            change(&p, data, &size);
        run(data, size);
    }
    free(data);
}

static void replay_file(const char *path)
{
    struct writer in = writer_growing();
    FILE *f = fopen(path, "rb");
    int c;

    CHECK(f != NULL);
    while ((c = getc(f)) != EOF)
        write_u8(&in, (uint8_t)c);
    fclose(f);
    run(in.data, in.len);
    writer_release(&in);
}

static void write_seed(const char *folder, unsigned n, const struct writer *seed)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof path, "%s/seed-%u", folder, n);
    f = fopen(path, "wb");
    CHECK(f != NULL);
    CHECK(fwrite(seed->data, 1, seed->len, f) == seed->len);
    CHECK(fclose(f) == 0);
}

int main(int argc, char **argv)
{
    const char *folder = argc == 3 && strcmp(argv[1], "--seeds") == 0 ? argv[2] : NULL;
    unsigned count = 0;

    if (argc > 1 && folder == NULL) {
        for (int i = 1; i < argc; i++)
            replay_file(argv[i]);
        return 0;
    }
    for (;; count++) {
        struct writer seed = writer_growing();

        if (!fuzz_seed(count, &seed))
            break;
        CHECK(writer_status(&seed) == STATUS_OK && seed.len > 0);
        if (folder != NULL)
            write_seed(folder, count, &seed);
        else
            replay_seed(count, &seed);
        writer_release(&seed);
    }
    printf("%u seeds\n", count);
    return 0;
}
