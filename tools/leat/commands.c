/* SPDX-License-Identifier: Apache-2.0
 *
 * The command table. Letters mean the same everywhere: -g group, -c count or
 * configuration, -p partitions, -O offset, -K separator, -H header, -f format or file. */
#include "tools/leat/command.h"
#include "tools/leat/run.h"

#define FLAGS(...)        \
    (const struct flag[]) \
    {                     \
        __VA_ARGS__,      \
        {                 \
            0             \
        }                 \
    }

#define TOPIC_FLAG                                                                  \
    {                                                                               \
        't', "topic", "TOPIC[:P,...]", "only this topic, or these partitions", true \
    }
#define WATCH_FLAG                                         \
    {                                                      \
        0, "watch", NULL, "look again every second", false \
    }
#define BENCH_FLAGS                                                                    \
    {0, "topic", "TOPIC", "topic to use (default: one that is made and deleted)",      \
     false},                                                                           \
        {'s', "size", "BYTES", "size of a record's value, default 100", false},        \
        {'d', "duration", "DURATION", "how long to measure, default 5s", false},       \
        {'p', "partitions", "N", "partitions of a topic that is made, default 1",      \
         false},                                                                       \
    {                                                                                  \
        0, "data", "DIR", "directory for the disk probe: put it on the broker's disk", \
            false                                                                      \
    }

