/* SPDX-License-Identifier: Apache-2.0
 *
 * leat-sim: run one seed, or many. */
#include "tests/sim/batch.h"
#include "tests/sim/cases.h"
#include "tests/sim/run.h"

#include "proto/base/mark.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(void)
{
    puts("usage: leat-sim --seed N | --seeds A..B | --case FILE [OPTION...]\n"
         "\n"
         "Whole clusters in one thread on virtual time, with faults. Exit status 0: "
         "every\n"
         "invariant held; 1: one did not; 2: the command line is wrong.\n"
         "\n"
         "  --seed N           run one seed; the last line tells the hash of its trace\n"
         "  --seeds A..B       run many, each in a process of its own\n"
         "  --case FILE        run what --shrink or a report wrote\n"
         "  --until EVENT      stop before this event\n"
         "  --log full|faults  print everything that happens, or what goes wrong\n"
         "  --config K=V       set one of the words below instead of drawing it\n"
         "  --jobs N           processes at a time with --seeds (2)\n"
         "  --seconds S        stop --seeds after so long\n"
         "  --sweep N          --seeds A..A with a crash at every Nth disk operation\n"
         "  --wanted S1,S2     stop --seeds at such a violation only, and be content\n"
         "  --keep-going       do not stop --seeds at the first violation\n"
         "  --shrink           after a violation: find a small case, print it\n"
         "  --plant Mn         with the planted bug (built with -Dplants=true)\n");
    swarm_help();
    return 2;
}

static int run_one(struct run_options *o, bool shrink)
{
    struct run_result result;

    if (shrink)
        return case_shrink(o) ? 0 : 1;
    run_once(o, &result);
    printf("seed %" PRIu64 ": %s, %" PRIu64 " events, %.1f s, %" PRIu64
           " records acknowledged, hash %016" PRIx64 "\n",
           o->seed, result.violated ? result.id : "ok", result.events,
           (double)result.at / 1e9, result.acked, result.hash);
    return result.violated ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct run_options o = {0};
    struct batch_options many = {.jobs = 2};
    const char *file = NULL, *plant = NULL;
    bool one = false, shrink = false;

    setvbuf(stdout, NULL, _IOLBF, 0);
    /* Nothing is given back to the kernel only to be asked for again. */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--shrink") == 0)
            shrink = true;
        else if (strcmp(argv[i], "--keep-going") == 0)
            many.keep_going = true;
        else if (strcmp(argv[i], "--seed") == 0 && ++i)
            one = sscanf(value, "%" SCNu64, &o.seed) == 1;
        else if (strcmp(argv[i], "--seeds") == 0 && ++i)
            many.on =
                sscanf(value, "%" SCNu64 "..%" SCNu64, &many.first, &many.last) == 2;
        else if (strcmp(argv[i], "--case") == 0 && ++i)
            file = value;
        else if (strcmp(argv[i], "--until") == 0 && ++i)
            o.until = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--log") == 0 && ++i)
            o.loud = strcmp(value, "full") == 0, o.show_faults = true;
        else if (strcmp(argv[i], "--config") == 0 && ++i && many.settings < SETTINGS_MAX)
            many.setting[many.settings++] = value;
        else if (strcmp(argv[i], "--jobs") == 0 && ++i)
            many.jobs = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0 && ++i)
            many.seconds = (int)strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--sweep") == 0 && ++i)
            many.sweep = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--wanted") == 0 && ++i)
            many.wanted = value;
        else if (strcmp(argv[i], "--plant") == 0 && ++i)
            plant = value;
        else
            return usage();
    }
#ifdef LEAT_PLANTS
    if (plant != NULL)
        plant_chosen = (int)strtol(plant + 1, NULL, 10);
#else
    if (plant != NULL) {
        fputs("leat-sim: built without -Dplants=true\n", stderr);
        return 2;
    }
#endif
    if (many.on)
        return batch_run(&many) ? 0 : 1;
    if (file != NULL) {
        if (!case_read(file, &o))
            return 2;
        return run_one(&o, shrink);
    }
    if (!one || !batch_prepare(&many, o.seed, &o))
        return usage();
    return run_one(&o, shrink);
}
