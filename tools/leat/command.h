/* SPDX-License-Identifier: Apache-2.0
 *
 * The tool's grammar, `leat NOUN VERB [ARGS] [FLAGS]`, as one table (commands.c).
 * Parsing, help, the man page and completion are all read from it, so they cannot
 * disagree. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command;
struct invocation;

/* What the tool exits with; scripts rely on the numbers. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,     /* the server refused, or at least one item failed */
    EXIT_USAGE = 2,       /* wrong usage, or a confirmation that was not given */
    EXIT_UNREACHABLE = 3, /* could not reach or timed out: trying again makes sense */
    EXIT_FORBIDDEN = 4,
    EXIT_NOT_FOUND = 5,
    EXIT_UNMET = 6, /* a condition was not met */
    EXIT_INTERRUPTED = 130,
};

struct flag {
    char letter;          /* 0: none */
    const char *name;     /* without dashes; NULL ends a list */
    const char *argument; /* what the help calls it; NULL: the flag takes none */
    const char *text;
    bool repeats;
};

struct command {
    const char *noun;      /* "topic"; commands without a verb: "produce" */
    const char *verb;      /* NULL: none */
    const char *arguments; /* "TOPIC...", "[GLOB]", "" */
    unsigned arguments_min;
    unsigned arguments_max; /* ARGUMENTS_ANY: no limit */
    const char *summary;    /* one line, no full stop */
    const char *details;    /* paragraphs for help and man page; may be NULL */
    const char *example;    /* command lines; may be NULL */
    const struct flag *flags;
    int (*run)(struct invocation *i);
    bool offline; /* needs no broker */
};

enum { ARGUMENTS_ANY = 1000000 };

/* All commands, in the order of the help; the last row has noun NULL. */
extern const struct command commands[];
/* Flags that every command takes, the last with name NULL. */
extern const struct flag global_flags[];

/* The command that words[0..count) begin with: its row, and how many words it took. NULL
 * with a sentence in `why` (with the nearest command) when there is none. */
const struct command *command_find(char *const *words, int count, int *taken,
                                   char why[static 256]);

/* ---- one run of the tool -------------------------------------------------------------
 */

enum { FLAGS_MAX = 64 };

struct invocation {
    const struct command *command;
    const char *arguments[1024];
    unsigned argument_count;
    struct {
        const struct flag *flag;
        const char *value; /* NULL for flags without an argument */
    } flags[FLAGS_MAX];
    unsigned flag_count;
    struct output *output;   /* ready to print */
    struct session *session; /* brokers and time-outs; connects on demand */
};

/* Read the command line after the command's words. Flags may stand anywhere; "--" ends
 * them. EXIT_DONE, or EXIT_USAGE with a sentence in `why`. */
int invocation_parse(struct invocation *i, char *const *words, int count,
                     char why[static 256]);

bool flag_given(const struct invocation *i, const char *name);
/* The last value given, or `fallback`. */
const char *flag_text(const struct invocation *i, const char *name, const char *fallback);
/* The n-th value of a flag that repeats; NULL past the end. */
const char *flag_nth(const struct invocation *i, const char *name, unsigned n);
/* A whole number in [min, max]; false, having said why, when the value is not. */
bool flag_number(const struct invocation *i, const char *name, int64_t fallback,
                 int64_t min, int64_t max, int64_t *out);

/* ---- what is read from the table -----------------------------------------------------
 */

void help_print(const struct command *command); /* NULL: the overview */
void help_noun(const char *noun);
void help_json(void);
void help_man(void);
void completion_bash(void);
