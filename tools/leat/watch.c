/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/watch.h"

#include "tools/leat/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char repaint[] = "\033[H\033[J";

static bool has_line(const char *text, const char *line, size_t len)
{
    for (const char *at = text; at != NULL && *at != '\0';) {
        const char *end = strchr(at, '\n');

        if (end == NULL)
            return false;
        if ((size_t)(end - at) == len && memcmp(at, line, len) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

static void print_new_lines(const char *text, const char *before)
{
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1)
        if (!has_line(before, text, (size_t)(end - text)))
            fwrite(text, 1, (size_t)(end - text) + 1, stdout);
}

/* One look, with what it prints caught in `*text`, to be freed. */
static int catch (struct invocation *i, watch_look *look, bool *over, char **text)
{
    FILE *real = stdout;
    size_t size = 0;
    int code;

    stdout = open_memstream(text, &size);
    if (stdout == NULL) {
        stdout = real;
        *over = true;
        return fail(i->output, EXIT_REFUSED, "no memory");
    }
    code = look(i, over);
    fclose(stdout);
    stdout = real;
    return code;
}

int watch(struct invocation *i, watch_look *look)
{
    const struct timespec pause = {.tv_sec = 1};
    bool over = false, paint = isatty(STDOUT_FILENO);
    char *before = NULL;
    int code = EXIT_DONE;

    if (!flag_given(i, "watch"))
        return look(i, &over);
    session_on_interrupt(NULL);
    while (!over && !session_interrupted()) {
        char *text = NULL;

        code = catch (i, look, &over, &text);
        if (text == NULL)
            break;
        if (paint)
            printf("%s%s", repaint, text);
        else
            print_new_lines(text, before);
        fflush(stdout);
        free(before);
        before = text;
        if (!over)
            nanosleep(&pause, NULL);
    }
    free(before);
    return over ? code : EXIT_INTERRUPTED;
}