const struct command commands[] = {
    {"produce", NULL, "TOPIC", 1, 1, "publish lines from stdin or a file",
     "Each line is one record. Ends with exit code 0 only when every line was\n"
     "acknowledged.",
     "  echo 'a:first' | leat produce orders -K :\n"
     "  leat produce events --file events.jsonl -z lz4",
     FLAGS({'f', "file", "PATH", "read lines from this file instead of stdin", false},
           {'K', "key-separator", "SEP", "the key is what stands before the first SEP",
            false},
           {'k', "key", "KEY", "the same key for all records", false},
           {'H', "header", "NAME:VALUE", "a header for all records", true},
           {'p', "partition", "N", "the partition; default: by key, else any", false},
           {0, "acks", "all|leader|none", "what counts as acknowledged, default all",
            false},
           {'z', "compression", "none|lz4", "compress batches", false},
           {0, "tombstone", NULL, "an empty value is no value (a deletion)", false},
           {0, "linger", "DURATION", "how long a batch waits for more, default 5ms",
            false}),
     run_produce, false},
    {"consume", NULL, "TOPIC...", 1, ARGUMENTS_ANY, "print records",
     "Prints one value a line. With -g the offsets of what was printed are committed "
     "before\n"
     "it ends. Format: %t topic, %p partition, %o offset, %k key, %v value, %h headers,\n"
     "%T time (RFC 3339), %d time (ms), %s size of the value, %% a percent sign, \\n "
     "\\t.",
     "  leat consume orders -e -f '%p %o %k=%v\\n'\n"
     "  leat consume orders -O @-1h -c 10\n"
     "  leat consume orders -g billing",
     FLAGS({'g', "group", "GROUP", "as a member of this group", false},
           {'p', "partition", "N", "only this partition", true},
           {'O', "offset", "WHERE",
            "earliest, latest, OFFSET, +N, -N (from the start, before the end), @TIME",
            false},
           {'c', "count", "N", "end after so many records", false},
           {'e', "exit", NULL, "end at the end of the topic", false},
           {'f', "format", "FORMAT", "how a record is printed", false},
           {0, "idle", "DURATION", "end when no record came for so long", false}),
     run_consume, false},

    {"topic", "list", "[GLOB]", 0, 1, "list topics", NULL, NULL,
     FLAGS({0, "internal", NULL, "the broker's own topics as well", false}),
     run_topic_list, false},
    {"topic", "describe", "TOPIC...", 1, ARGUMENTS_ANY, "partitions, sizes and settings",
     NULL, NULL,
     FLAGS({'c', "config", NULL, "the settings instead of the partitions", false}),
     run_topic_describe, false},
    {"topic", "create", "TOPIC...", 1, ARGUMENTS_ANY, "create topics", NULL,
     "  leat topic create payments -p 12 -c retention.ms=7d",
     FLAGS({'p', "partitions", "N", "number of partitions; default: the broker's", false},
           {'r', "replication", "N", "number of replicas; default: the broker's", false},
           {'c', "config", "KEY=VALUE", "a setting (leat topic options)", true},
           {0, "if-missing", NULL, "a topic that exists already is fine", false}),
     run_topic_create, false},
    {"topic", "set", "TOPIC KEY=VALUE...", 2, ARGUMENTS_ANY, "change settings", NULL,
     "  leat topic set payments retention.ms=1d", NULL, run_topic_set, false},
    {"topic", "unset", "TOPIC KEY...", 2, ARGUMENTS_ANY,
     "settings back to their defaults", NULL, NULL, NULL, run_topic_unset, false},
    {"topic", "grow", "TOPIC", 1, 1, "add partitions",
     "Records with a key may then go to another partition than before.", NULL,
     FLAGS({'p', "partitions", "N", "the new total", false}), run_topic_grow, false},
    {"topic", "delete", "TOPIC...", 1, ARGUMENTS_ANY, "delete topics and their records",
     NULL, NULL,
     FLAGS({0, "if-exists", NULL, "a topic that is not there is fine", false}),
     run_topic_delete, false},
    {"topic", "trim", "TOPIC", 1, 1, "give up old records", NULL,
     "  leat topic trim payments --before @-7d",
     FLAGS({0, "before", "OFFSET|@TIME|latest", "records before this go", false},
           {'p', "partition", "N", "only this partition", true}),
     run_topic_trim, false},
    {"topic", "options", "[KEY]", 0, 1, "what can be set on a topic", NULL, NULL, NULL,
     run_topic_options, false},

    {"group", "list", "[GLOB]", 0, 1, "list consumer groups", NULL, NULL, NULL,
     run_group_list, false},
    {"group", "describe", "GROUP", 1, 1, "members, or offsets and lag", NULL, NULL,
     FLAGS({'m', "members", NULL, "the members instead of the offsets", false},
           WATCH_FLAG),
     run_group_describe, false},
    {"group", "lag", "[GROUP]", 0, 1, "who is behind, by how much", NULL, NULL,
     FLAGS({0, "over", "N", "only what is more than N records behind", false}),
     run_group_lag, false},
    {"group", "reset", "GROUP", 1, 1, "move committed offsets",
     "The group must have no members. The offsets from before are saved in a file that\n"
     "--file takes back.",
     "  leat group reset billing --to @2026-11-22T08:00:00Z -n\n"
     "  leat group reset billing --file billing-20261123T061200Z.tsv",
     FLAGS({0, "to", "earliest|latest|OFFSET|@TIME", "where to", false},
           {0, "shift", "N", "so many records forward, or back when negative", false},
           {'f', "file", "PATH", "to the offsets in this file", false}, TOPIC_FLAG),
     run_group_reset, false},
    {"group", "delete", "GROUP...", 1, ARGUMENTS_ANY, "forget groups and their offsets",
     NULL, NULL, NULL, run_group_delete, false},

    {"cluster", "status", "", 0, 0, "brokers, what is wrong, and what to do",
     "Ends with exit code 6 when partitions have no leader or nobody is the controller.",
     "  leat cluster status --watch --exit-when healthy",
     FLAGS(WATCH_FLAG, {0, "exit-when", "healthy",
                        "end the watch when nothing is wrong any more", false}),
     run_cluster_status, false},
    {"cluster", "wait", "", 0, 0, "wait until brokers are up",
     "Ends with exit code 6 when --timeout is over.",
     "  leat cluster wait --count 3 --healthy --timeout 30s",
     FLAGS({0, "count", "N", "so many brokers are active, default 1", false},
           {0, "healthy", NULL, "and every replica is in sync", false}),
     run_cluster_wait, false},
    {"cluster", "quorum", "", 0, 0, "who votes about the metadata", NULL,
     "  leat cluster quorum\n  leat cluster quorum --add 4",
     FLAGS({0, "add", "ID", "make this broker a voter", false},
           {0, "remove", "ID", "take this voter out", false}),
     run_cluster_quorum, false},
    {"cluster", "format", "", 0, 0, "write the secret and settings of a new cluster",
     NULL,
     "  leat cluster format --node 1@a:9092 --node 2@b:9092 --node 3@c:9092 --out "
     "cluster",
     FLAGS({0, "node", "ID@HOST:PORT", "a broker, as the others reach it", true},
           {0, "out", "DIR", "where to write, default here", false},
           {0, "secret-path", "PATH",
            "where the secret will lie on the hosts, default /etc/leatd/cluster.secret",
            false}),
     run_cluster_format, true},
    {"broker", "list", "", 0, 0, "the brokers of the cluster", NULL, NULL, NULL,
     run_broker_list, false},
    {"broker", "describe", "ID", 1, 1, "one broker", NULL, NULL, NULL,
     run_broker_describe, false},
    {"broker", "drain", "ID", 1, 1, "move everything away from a broker",
     "Its replicas move to other brokers, a few at a time, and no new ones come. Ends\n"
     "with exit code 6 when some of them have nowhere to go.",
     "  leat broker drain 3 --watch",
     FLAGS({0, "watch", NULL, "stay until nothing is left on it", false}),
     run_broker_drain, false},
    {"broker", "undrain", "ID", 1, 1, "let a broker have replicas again", NULL, NULL,
     NULL, run_broker_undrain, false},
    {"broker", "remove", "ID", 1, 1, "forget a broker that is down and empty",
     "Drain it first; if it votes ('leat cluster quorum'), take it out of that; stop it.",
     "  leat broker drain 3 --watch && leat cluster quorum --remove 3\n"
     "  leat broker remove 3 --watch",
     FLAGS({0, "watch", NULL,
            "say what still keeps it, and remove it as soon as nothing does", false}),
     run_broker_remove, false},
    {"partition", "list", "", 0, 0, "where all partitions are", NULL, NULL,
     FLAGS({0, "leaderless", NULL, "only those without a leader", false},
           {0, "under-replicated", NULL, "only those with replicas out of sync", false},
           {0, "under-min-isr", NULL, "only those that refuse acks=all", false}),
     run_partition_list, false},
    {"partition", "move", "TOPIC/P", 1, 1, "put a partition on other brokers",
     "The first broker named is the preferred leader.",
     "  leat partition move orders/3 --to 2,3,4",
     FLAGS({0, "to", "ID,ID,...", "the brokers", false}), run_partition_move, false},
    {"partition", "moves", "", 0, 0, "partitions that are being moved", NULL, NULL,
     FLAGS({0, "watch", NULL, "stay until nothing is being moved", false}),
     run_partition_moves, false},
    {"partition", "cancel", "[TOPIC/P]", 0, 1, "leave a partition where it was", NULL,
     NULL, FLAGS({0, "all", NULL, "every move under way", false}), run_partition_cancel,
     false},
    {"partition", "elect", "[TOPIC/P]", 0, 1, "let preferred replicas lead",
     "With --unclean, where there is no leader, any replica that is up: records that "
     "only "
     "the\nothers have are lost.",
     NULL,
     FLAGS({0, "preferred", NULL, "the first replica, if it is in sync (default)", false},
           {0, "unclean", NULL, "any replica that is up", false}),
     run_partition_elect, false},
    {"config", "list", "[GLOB]", 0, 1, "the broker's settings", NULL, NULL,
     FLAGS({0, "changed", NULL, "only those that differ from their default", false}),
     run_config_list, false},
    {"config", "get", "KEY", 1, 1, "one setting, its origin and meaning", NULL, NULL,
     NULL, run_config_get, false},
    {"config", "set", "KEY=VALUE...", 1, ARGUMENTS_ANY, "change settings while running",
     NULL, NULL, NULL, run_config_set, false},
    {"config", "unset", "KEY...", 1, ARGUMENTS_ANY, "take such changes back", NULL, NULL,
     NULL, run_config_unset, false},

    {"explain", "topic", "TOPIC[/P]", 1, 1, "say in sentences how a topic is doing", NULL,
     NULL, NULL, run_explain_topic, false},
    {"explain", "group", "GROUP", 1, 1, "say in sentences how a group is doing", NULL,
     NULL, NULL, run_explain_group, false},

    {"bench", "produce", "", 0, 0, "measure publishing",
     "Prints, besides the result, what the disk and the loopback can do at best, "
     "measured in\n"
     "the same run, and the ratio to that.",
     "  leat bench produce --in-flight 1\n  leat bench produce -s 1K -p 100",
     FLAGS(BENCH_FLAGS,
           {0, "in-flight", "N",
            "1: one record at a time, for latency; default: as many as fit", false},
           {0, "batch", "BYTES", "bytes in a batch, default 64K", false},
           {'z', "compression", "none|lz4", "compress batches", false},
           {0, "acks", "all|leader|none", "default all", false},
           {0, "records", "N", "so many records instead of a duration", false},
           {0, "keep", NULL, "do not delete the topic that was made", false}),
     run_bench_produce, false},
    {"bench", "consume", "", 0, 0, "measure reading", NULL, NULL,
     FLAGS(BENCH_FLAGS,
           {0, "records", "N", "how many records to write first and read", false}),
     run_bench_consume, false},
    {"bench", "e2e", "", 0, 0, "measure from producer to consumer", NULL, NULL,
     FLAGS(BENCH_FLAGS, {0, "rate", "N", "records per second, default 1000", false}),
     run_bench_e2e, false},

    {"log", "dump", "PATH...", 1, ARGUMENTS_ANY,
     "print what a segment or log directory holds",
     "Reads files, not a broker; changes nothing.", NULL,
     FLAGS({0, "records", NULL, "every record, not only the batches", false},
           {'c', "count", "N", "end after so many batches", false}),
     run_log_dump, true},
    {"log", "verify", "PATH...", 1, ARGUMENTS_ANY,
     "check every batch of segments or a data directory",
     "Exit code 1 when something is damaged. Changes nothing.", NULL, NULL,
     run_log_verify, true},

    {"profile", "list", "", 0, 0, "list profiles", NULL, NULL, NULL, run_profile_list,
     true},
    {"profile", "create", "NAME [KEY=VALUE...]", 1, ARGUMENTS_ANY,
     "make or replace a profile", NULL,
     "  leat profile create prod bootstrap.servers=b1:9092,b2:9092", NULL,
     run_profile_create, true},
    {"profile", "use", "NAME", 1, 1, "use a profile from now on", NULL, NULL, NULL,
     run_profile_use, true},
    {"profile", "show", "", 0, 0, "the settings in force and where they come from", NULL,
     NULL, NULL, run_profile_show, true},
    {"profile", "delete", "NAME", 1, 1, "delete a profile", NULL, NULL, NULL,
     run_profile_delete, true},

    {"completion", NULL, "bash", 1, 1, "print the shell's completion script", NULL,
     "  source <(leat completion bash)", NULL, run_completion, true},
    {"man", NULL, "", 0, 0, "print the man page (leat man | man -l -)", NULL, NULL, NULL,
     run_man, true},
    {"help", NULL, "[NOUN [VERB]]", 0, 2, "this help, or a command's", NULL, NULL,
     FLAGS({0, "json", NULL, "the whole command table, for programs", false}), run_help,
     true},
    {"version", NULL, "", 0, 0, "the version of this tool", NULL, NULL, NULL, run_version,
     true},
    {"__complete", NULL, "topics|groups", 1, 1, "names for the shell's completion", NULL,
     NULL, NULL, run_complete, false},
    {0},
};
