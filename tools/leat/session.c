/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/leat/session.h"

#include "tools/leat/profile.h"
#include "tools/leat/units.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SETTINGS_MAX = 64 };

struct setting {
    char *key;
    char *value;
    const char *origin;
};

struct session {
    const struct output *output;
    struct setting settings[SETTINGS_MAX];
    unsigned count;
    int64_t timeout_ms;
    leat_client *client;
};

static volatile sig_atomic_t interrupted;
static void (*on_interrupt)(void);

/* The first origin that sets a key wins. */
static void set(struct session *s, const char *key, const char *value, const char *origin)
{
    for (unsigned n = 0; n < s->count; n++)
        if (strcmp(s->settings[n].key, key) == 0)
            return;
    if (s->count == SETTINGS_MAX)
        return;
    s->settings[s->count++] = (struct setting){strdup(key), strdup(value), origin};
}

static void set_from_profile(void *to, const char *key, const char *value)
{
    set(to, key, value, "profile");
}

static const char *get(const struct session *s, const char *key)
{
    for (unsigned n = 0; n < s->count; n++)
        if (strcmp(s->settings[n].key, key) == 0)
            return s->settings[n].value;
    return NULL;
}

static int set_from_flags(struct session *s, const struct invocation *i)
{
    if (flag_given(i, "brokers"))
        set(s, "bootstrap.servers", flag_text(i, "brokers", NULL), "flag");
    if (flag_given(i, "timeout"))
        set(s, "timeout", flag_text(i, "timeout", NULL), "flag");
    for (unsigned n = 0; flag_nth(i, "set", n) != NULL; n++) {
        const char *pair = flag_nth(i, "set", n);
        const char *equals = strchr(pair, '=');
        char key[128];

        if (equals == NULL || equals == pair || equals - pair >= (ptrdiff_t)sizeof key)
            return fail(i->output, EXIT_USAGE, "-X %s: write key=value", pair);
        snprintf(key, sizeof key, "%.*s", (int)(equals - pair), pair);
        set(s, key, equals + 1, "-X");
    }
    return EXIT_DONE;
}

static void set_from_environment(struct session *s)
{
    if (getenv("LEAT_BROKERS") != NULL)
        set(s, "bootstrap.servers", getenv("LEAT_BROKERS"), "LEAT_BROKERS");
    if (getenv("LEAT_TIMEOUT") != NULL)
        set(s, "timeout", getenv("LEAT_TIMEOUT"), "LEAT_TIMEOUT");
}

int session_open(struct session **out, struct invocation *i)
{
    struct session *s = calloc(1, sizeof *s);
    const char *profile = flag_text(i, "profile", getenv("LEAT_PROFILE"));
    int code;

    if (s == NULL)
        return fail(i->output, EXIT_REFUSED, "out of memory");
    s->output = i->output;
    code = set_from_flags(s, i);
    if (code == EXIT_DONE) {
        set_from_environment(s);
        code = profile_each(i->output, profile, set_from_profile, s);
    }
    if (code != EXIT_DONE) {
        session_close(s);
        return code;
    }
    set(s, "bootstrap.servers", "127.0.0.1:9092", "built-in");
    set(s, "timeout", "10s", "built-in");
    set(s, "client.id", "leat", "built-in");
    if (!parse_duration(get(s, "timeout"), &s->timeout_ms) || s->timeout_ms < 1 ||
        s->timeout_ms > 3600000) {
        code = fail(i->output, EXIT_USAGE,
                    "timeout '%s': write a duration like 10s or 1m", get(s, "timeout"));
        session_close(s);
        return code;
    }
    *out = s;
    return EXIT_DONE;
}

void session_close(struct session *s)
{
    if (s->client != NULL)
        leat_client_close(s->client, 2000);
    for (unsigned n = 0; n < s->count; n++) {
        free(s->settings[n].key);
        free(s->settings[n].value);
    }
    free(s);
}

leat_conf *session_conf(struct session *s)
{
    leat_conf *conf = leat_conf_new();
    leat_error error;

    if (conf == NULL) {
        fail(s->output, EXIT_REFUSED, "out of memory");
        return NULL;
    }
    for (unsigned n = 0; n < s->count; n++) {
        if (strcmp(s->settings[n].key, "timeout") == 0)
            continue;
        if (leat_conf_set(conf, s->settings[n].key, s->settings[n].value, &error) !=
            LEAT_OK) {
            fail_error(s->output, &error);
            leat_conf_free(conf);
            return NULL;
        }
    }
    return conf;
}

void session_prefer(struct session *s, const char *key, const char *value)
{
    set(s, key, value, "built-in");
}

leat_client *session_client(struct session *s)
{
    leat_error error;
    leat_conf *conf;

    if (s->client != NULL)
        return s->client;
    conf = session_conf(s);
    if (conf == NULL)
        return NULL;
    s->client = leat_client_open(conf, &error);
    leat_conf_free(conf);
    if (s->client == NULL)
        fail_error(s->output, &error);
    return s->client;
}

int session_timeout_ms(const struct session *s)
{
    return (int)s->timeout_ms;
}

const char *session_brokers(const struct session *s)
{
    return get(s, "bootstrap.servers");
}

void session_each(const struct session *s,
                  void (*each)(void *to, const char *key, const char *value,
                               const char *origin),
                  void *to)
{
    for (unsigned n = 0; n < s->count; n++)
        each(to, s->settings[n].key, s->settings[n].value, s->settings[n].origin);
}

static void on_signal(int signal_number)
{
    (void)signal_number;
    if (interrupted)
        _exit(EXIT_INTERRUPTED);
    interrupted = 1;
    if (on_interrupt != NULL)
        on_interrupt();
}

void session_on_interrupt(void (*wake)(void))
{
    struct sigaction action = {.sa_handler = on_signal};

    on_interrupt = wake;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool session_interrupted(void)
{
    return interrupted != 0;
}

int session_confirm(const struct invocation *i, bool *go, const char *plan, ...)
{
    char text[1024], answer[16];
    va_list args;

    va_start(args, plan);
    vsnprintf(text, sizeof text, plan, args);
    va_end(args);
    *go = false;
    if (flag_given(i, "dry-run")) {
        say(i->output, "would: %s", text);
        return EXIT_DONE;
    }
    *go = flag_given(i, "yes");
    if (*go)
        return EXIT_DONE;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return fail(i->output, EXIT_USAGE,
                    "%s: not done without -y, as nobody is here to ask", text);
    fprintf(stderr, "%s. Go on? [y/N] ", text);
    if (fgets(answer, sizeof answer, stdin) != NULL &&
        (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0)) {
        *go = true;
        return EXIT_DONE;
    }
    return fail(i->output, EXIT_USAGE, "nothing was done");
}
