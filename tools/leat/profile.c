/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/profile.h"

#include "tools/leat/command.h"
#include "tools/leat/run.h"
#include "tools/leat/session.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file as it is, or "" when there is none; NULL (with a message) when it cannot be
 * read. */
static char *file_text(const struct output *o, const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = NULL;
    size_t size = 0;

    if (f == NULL && errno == ENOENT)
        return strdup("");
    if (f == NULL || getdelim(&text, &size, '\0', f) < 0) {
        bool empty = f != NULL && feof(f);

        if (!empty)
            fail(o, EXIT_REFUSED, "%s: %s", path, strerror(errno));
        free(text);
        text = empty ? strdup("") : NULL;
    }
    if (f != NULL)
        fclose(f);
    return text;
}

static bool file_path(char *path, size_t size, bool make_dir)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char dir[512];

    if (base != NULL && base[0] == '/')
        snprintf(dir, sizeof dir, "%s", base);
    else if (home != NULL)
        snprintf(dir, sizeof dir, "%s/.config", home);
    else
        return false;
    if (make_dir)
        mkdir(dir, 0700);
    snprintf(path, size, "%s/leat", dir);
    if (make_dir)
        mkdir(path, 0700);
    return (size_t)snprintf(path, size, "%s/leat/profiles.conf", dir) < size;
}

static char *trimmed(char *text)
{
    char *end;

    while (isspace((unsigned char)*text))
        text++;
    end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text;
}

enum line_kind { LINE_NONE, LINE_SECTION, LINE_SETTING, LINE_WRONG };

/* Take one line apart in place. */
static enum line_kind read_line(char *line, char **name, char **value)
{
    char *equals;

    line = trimmed(line);
    if (line[0] == '\0' || line[0] == '#')
        return LINE_NONE;
    if (line[0] == '[' && line[strlen(line) - 1] == ']') {
        line[strlen(line) - 1] = '\0';
        *name = line + 1;
        return LINE_SECTION;
    }
    equals = strchr(line, '=');
    if (equals == NULL)
        return LINE_WRONG;
    *equals = '\0';
    *name = trimmed(line);
    *value = trimmed(equals + 1);
    return LINE_SETTING;
}

typedef void profile_visit(void *to, const char *section, const char *key,
                           const char *value);

/* Hand over every section (key NULL) and setting in order; section "" is the file's
 * head. */
static int walk(const struct output *o, profile_visit *visit, void *to)
{
    char path[600], *text, *rest, *line, section[128] = "";
    int number = 0, code = EXIT_DONE;

    if (!file_path(path, sizeof path, false) || (text = file_text(o, path)) == NULL)
        return EXIT_DONE;
    rest = text;
    while (code == EXIT_DONE && (line = strsep(&rest, "\n")) != NULL) {
        char *name = NULL, *value = NULL;

        number++;
        switch (read_line(line, &name, &value)) {
        case LINE_NONE: break;
        case LINE_SECTION:
            snprintf(section, sizeof section, "%s", name);
            visit(to, section, NULL, NULL);
            break;
        case LINE_SETTING: visit(to, section, name, value); break;
        case LINE_WRONG:
            code = fail(o, EXIT_USAGE, "%s:%d: write key = value or [profile]", path,
                        number);
            break;
        }
    }
    free(text);
    return code;
}

struct lookup {
    const char *name;
    char current[128];
    bool found;
    void (*each)(void *to, const char *key, const char *value);
    void *to;
};

static void find_current(void *to, const char *section, const char *key,
                         const char *value)
{
    struct lookup *l = to;

    if (section[0] == '\0' && key != NULL && strcmp(key, "current") == 0)
        snprintf(l->current, sizeof l->current, "%s", value);
}

static void find_settings(void *to, const char *section, const char *key,
                          const char *value)
{
    struct lookup *l = to;

    if (strcmp(section, l->name) != 0)
        return;
    l->found = true;
    if (key != NULL)
        l->each(l->to, key, value);
}

int profile_each(const struct output *o, const char *name,
                 void (*each)(void *to, const char *key, const char *value), void *to)
{
    struct lookup l = {.name = name, .each = each, .to = to};
    int code = walk(o, find_current, &l);

    if (code != EXIT_DONE)
        return code;
    if (name == NULL && l.current[0] == '\0')
        return EXIT_DONE;
    if (name == NULL)
        l.name = l.current;
    code = walk(o, find_settings, &l);
    if (code == EXIT_DONE && !l.found)
        return fail(o, EXIT_NOT_FOUND, "no profile '%s' (see: leat profile list)",
                    l.name);
    return code;
}

/* ---- commands ------------------------------------------------------------------------
 */

struct rewrite {
    FILE *to;
    const char *drop;    /* a section that is left out; NULL: none */
    const char *current; /* the new current profile; NULL: as it is */
    bool in_dropped;
    bool current_written;
    bool found; /* `drop` or `current` exists */
    const char *looked_for;
};

