#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator does to a cluster with leat, on real brokers: look, move, elect, drain,
remove; with a broker killed in between, and with everything that can be typed wrong."""
import json
import subprocess
import unittest

from leat_cluster import ClusterTest, Node
from leat_system import clean_environment, program, until

DONE, REFUSED, USAGE, NOT_FOUND, UNMET = 0, 1, 2, 5, 6


class Operator(ClusterTest):
    def begin(self, size=3):
        self.c = self.cluster(size)
        until(self.is_settled, 20, "the brokers' own topic has all of its replicas")

    def is_settled(self):
        rows = {r["topic"]: r for r in self.items("partition", "list")}
        return "__groups" in rows and len(rows["__groups"]["in_sync"]) == 3 and \
            self.items("partition", "moves") == []

    def join(self, node_id):
        """One more broker, that is not among the first controllers."""
        if self.c.network:
            self.c.network.add(node_id)
        node = Node(self.c, node_id)
        self.brokers.append(node)
        self.c.nodes.append(node)
        return node.start()

    def leat(self, *args, code=DONE, says=None):
        """Run it, expect this exit code and, on either stream, these words."""
        done = self.c.leat(*args)
        self.assertEqual(done.returncode, code, f"{args}\n{done.stdout}\n{done.stderr}")
        if says is not None:
            self.assertIn(says, " ".join((done.stdout + done.stderr).split()))
        return done.stdout

    def items(self, *args, code=DONE):
        return json.loads(self.leat(*args, "-o", "json", code=code))["items"]

    def names(self, *args):
        return [f"{r['topic']}/{r['partition']}" for r in self.items("partition", "list", *args)]

    def replicas(self, partition):
        topic, number = partition.split("/")
        return next(r for r in self.c.partitions(topic) if r["partition"] == int(number))["replicas"]

    def homes(self, topic):
        return {broker for row in self.c.partitions(topic) for broker in row["replicas"]}


class Looking(Operator):
    def test_a_sound_cluster(self):
        self.begin()
        self.c.create("t", partitions=3)
        self.leat("cluster", "wait", "--count", "3", "--healthy", "--timeout", "20s",
                  says="3 brokers are active")
        until(lambda: {r["out_of_sync"] for r in self.items("broker", "list")} == {0}, 20)
        self.leat("cluster", "status", says="healthy: ")
        rows = self.items("cluster", "status")
        self.assertEqual([r["node"] for r in rows], [1, 2, 3])
        self.assertEqual(sum(r["controller"] for r in rows), 1)
        self.assertEqual({r["state"] for r in rows}, {"active"})
        self.assertEqual({r["homeless"] for r in rows}, {None}, "nobody drains")
        self.assertEqual(self.items("broker", "list"), rows)
        self.assertEqual(self.items("broker", "describe", "2"), rows[1:2])
        voters = self.items("cluster", "quorum")
        self.assertEqual([(v["node"], v["voter"]) for v in voters], [(n, True) for n in (1, 2, 3)])
        self.assertEqual(sum(v["leader"] for v in voters), 1)
        self.assertEqual(self.names(), ["__groups/0", "t/0", "t/1", "t/2"])
        rows = {r["topic"]: r for r in self.items("partition", "list")}
        self.assertEqual((rows["t"]["min_in_sync"], rows["__groups"]["min_in_sync"]), (2, 2))
        for flag in ("--leaderless", "--under-replicated", "--under-min-isr"):
            self.assertEqual(self.names(flag), [])
        self.assertEqual(self.items("partition", "moves"), [])
        self.leat("partition", "moves", "--watch", says="nothing is being moved")
        self.leat("cluster", "status", "--watch", "--exit-when", "healthy", says="healthy: ")
        line = self.leat("partition", "list", "-o", "tsv").splitlines()[0].split("\t")
        self.assertEqual((line[0], line[-1]), ("__groups", "2"))

    def test_what_is_typed_wrong_is_explained(self):
        self.begin()
        self.c.create("t", partitions=1)
        wrong = (
            (UNMET, "not yet: 3 brokers are active",
             "cluster wait --count 4 --timeout 300ms"),
            (USAGE, "--count", "cluster wait --count none"),
            (USAGE, "healthy", "cluster status --watch --exit-when well"),
            (USAGE, "--watch", "cluster status --exit-when healthy"),
            (USAGE, "--add", "cluster quorum --add x"),
            (REFUSED, "", "cluster quorum --add 9"),
            (REFUSED, "", "cluster quorum --remove 9"),
            (USAGE, "no node id", "broker describe one"),
            (NOT_FOUND, "no broker 9", "broker describe 9"),
            (USAGE, "no node id", "broker drain 0"),
            (REFUSED, "no broker of that id", "broker drain 9"),
            (REFUSED, "no broker of that id", "broker undrain 9"),
            (REFUSED, "no broker of that id", "broker remove 9 -n"),
            (USAGE, "without -y", "broker remove 3"),
            (REFUSED, "still holds replicas", "broker remove 3 -y"),
            (USAGE, "TOPIC/PARTITION", "partition move t --to 1"),
            (USAGE, "--to", "partition move t/0"),
            (USAGE, "--to", "partition move t/0 --to 1,,2"),
            (REFUSED, "not registered", "partition move t/0 --to 1,9"),
            (REFUSED, "named twice", "partition move t/0 --to 1,1"),
            (REFUSED, "no such partition", "partition move t/7 --to 1"),
            (REFUSED, "not being moved", "partition cancel t/0"),
            (USAGE, "--all", "partition cancel"),
            (DONE, "nothing to do", "partition cancel --all"),
            (REFUSED, "leads already", "partition elect t/0"),
            (REFUSED, "no such partition", "partition elect none/0"),
            (USAGE, "without -y", "partition elect t/0 --unclean"),
            (REFUSED, "has a leader", "partition elect t/0 --unclean -y"),
            (USAGE, "--node", "cluster format"),
            (USAGE, "two nodes", "cluster format --node 1@a:1 --node 1@b:1"),
        )
        for code, words, line in wrong:
            with self.subTest(line):
                self.leat(*line.split(), code=code, says=words)
        answer = json.loads(self.leat("broker", "drain", "9", "-o", "json", code=REFUSED))
        self.assertIn("no broker of that id", answer["error"]["message"])

    def test_a_new_cluster_is_written_once(self):
        self.begin()
        words = ("cluster", "format", "--node", "1@a:9092", "--node", "2@b:9092", "--out",
                 f"{self.directory}/new")
        self.leat(*words, says="wait --count 2 -b a:9092")
        self.leat(*words, code=REFUSED, says="exists")


class Trouble(Operator):
    def test_a_killed_broker_is_told_and_missed(self):
        self.begin()
        for topic, replicas, minimum in (("three", 3, 2), ("two", 2, 2), ("one", 1, 1)):
            self.c.create(topic, partitions=3, replication=replicas,
                          **{"min.insync.replicas": str(minimum)})
        until(lambda: self.names("--under-replicated") == [], 20, "all in sync")
        where = {t: [f"{t}/{r['partition']}" for r in self.c.partitions(t) if 2 in r["replicas"]]
                 for t in ("three", "two", "one")}
        self.c.node(2).kill()
        until(lambda: self.c.json("broker", "describe", "2")["items"][0]["state"] == "fenced",
              15, "broker 2 fenced")
        self.leat("cluster", "status", code=UNMET, says="unhealthy: ")
        self.leat("cluster", "status", code=UNMET, says="broker 2 is silent: start it")
        self.leat("cluster", "status", code=UNMET, says="leat partition list --under-min-isr")
        self.assertEqual(self.names("--leaderless"), where["one"])
        self.assertEqual(sorted(self.names("--under-min-isr")), sorted(where["one"] + where["two"]))
        self.assertTrue(set(where["three"] + where["two"]) <= set(self.names("--under-replicated")))
        self.leat("cluster", "wait", "--count", "3", "--timeout", "300ms", code=UNMET,
                  says="2 brokers are active")

        # A move to it cannot go on, and is taken back.
        moving = next(p for p in (f"one/{n}" for n in range(3)) if p not in where["one"])
        home = self.replicas(moving)
        self.leat("partition", "move", moving, "--to", "2", "-n", says="could be done")
        self.assertEqual(self.items("partition", "moves"), [])
        self.leat("partition", "move", moving, "--to", "2", says="moving")
        (row,) = self.items("partition", "moves")
        self.assertEqual((row["adding"], row["removing"]), ([2], home))
        self.leat("partition", "cancel", "--all", says="cancelled the move of")
        self.assertEqual((self.replicas(moving), self.items("partition", "moves")), (home, []))

        self.c.node(2).start()
        told = self.leat("cluster", "status", "--watch", "--exit-when", "healthy", "--no-header")
        lines = told.splitlines()
        self.assertIn("healthy: ", lines[-1])
        self.assertEqual(len(lines), len(set(lines)), "only what has changed is told again")
        for flag in ("--leaderless", "--under-replicated", "--under-min-isr"):
            self.assertEqual(self.names(flag), [])

    def test_leaderships_go_home_when_asked(self):
        self.begin()
        self.c.create("t", partitions=1)
        self.c.node(self.c.leaders("t")[0]).restart()
        first = self.replicas("t/0")[0]
        until(lambda: self.c.in_sync("t"), 20, "in sync")
        self.assertNotEqual(self.c.leaders("t")[0], first)
        self.leat("partition", "elect", "t/0", says=f"elected a leader for t/0 (leader {first})")
        self.assertEqual(self.c.leaders("t")[0], first)


class Leaving(Operator):
    def test_a_drain_without_room_says_so(self):
        self.begin()
        self.c.create("t", partitions=2)
        why = "have nowhere to go"
        self.leat("broker", "drain", "3", "-n", code=UNMET, says=why)
        self.assertFalse(self.items("broker", "describe", "3")[0]["draining"])
        self.leat("broker", "drain", "3", code=UNMET, says="3 of them " + why)
        self.leat("broker", "drain", "3", "--watch", code=UNMET, says="leat broker undrain 3")
        self.leat("cluster", "status", says="broker 3 is being drained, but 3 of its replicas")
        row = self.items("broker", "describe", "3")[0]
        self.assertEqual((row["draining"], row["homeless"]), (True, 3))
        self.leat("broker", "undrain", "3", says="undrained broker 3")
        self.assertFalse(self.items("broker", "describe", "3")[0]["draining"])

    def test_a_lost_broker_is_replaced(self):
        self.begin()
        self.c.create("t", partitions=4)
        self.c.node(2).kill()
        self.join(4)
        self.leat("broker", "drain", "2", "--watch", says="broker 2 holds nothing any more")
        self.assertEqual(self.homes("t"), {1, 3, 4})
        self.leat("cluster", "quorum", "--add", "4", says="have got broker 4")
        self.leat("cluster", "quorum", "--remove", "2", says="have lost broker 2")
        self.leat("broker", "remove", "2", "-y", says="removed broker 2")
        self.leat("cluster", "status", "--watch", "--exit-when", "healthy")
        self.assertEqual([v["node"] for v in self.items("cluster", "quorum") if v["voter"]],
                         [1, 3, 4])

    def test_a_broker_leaves_for_good(self):
        self.begin(size=4)
        self.c.create("t", partitions=8)
        self.leat("cluster", "wait", "--count", "4", "--healthy", "--timeout", "20s")
        self.assertIn(4, self.homes("t"))
        self.leat("broker", "drain", "4", "-n", says="would move away")
        self.leat("broker", "drain", "4", "--watch", says="broker 4 holds nothing any more")
        self.assertEqual(self.homes("t"), {1, 2, 3})
        self.leat("broker", "remove", "4", "-y", code=REFUSED,
                  says="leat cluster quorum --remove")
        self.leat("cluster", "quorum", "--remove", "4", says="lost broker 4")
        self.leat("broker", "remove", "4", "-y", code=REFUSED, says="stop it first")
        removal = subprocess.Popen(
            [program("leat"), "broker", "remove", "4", "-y", "--watch"], text=True,
            stdout=subprocess.PIPE, env=clean_environment(LEAT_BROKERS=self.c.node(1).listen))
        self.addCleanup(removal.kill)
        self.assertIn("broker 4 is active", removal.stdout.readline())
        self.leat("broker", "describe", "4")
        self.assertEqual(self.c.node(4).stop(), 0)
        rest = removal.communicate(timeout=30)[0]
        self.assertIn("removed broker 4", rest)
        self.assertEqual(removal.returncode, DONE)
        self.leat("broker", "describe", "4", code=NOT_FOUND)
        self.leat("broker", "remove", "4", "-y", "--watch", code=NOT_FOUND)
        self.leat("cluster", "wait", "--count", "3", "--healthy", "--timeout", "20s")


if __name__ == "__main__":
    unittest.main(verbosity=2)
