/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/command.h"

#include "tools/leat/units.h"

#include <stdio.h>
#include <string.h>

/* Levenshtein's distance, for words of the size of a command. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[32];
    size_t na = strlen(a), nb = strlen(b);

    if (na >= 32 || nb >= 32)
        return 32;
    for (unsigned j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned above = row[j];
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);

            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[nb];
}

static const char *nearest(const char *word, const char *candidate, const char *best)
{
    unsigned d = distance(word, candidate);

    if (d > 2 || d >= strlen(word) || (best != NULL && d >= distance(word, best)))
        return best;
    return candidate;
}

/* ", did you mean X?" or ", there are: a, b, c". */
static void explain(char why[static 256], const char *noun, const char *word)
{
    const char *best = NULL;
    size_t len = (size_t)snprintf(why, 256, "unknown command '%s%s%s'", noun ? noun : "",
                                  noun ? " " : "", word);

    for (const struct command *c = commands; c->noun != NULL; c++) {
        if (noun == NULL)
            best = nearest(word, c->noun, best);
        else if (strcmp(c->noun, noun) == 0 && c->verb != NULL)
            best = nearest(word, c->verb, best);
    }
    if (len >= 256)
        return;
    if (best != NULL)
        snprintf(why + len, 256 - len, "; did you mean '%s%s%s'?", noun ? noun : "",
                 noun ? " " : "", best);
    else
        snprintf(why + len, 256 - len, " (see: leat help%s%s)", noun ? " " : "",
                 noun ? noun : "");
}

const struct command *command_find(char *const *words, int count, int *taken,
                                   char why[static 256])
{
    const char *noun = NULL;

    for (const struct command *c = commands; c->noun != NULL; c++) {
        if (strcmp(c->noun, words[0]) != 0)
            continue;
        noun = c->noun;
        if (c->verb == NULL) {
            *taken = 1;
            return c;
        }
        if (count > 1 && strcmp(c->verb, words[1]) == 0) {
            *taken = 2;
            return c;
        }
    }
    if (noun == NULL)
        explain(why, NULL, words[0]);
    else if (count < 2 || words[1][0] == '-')
        snprintf(why, 256, "'%s' needs a verb (see: leat help %s)", noun, noun);
    else
        explain(why, noun, words[1]);
    return NULL;
}

static const struct flag *find_in(const struct flag *flags, char letter, const char *name,
                                  size_t len)
{
    for (const struct flag *f = flags; f != NULL && f->name != NULL; f++)
        if (name != NULL ? strlen(f->name) == len && memcmp(f->name, name, len) == 0
                         : f->letter == letter && letter != 0)
            return f;
    return NULL;
}

static const struct flag *find_flag(const struct invocation *i, char letter,
                                    const char *name, size_t len)
{
    const struct flag *f = find_in(i->command->flags, letter, name, len);

    return f != NULL ? f : find_in(global_flags, letter, name, len);
}

static bool add_flag(struct invocation *i, const struct flag *flag, const char *value,
                     char why[static 256])
{
    if (i->flag_count == FLAGS_MAX) {
        snprintf(why, 256, "more than %d flags", FLAGS_MAX);
        return false;
    }
    if (!flag->repeats && flag_given(i, flag->name)) {
        snprintf(why, 256, "--%s is given twice", flag->name);
        return false;
    }
    i->flags[i->flag_count].flag = flag;
    i->flags[i->flag_count].value = value;
    i->flag_count++;
    return true;
}