static void copy_out(void *to, const char *section, const char *key, const char *value)
{
    struct rewrite *r = to;

    if (r->looked_for != NULL && strcmp(section, r->looked_for) == 0)
        r->found = true;
    if (section[0] == '\0' && key != NULL && strcmp(key, "current") == 0) {
        if (r->current == NULL && (r->drop == NULL || strcmp(r->drop, value) != 0))
            fprintf(r->to, "current = %s\n", value);
        return;
    }
    if (r->drop != NULL && strcmp(section, r->drop) == 0)
        return;
    if (key == NULL)
        fprintf(r->to, "\n[%s]\n", section);
    else
        fprintf(r->to, "%s = %s\n", key, value);
}

/* Write the file anew beside the old one, then put it in its place. `more` appends. */
static int rewrite(const struct output *o, struct rewrite *r,
                   void (*more)(FILE *to, const struct invocation *i),
                   const struct invocation *i)
{
    char path[600], temporary[620];
    int code;

    if (!file_path(path, sizeof path, true))
        return fail(o, EXIT_REFUSED, "neither HOME nor XDG_CONFIG_HOME is set");
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    r->to = fopen(temporary, "w");
    if (r->to == NULL)
        return fail(o, EXIT_REFUSED, "%s: %s", temporary, strerror(errno));
    if (r->current != NULL)
        fprintf(r->to, "current = %s\n", r->current);
    code = walk(o, copy_out, r);
    if (more != NULL)
        more(r->to, i);
    if (fclose(r->to) != 0 && code == EXIT_DONE)
        code = fail(o, EXIT_REFUSED, "%s: %s", temporary, strerror(errno));
    if (code == EXIT_DONE && r->looked_for != NULL && !r->found)
        code = fail(o, EXIT_NOT_FOUND, "no profile '%s' (see: leat profile list)",
                    r->looked_for);
    if (code == EXIT_DONE && rename(temporary, path) != 0)
        code = fail(o, EXIT_REFUSED, "%s: %s", path, strerror(errno));
    if (code != EXIT_DONE)
        unlink(temporary);
    return code;
}

static void append_profile(FILE *to, const struct invocation *i)
{
    fprintf(to, "\n[%s]\n", i->arguments[0]);
    for (unsigned n = 1; n < i->argument_count; n++) {
        const char *equals = strchr(i->arguments[n], '=');

        fprintf(to, "%.*s = %s\n", (int)(equals - i->arguments[n]), i->arguments[n],
                equals + 1);
    }
}

int run_profile_create(struct invocation *i)
{
    struct rewrite r = {.drop = i->arguments[0]};
    const char *name = i->arguments[0];
    int code;

    if (name[0] == '\0' || strpbrk(name, "[]\n ") != NULL)
        return fail(i->output, EXIT_USAGE, "profile '%s': no spaces or brackets", name);
    for (unsigned n = 1; n < i->argument_count; n++)
        if (strchr(i->arguments[n], '=') == NULL)
            return fail(i->output, EXIT_USAGE, "'%s': write key=value", i->arguments[n]);
    code = rewrite(i->output, &r, append_profile, i);
    if (code == EXIT_DONE)
        done(i->output, "created", name,
             "created profile %s (use it: leat profile use %s)", name, name);
    return code;
}

int run_profile_use(struct invocation *i)
{
    struct rewrite r = {.current = i->arguments[0], .looked_for = i->arguments[0]};
    int code = rewrite(i->output, &r, NULL, NULL);

    if (code == EXIT_DONE)
        done(i->output, "used", i->arguments[0], "using profile %s", i->arguments[0]);
    return code;
}

int run_profile_delete(struct invocation *i)
{
    struct rewrite r = {.drop = i->arguments[0], .looked_for = i->arguments[0]};
    int code = rewrite(i->output, &r, NULL, NULL);

    if (code == EXIT_DONE)
        done(i->output, "deleted", i->arguments[0], "deleted profile %s",
             i->arguments[0]);
    return code;
}

struct listing {
    struct table *table;
    struct lookup *current;
};

static void list_section(void *to, const char *section, const char *key,
                         const char *value)
{
    struct listing *l = to;

    (void)value;
    if (key != NULL)
        return;
    table_text(l->table, section);
    table_number(l->table, strcmp(section, l->current->current) == 0);
}

int run_profile_list(struct invocation *i)
{
    static const struct column columns[] = {{"name", COLUMN_TEXT},
                                            {"current", COLUMN_BOOL}};
    struct lookup current = {0};
    struct listing l = {table_new(i->output, columns, 2), &current};
    int code = walk(i->output, find_current, &current);

    if (code == EXIT_DONE)
        code = walk(i->output, list_section, &l);
    table_print(l.table, "no profiles (make one: leat profile create NAME "
                         "bootstrap.servers=HOST:PORT)");
    return code;
}

static void show_setting(void *to, const char *key, const char *value, const char *origin)
{
    table_text(to, key);
    table_text(to, value);
    table_text(to, origin);
}

int run_profile_show(struct invocation *i)
{
    static const struct column columns[] = {
        {"key", COLUMN_TEXT}, {"value", COLUMN_TEXT}, {"origin", COLUMN_TEXT}};
    struct table *t = table_new(i->output, columns, 3);

    session_each(i->session, show_setting, t);
    table_print(t, NULL);
    return EXIT_DONE;
}
