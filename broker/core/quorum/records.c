/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/quorum/records.h"

#include "proto/base/check.h"
#include "proto/rpc/metadata.pb-c.h"

#include <string.h>

/* A record holds exactly one kind, so its first byte tells which: field 10 of type
 * "message" is Voters. */
enum { VOTERS_TAG = 10 << 3 | 2 };

bool endpoint_from(const char *host, uint32_t port, struct endpoint *out)
{
    size_t len = strlen(host);

    if (len == 0 || len >= ENDPOINT_HOST || port == 0 || port > UINT16_MAX)
        return false;
    memset(out, 0, sizeof *out);
    memcpy(out->host, host, len);
    out->port = (uint16_t)port;
    return true;
}

static bool voter_from(const Leat__Metadata__Voter *v, struct voter *out)
{
    struct bytes directory = {v->directory_id.data, v->directory_id.len};

    *out = (struct voter){.node_id = v->node_id};
    return v->node_id > 0 && uuid_from(directory, &out->directory) &&
           !uuid_is_zero(out->directory) && endpoint_from(v->host, v->port, &out->at);
}

size_t voters_unpack(struct bytes record, struct voter out[static RAFT_VOTERS_MAX])
{
    Leat__Metadata__Record *r;
    size_t count = 0;

    if (record.len == 0 || record.data[0] != VOTERS_TAG)
        return 0;
    r = leat__metadata__record__unpack(NULL, record.len, record.data);
    if (r == NULL)
        return 0;
    if (r->kind_case == LEAT__METADATA__RECORD__KIND_VOTERS &&
        r->voters->n_voters <= RAFT_VOTERS_MAX) {
        while (count < r->voters->n_voters &&
               voter_from(r->voters->voters[count], &out[count]))
            count++;
        if (count < r->voters->n_voters)
            count = 0;
    }
    leat__metadata__record__free_unpacked(r, NULL);
    return count;
}

static void pack(struct writer *out, const Leat__Metadata__Record *r)
{
    uint8_t *at = write_reserve(out, leat__metadata__record__get_packed_size(r));

    if (at != NULL)
        leat__metadata__record__pack(r, at);
}

void voters_pack(struct writer *out, const struct voter *voters, size_t count)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__Voters all = LEAT__METADATA__VOTERS__INIT;
    Leat__Metadata__Voter list[RAFT_VOTERS_MAX];
    Leat__Metadata__Voter *pointers[RAFT_VOTERS_MAX];

    CHECK(count <= RAFT_VOTERS_MAX);
    for (size_t i = 0; i < count; i++) {
        leat__metadata__voter__init(&list[i]);
        list[i].node_id = voters[i].node_id;
        list[i].directory_id = (ProtobufCBinaryData){
            UUID_BYTES, (uint8_t *)(uintptr_t)voters[i].directory.id};
        list[i].host = (char *)(uintptr_t)voters[i].at.host;
        list[i].port = voters[i].at.port;
        pointers[i] = &list[i];
    }
    all.voters = pointers;
    all.n_voters = count;
    r.kind_case = LEAT__METADATA__RECORD__KIND_VOTERS;
    r.voters = &all;
    pack(out, &r);
}

void leader_change_pack(struct writer *out, int32_t leader, int32_t epoch)
{
    Leat__Metadata__Record r = LEAT__METADATA__RECORD__INIT;
    Leat__Metadata__LeaderChange change = LEAT__METADATA__LEADER_CHANGE__INIT;

    change.leader_id = leader;
    change.epoch = epoch;
    r.kind_case = LEAT__METADATA__RECORD__KIND_LEADER_CHANGE;
    r.leader_change = &change;
    pack(out, &r);
}