/* "--name", "--name=value", "--name value". Moves `*at` over a value that is a word. */
static bool take_long(struct invocation *i, char *const *words, int count, int *at,
                      char why[static 256])
{
    const char *name = words[*at] + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct flag *flag = find_flag(i, 0, name, len);
    const char *best = NULL;

    if (flag == NULL) {
        const struct flag *lists[] = {i->command->flags, global_flags};
        char typed[32];

        snprintf(typed, sizeof typed, "%.*s", (int)len, name);
        for (unsigned l = 0; l < 2; l++)
            for (const struct flag *f = lists[l]; f != NULL && f->name != NULL; f++)
                best = nearest(typed, f->name, best);
        snprintf(why, 256,
                 best ? "unknown flag --%s; did you mean --%s?" : "unknown flag --%s",
                 typed, best);
        return false;
    }
    if (flag->argument == NULL) {
        if (equals != NULL) {
            snprintf(why, 256, "--%s takes no value", flag->name);
            return false;
        }
        return add_flag(i, flag, NULL, why);
    }
    if (equals != NULL)
        return add_flag(i, flag, equals + 1, why);
    if (*at + 1 == count) {
        snprintf(why, 256, "--%s needs a value: %s", flag->name, flag->argument);
        return false;
    }
    return add_flag(i, flag, words[++*at], why);
}

/* "-x", "-xyz", "-x value", "-xvalue". */
static bool take_short(struct invocation *i, char *const *words, int count, int *at,
                       char why[static 256])
{
    for (const char *p = words[*at] + 1; *p != '\0'; p++) {
        const struct flag *flag = find_flag(i, *p, NULL, 0);

        if (flag == NULL) {
            snprintf(why, 256, "unknown flag -%c", *p);
            return false;
        }
        if (flag->argument == NULL) {
            if (!add_flag(i, flag, NULL, why))
                return false;
            continue;
        }
        if (p[1] != '\0')
            return add_flag(i, flag, p + 1, why);
        if (*at + 1 == count) {
            snprintf(why, 256, "-%c needs a value: %s", *p, flag->argument);
            return false;
        }
        return add_flag(i, flag, words[++*at], why);
    }
    return true;
}

int invocation_parse(struct invocation *i, char *const *words, int count,
                     char why[static 256])
{
    const struct command *c = i->command;
    bool flags_over = false;

    for (int at = 0; at < count; at++) {
        const char *word = words[at];

        if (!flags_over && strcmp(word, "--") == 0) {
            flags_over = true;
        } else if (!flags_over && strncmp(word, "--", 2) == 0) {
            if (!take_long(i, words, count, &at, why))
                return EXIT_USAGE;
        } else if (!flags_over && word[0] == '-' && word[1] != '\0') {
            if (!take_short(i, words, count, &at, why))
                return EXIT_USAGE;
        } else if (i->argument_count < sizeof i->arguments / sizeof i->arguments[0]) {
            i->arguments[i->argument_count++] = word;
        } else {
            snprintf(why, 256, "too many arguments");
            return EXIT_USAGE;
        }
    }
    if (flag_given(i, "help"))
        return EXIT_DONE;
    if (i->argument_count < c->arguments_min || i->argument_count > c->arguments_max) {
        snprintf(why, 256, "usage: leat %s%s%s %s", c->noun, c->verb ? " " : "",
                 c->verb ? c->verb : "", c->arguments);
        return EXIT_USAGE;
    }
    return EXIT_DONE;
}

const char *flag_nth(const struct invocation *i, const char *name, unsigned n)
{
    for (unsigned f = 0; f < i->flag_count; f++)
        if (strcmp(i->flags[f].flag->name, name) == 0 && n-- == 0)
            return i->flags[f].value ? i->flags[f].value : "";
    return NULL;
}

bool flag_given(const struct invocation *i, const char *name)
{
    return flag_nth(i, name, 0) != NULL;
}

const char *flag_text(const struct invocation *i, const char *name, const char *fallback)
{
    const char *value = flag_nth(i, name, 0);

    return value != NULL ? value : fallback;
}

bool flag_number(const struct invocation *i, const char *name, int64_t fallback,
                 int64_t min, int64_t max, int64_t *out)
{
    const char *value = flag_nth(i, name, 0);

    if (value == NULL) {
        *out = fallback;
        return true;
    }
    if (parse_number(value, min, max, out))
        return true;
    fprintf(stderr, "leat: --%s: '%s' is not a whole number from %lld to %lld\n", name,
            value, (long long)min, (long long)max);
    return false;
}
