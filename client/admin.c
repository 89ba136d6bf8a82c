/* SPDX-License-Identifier: Apache-2.0 */
#include "client/admin.h"

#include "proto/base/check.h"

#include <stdio.h>
#include <string.h>

enum { GRACE_MS = 100 };

int admin_begin(struct admin *a, leat_client *client, leat_error *error)
{
    *a = (struct admin){.client = client};
    arena_init(&a->arena, 0);
    if (client == NULL)
        return error_set(error, LEAT_E_INVALID_ARGUMENT, NULL, "client");
    return client_check(client, error);
}

int admin_end(struct admin *a, int code)
{
    arena_release(&a->arena);
    if (code != LEAT_OK)
        leat_reply_free(a->reply);
    return code;
}

void *admin_alloc(struct admin *a, size_t count, size_t size)
{
    void *p = NULL;
    size_t bytes;

    if (!__builtin_mul_overflow(count > 0 ? count : 1, size, &bytes))
        p = arena_zalloc(&a->arena, bytes);
    if (p == NULL)
        a->out_of_memory = true;
    return p;
}

static void on_done(struct call *call, const struct answer *answer)
{
    struct admin *a = container_of(call, struct admin, call);
    enum status st = answer->status;

    snprintf(a->text, sizeof a->text, "%s", answer->text);
    if (!st && a->take != NULL) {
        st = a->take(a, answer->message);
        if (st && call_again(call, st))
            return;
    }
    if (answer->sent && (int)answer->status < 0)
        snprintf(a->text, sizeof a->text, "the answer was lost; it may have been done");
    a->status = st;
    a->finished = true;
}

static bool is_finished(void *admin)
{
    return ((const struct admin *)admin)->finished;
}

static enum status start(struct admin *a, enum rpc_api api, const ProtobufCMessage *m,
                         int64_t deadline_ms)
{
    struct call wanted = a->call;
    enum status st = call_init(&a->call, &a->client->cluster, on_done);

    if (st)
        return st;
    a->call.target = wanted.target;
    a->call.node = wanted.node;
    a->call.repeat = wanted.repeat;
    a->call.group = wanted.group;
    a->finished = false;
    st = call_start(&a->call, api, m, deadline_ms);
    if (st)
        call_release(&a->call);
    return st;
}

int admin_ask(struct admin *a, enum rpc_api api, const ProtobufCMessage *m,
              admin_take_fn *take, int timeout_ms, leat_error *error, const char *where)
{
    struct engine *e = &a->client->engine;
    int64_t deadline_ms = engine_deadline(timeout_ms);
    enum status st = STATUS_NO_MEMORY;

    a->take = take;
    if (!a->out_of_memory) {
        engine_lock(e);
        st = start(a, api, m, deadline_ms);
        engine_unlock(e);
    }
    if (st)
        return error_set(error, (int)st, NULL, "%s", where);
    /* The call ends at its deadline by itself, and knows why, unless our thread is stuck
     * in a name lookup. */
    engine_wait_for(e, is_finished, a,
                    deadline_ms < INT64_MAX - GRACE_MS ? deadline_ms + GRACE_MS
                                                       : deadline_ms);
    engine_lock(e);
    call_release(&a->call);
    engine_unlock(e);
    if (!a->finished)
        a->status = STATUS_TIMED_OUT;
    if (a->status)
        return error_set(error, (int)a->status, a->text, "%s", where);
    return error_clear(error);
}

bool admin_settings(struct admin *a, const leat_setting *settings, size_t count,
                    struct admin_settings *out)
{
    *out = (struct admin_settings){
        .set = admin_alloc(a, count, sizeof out->set[0]),
        .unset = admin_alloc(a, count, sizeof out->unset[0]),
    };
    for (size_t i = 0; i < count && !a->out_of_memory; i++) {
        Leat__ConfigEntry *entry;

        if (settings[i].key == NULL)
            return false;
        if (settings[i].value == NULL) {
            out->unset[out->unset_count++] = (char *)settings[i].key;
            continue;
        }
        entry = admin_alloc(a, 1, sizeof *entry);
        if (entry == NULL)
            return true;
        *entry = (Leat__ConfigEntry)LEAT__CONFIG_ENTRY__INIT;
        entry->key = (char *)settings[i].key;
        entry->value = (char *)settings[i].value;
        out->set[out->set_count++] = entry;
    }
    return true;
}
