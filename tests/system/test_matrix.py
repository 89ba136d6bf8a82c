#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clusters of real processes through power losses, broken disks and operators' changes, all
under load; the client of test_cluster.py checks that nothing acknowledged is missing, twice,
or out of order. Row numbers are those of the reliability plan."""
import os
import pathlib
import subprocess
import time
import unittest

from leat_cluster import CHANCE, ClusterTest
from leat_disk import disks_for
from leat_system import clean_environment, program, until

SECONDS = int(os.environ.get("LEAT_CLUSTER_SECONDS", "12"))
PARTITIONS = 6


class Matrix(ClusterTest):
    def begin(self, size=3, topic="torture", seconds=SECONDS, **options):
        cluster = self.cluster(size, **options)
        cluster.create(topic, PARTITIONS)
        return cluster, self.torture(cluster, topic, PARTITIONS, seconds)

    def end(self, cluster, client, topic="torture"):
        result = self.verdict(client)
        until(lambda: cluster.in_sync(topic), 60, "every replica in sync again")
        return result


class Power(Matrix):
    def power_cluster(self):
        """Brokers whose data directories lie on disks of their own."""
        self.disks = disks_for(self, 3)
        return self.begin()

    def disk(self, node):
        return self.disks[node.id - 1]

    def lose(self, *nodes):
        for node in nodes:
            self.disk(node).lose_power()
        for node in nodes:
            node.kill()
        for node in nodes:
            self.disk(node).come_back()
        for node in nodes:
            node.launch()
        for node in nodes:
            node.wait_ready()

    def test_power_losses(self):
        """R7: one broker, two, all three at once; what was not synced is gone."""
        cluster, client = self.power_cluster()
        for count in (1, 2, 3):
            self.wait_or_end(client, 1.5)
            self.lose(*CHANCE.sample(cluster.nodes, count))
            until(lambda: cluster.in_sync("torture"), 60, "in sync after a power loss")
        self.end(cluster, client)

    def test_a_disk_that_fails_ends_its_broker(self):
        """R8: writes and syncs fail; the broker gives up at once, and acknowledges nothing."""
        cluster, client = self.power_cluster()
        self.wait_or_end(client, 2)
        node = CHANCE.choice(cluster.nodes)
        self.disk(node).lose_power()
        began = time.monotonic()
        self.assertNotEqual(node.wait(20), 0)
        print(f"gave up after {1000 * (time.monotonic() - began):.0f} ms")
        self.assertTrue(any(e["level"] == "error" for e in node.events()), node.log())
        self.disk(node).come_back()
        node.start()
        self.end(cluster, client)


class Changes(Matrix):
    def shaken(self, cluster, client, change, seconds=SECONDS - 3):
        """Repeat `change` while brokers are killed and come back."""
        began, changes = time.monotonic(), 0
        while time.monotonic() - began < seconds and client.poll() is None:
            node = CHANCE.choice(cluster.nodes)
            node.kill()
            change()
            self.wait_or_end(client, CHANCE.uniform(0.2, 2))
            node.start()
            change()
            changes += 2
            self.wait_or_end(client, CHANCE.uniform(0.2, 1))
        print(f"{changes} changes")

    def test_partitions_move(self):
        """R14: onto other brokers and back, cancelled half way, while brokers die."""
        cluster, client = self.begin(size=4)

        def move():
            for partition in range(PARTITIONS):
                target = ",".join(str(n) for n in CHANCE.sample(range(1, 5), 3))
                cluster.leat("partition", "move", f"torture/{partition}", "--to", target)
            if CHANCE.random() < 0.3:
                cluster.leat("partition", "cancel", "--all", "-y")

        self.shaken(cluster, client, move)
        self.verdict(client)
        until(lambda: cluster.json("partition", "moves")["items"] == [], 90, "all moves done")
        until(lambda: cluster.in_sync("torture"), 60, "every replica in sync again")

    def test_voters_come_and_go(self):
        """R15: the quorum changes its members while these are killed."""
        cluster, client = self.begin(size=4)

        def voters():
            return [v["node"] for v in cluster.json("cluster", "quorum")["items"] if v["voter"]]

        def change():
            done = cluster.leat("cluster", "quorum", "-o", "json", "--timeout", "5s")
            who = str(CHANCE.randint(1, 4))
            if done.returncode == 0:
                cluster.leat("cluster", "quorum", "--add" if CHANCE.random() < 0.6 else "--remove",
                             who, "-y", "--timeout", "3s")

        self.shaken(cluster, client, change)
        self.verdict(client)
        until(lambda: cluster.in_sync("torture"), 60, "every replica in sync again")
        self.assertGreaterEqual(len(voters()), 1)
        until(lambda: cluster.leat("cluster", "wait", "--count", "4").returncode == 0, 60,
              "all four brokers active")
        leaders = [v["node"] for v in cluster.json("cluster", "quorum")["items"] if v["leader"]]
        self.assertEqual(len(leaders), 1)

    def test_a_name_is_used_again(self):
        """R16: delete and create the same topic; nothing of an earlier life shows."""
        cluster, client = self.begin()
        for life in range(8):
            cluster.create("again", 3)
            lines = "".join(f"{life}:{n}\n" for n in range(2000))
            cluster.ask("produce", "again", input=lines)
            seen = cluster.ask("consume", "again", "-e", "-f", "%v\\n").split()
            self.assertEqual(sorted(seen), sorted(lines.split()), f"life {life}")
            if life % 3 == 1:
                node = CHANCE.choice(cluster.nodes)
                node.kill()
                cluster.ask("topic", "delete", "again", "-y")
                node.start()
            else:
                cluster.ask("topic", "delete", "again", "-y")
        self.end(cluster, client)


class Groups(Matrix):
    RECORDS = 6000

    def member(self, cluster, seen):
        return subprocess.Popen(
            [program("leat"), "consume", "work", "-g", "crew", "-f", "%v\\n",
             "-X", "session.timeout.ms=6s"], stdout=seen, stderr=subprocess.DEVNULL,
            env=clean_environment(LEAT_BROKERS=cluster.addresses))

    def dismiss(self, members):
        for member in members:
            member.kill()
            member.wait()

    def test_members_come_and_go(self):
        """R17: members and coordinators are killed; every record is worked on."""
        cluster, client = self.begin()
        cluster.create("work", 3)
        path = pathlib.Path(self.directory) / "seen"
        with open(path, "ab") as seen:
            members = [self.member(cluster, seen) for _ in range(3)]
            self.addCleanup(self.dismiss, members)
            for part in range(6):
                lines = "".join(f"{n}\n" for n in range(part * 1000, part * 1000 + 1000))
                cluster.ask("produce", "work", input=lines)
                victim = CHANCE.randrange(3)
                self.dismiss([members[victim]])
                members[victim] = self.member(cluster, seen)
                if part % 2 == 1:
                    node = cluster.node(cluster.leaders("__groups")[0])
                    node.kill()
                    self.wait_or_end(client, 1)
                    node.start()
            wanted = {str(n) for n in range(self.RECORDS)}
            until(lambda: wanted <= set(path.read_text().split()), 90, "every record seen")
        print(f"{len(path.read_text().split()) - self.RECORDS} records were seen again")
        self.end(cluster, client)


class Loss(Matrix):
    def test_an_unclean_election_is_asked_for(self):
        """R18: the only replica in sync is gone; the operator gives up what only it had."""
        cluster = self.cluster(3)
        cluster.create("t", 1, 2, **{"min.insync.replicas": "1"})
        first, second = (cluster.node(n) for n in cluster.partitions("t")[0]["replicas"])
        cluster.ask("produce", "t", input="".join(f"a{n}\n" for n in range(100)))
        until(lambda: cluster.in_sync("t", 2), 20, "both in sync")
        second.kill()
        until(lambda: cluster.partitions("t")[0]["in_sync"] == [first.id], 20, "one in sync")
        cluster.ask("produce", "t", input="".join(f"b{n}\n" for n in range(100)))
        first.kill()
        second.start()
        until(lambda: cluster.partitions("t")[0]["leader"] == -1, 20, "no leader")
        self.assertNotEqual(cluster.leat("produce", "t", "--timeout", "2s", "-X",
                                         "delivery.timeout.ms=2000", input="c\n").returncode, 0)
        cluster.ask("partition", "elect", "t/0", "--unclean", "-y")
        until(lambda: cluster.partitions("t")[0]["leader"] == second.id, 20, "an unclean leader")
        cluster.ask("produce", "t", input="".join(f"d{n}\n" for n in range(50)))
        first.start()
        until(lambda: cluster.in_sync("t", 2), 30, "both in sync again")
        seen = cluster.ask("consume", "t", "-e", "-f", "%v\\n").split()
        self.assertEqual(seen[:100], [f"a{n}" for n in range(100)])
        self.assertEqual(seen[100:], [f"d{n}" for n in range(50)], "b was given up, nothing else")


if __name__ == "__main__":
    unittest.main(verbosity=2)
