/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything that is read from the command table for people and shells. */
#include "tools/leat/command.h"
#include "tools/leat/output.h"

#include <stdio.h>
#include <string.h>

/* The next row that people should see. */
static const struct command *shown_after(const struct command *c)
{
    do
        c = c == NULL ? commands : c + 1;
    while (c->noun != NULL && c->noun[0] == '_');
    return c;
}

static void print_title(FILE *to, const struct command *c)
{
    fprintf(to, "leat %s%s%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "");
}

static void print_flags(const struct flag *flags)
{
    for (const struct flag *f = flags; f != NULL && f->name != NULL; f++) {
        char left[64];

        snprintf(left, sizeof left, "%s%c%s--%s%s%s", f->letter ? "-" : " ",
                 f->letter ? f->letter : ' ', f->letter ? ", " : "  ", f->name,
                 f->argument ? " " : "", f->argument ? f->argument : "");
        printf("  %-32s %s%s\n", left, f->text, f->repeats ? " (repeatable)" : "");
    }
}

static void print_row(const struct command *c)
{
    char left[64];

    snprintf(left, sizeof left, "%s%s%s %s", c->noun, c->verb ? " " : "",
             c->verb ? c->verb : "", c->arguments);
    printf("  %-34s %s\n", left, c->summary);
}

static void print_overview(void)
{
    const char *noun = "";

    puts("leat: publish to, read from and manage a Leat cluster\n\n"
         "usage: leat NOUN VERB [ARGUMENTS] [FLAGS]");
    for (const struct command *c = shown_after(NULL); c->noun != NULL;
         c = shown_after(c)) {
        if (strcmp(noun, c->noun) != 0 && (c->verb != NULL || c == commands))
            putchar('\n');
        noun = c->noun;
        print_row(c);
    }
    puts("\nflags of every command:");
    print_flags(global_flags);
    puts("\nexit codes: 0 done, 1 refused or at least one item failed, 2 wrong usage,\n"
         "  3 not reachable or timed out, 4 not allowed, 5 not found, 6 condition not "
         "met\n"
         "more: leat help NOUN [VERB]; a reference for programs: leat help --json");
}

void help_print(const struct command *command)
{
    if (command == NULL) {
        print_overview();
        return;
    }
    print_title(stdout, command);
    printf(": %s\n\nusage: ", command->summary);
    print_title(stdout, command);
    printf(" %s%s[FLAGS]\n", command->arguments, command->arguments[0] ? " " : "");
    if (command->details != NULL)
        printf("\n%s\n", command->details);
    if (command->flags != NULL && command->flags[0].name != NULL) {
        puts("\nflags:");
        print_flags(command->flags);
    }
    puts("\nflags of every command:");
    print_flags(global_flags);
    if (command->example != NULL)
        printf("\nexamples:\n%s\n", command->example);
}

void help_noun(const char *noun)
{
    for (const struct command *c = shown_after(NULL); c->noun != NULL; c = shown_after(c))
        if (strcmp(c->noun, noun) == 0)
            print_row(c);
}

static void json_text(const char *key, const char *value, const char *after)
{
    printf("\"%s\":", key);
    if (value != NULL)
        json_string(value, strlen(value));
    else
        fputs("null", stdout);
    fputs(after, stdout);
}

static void json_flags(const struct flag *flags)
{
    putchar('[');
    for (const struct flag *f = flags; f != NULL && f->name != NULL; f++) {
        char letter[2] = {f->letter, '\0'};

        fputs(f == flags ? "{" : ",{", stdout);
        json_text("name", f->name, ",");
        json_text("letter", f->letter ? letter : NULL, ",");
        json_text("argument", f->argument, ",");
        printf("\"repeats\":%s,", f->repeats ? "true" : "false");
        json_text("text", f->text, "}");
    }
    putchar(']');
}

void help_json(void)
{
    fputs("{\"commands\":[", stdout);
    for (const struct command *c = shown_after(NULL); c->noun != NULL;
         c = shown_after(c)) {
        fputs(c == commands ? "{" : ",{", stdout);
        json_text("noun", c->noun, ",");
        json_text("verb", c->verb, ",");
        json_text("arguments", c->arguments, ",");
        json_text("summary", c->summary, ",");
        json_text("details", c->details, ",\"flags\":");
        json_flags(c->flags);
        putchar('}');
    }
    fputs("],\"global_flags\":", stdout);
    json_flags(global_flags);
    puts("}");
}

/* roff takes a leading dot or quote and every backslash for its own. */
static void man_text(const char *text)
{
    bool line_start = true;

    for (; *text != '\0'; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
        line_start = *text == '\n';
    }
}

static void man_flags(const struct flag *flags)
{
    for (const struct flag *f = flags; f != NULL && f->name != NULL; f++) {
        puts(".TP");
        fputs(".B ", stdout);
        if (f->letter)
            printf("\\-%c, ", f->letter);
        fputs("\\-\\-", stdout);
        man_text(f->name);
        if (f->argument != NULL) {
            putchar(' ');
            man_text(f->argument);
        }
        putchar('\n');
        man_text(f->text);
        putchar('\n');
    }
}

void help_man(void)
{
    printf(".TH LEAT 1 \"\" \"leat %s\" \"Leat\"\n", LEAT_VERSION);
    puts(".SH NAME\nleat \\- publish to, read from and manage a Leat cluster\n"
         ".SH SYNOPSIS\n.B leat\n.I NOUN VERB\n[\\fIARGUMENTS\\fR] [\\fIFLAGS\\fR]\n"
         ".SH COMMANDS");
    for (const struct command *c = shown_after(NULL); c->noun != NULL;
         c = shown_after(c)) {
        fputs(".SS \"", stdout);
        print_title(stdout, c);
        printf(" %s\"\n", c->arguments);
        man_text(c->summary);
        puts(".");
        if (c->details != NULL) {
            puts(".PP");
            man_text(c->details);
            putchar('\n');
        }
        man_flags(c->flags);
        if (c->example != NULL) {
            puts(".PP\n.nf");
            man_text(c->example);
            puts("\n.fi");
        }
    }
    puts(".SH FLAGS OF EVERY COMMAND");
    man_flags(global_flags);
    puts(".SH EXIT STATUS\n"
         "0 done, 1 refused or at least one item failed, 2 wrong usage, 3 not reachable "
         "or\n"
         "timed out, 4 not allowed, 5 not found, 6 condition not met, 130 interrupted.\n"
         ".SH ENVIRONMENT\nLEAT_BROKERS, LEAT_OUTPUT, LEAT_TIMEOUT, LEAT_PROFILE, "
         "NO_COLOR.\n"
         ".SH SEE ALSO\n.BR leatd (8)");
}

static void completion_flags(const struct flag *flags)
{
    for (const struct flag *f = flags; f != NULL && f->name != NULL; f++)
        printf(" --%s", f->name);
}

/* Nouns, verbs and flags stand in the script; names of topics and groups are asked for.
 */
void completion_bash(void)
{
    puts("# bash completion for leat; load with: source <(leat completion bash)\n"
         "_leat() {\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} noun=${COMP_WORDS[1]} "
         "verb=${COMP_WORDS[2]}\n"
         "    local words=''\n"
         "    if [ \"$COMP_CWORD\" = 1 ]; then");
    fputs("        words='", stdout);
    const char *noun = "";
    for (const struct command *c = shown_after(NULL); c->noun != NULL;
         c = shown_after(c)) {
        if (strcmp(noun, c->noun) != 0)
            printf("%s%s", c == commands ? "" : " ", c->noun);
        noun = c->noun;
    }
    puts("'\n    else\n        case \"$noun $verb\" in");
    for (const struct command *c = shown_after(NULL); c->noun != NULL;
         c = shown_after(c)) {
        printf("        '%s %s'*) words='", c->noun, c->verb ? c->verb : "");
        completion_flags(c->flags);
        completion_flags(global_flags);
        puts("' ;;");
    }
    puts("        esac\n"
         "        if [ \"$COMP_CWORD\" = 2 ]; then\n"
         "            case \"$noun\" in");
    noun = "";
    for (const struct command *c = shown_after(NULL); c->noun != NULL;
         c = shown_after(c)) {
        if (c->verb == NULL)
            continue;
        if (strcmp(noun, c->noun) != 0)
            printf("%s            %s) words='", noun[0] ? "' ;;\n" : "", c->noun);
        printf(" %s", c->verb);
        noun = c->noun;
    }
    puts("' ;;\n            esac\n        fi\n"
         "        case \"$noun\" in\n"
         "        topic|produce|consume) [ \"${cur#-}\" = \"$cur\" ] && [ "
         "\"$COMP_CWORD\" -gt 1 ] "
         "&& words=\"$words $(leat __complete topics 2>/dev/null)\" ;;\n"
         "        group) [ \"${cur#-}\" = \"$cur\" ] && [ \"$COMP_CWORD\" -gt 2 ] "
         "&& words=\"$words $(leat __complete groups 2>/dev/null)\" ;;\n"
         "        esac\n"
         "    fi\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "}\n"
         "complete -F _leat leat");
}
