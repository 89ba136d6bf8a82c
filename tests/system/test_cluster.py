#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three brokers under load, and everything that may happen to them.

The client (torture.c) believes nothing: it publishes numbered records with acks=all, reads
them back as a member of a group, and at the end nothing acknowledged may be missing or out
of order, and no committed offset may have gone back. LEAT_CLUSTER_SECONDS makes each story
longer.
"""
import os
import signal
import time
import unittest

from leat_cluster import CHANCE, ClusterTest, node_metric
from leat_system import until

SECONDS = int(os.environ.get("LEAT_CLUSTER_SECONDS", "12"))
PARTITIONS = 6


class Cluster(ClusterTest):
    def begin(self, **options):
        cluster = self.cluster(3, **options)
        cluster.create("torture", PARTITIONS)
        return cluster, self.torture(cluster, "torture", PARTITIONS, SECONDS)

    def end(self, cluster, client):
        result = self.verdict(client)
        until(lambda: cluster.in_sync("torture"), 30, "every replica in sync again")
        return result

    def test_killed_brokers_come_back(self):
        """R1: kill -9 of any broker, again and again."""
        cluster, client = self.begin()
        kills, began = 0, time.monotonic()
        while time.monotonic() - began < SECONDS - 2 and client.poll() is None:
            node = CHANCE.choice(cluster.nodes)
            node.kill()
            self.wait_or_end(client, CHANCE.uniform(0.1, 3))
            node.start()
            until(lambda: cluster.in_sync("torture"), 30, "in sync after a kill")
            kills += 1
            self.wait_or_end(client, CHANCE.uniform(0, 1))
        print(f"{kills} kills")
        self.end(cluster, client)

    def test_damaged_logs_are_copied_anew(self):
        """Files are gone; the broker serves all else, and the others what it lacks."""
        cluster, client = self.begin()
        self.wait_or_end(client, 4)
        node = cluster.node(2)
        node.stop()
        own = "0" * 31  # the metadata, the groups
        segments = [f for f in node.data.glob("logs/*/*.log")
                    if not f.parent.name.startswith(own)]
        self.assertGreaterEqual(len(segments), PARTITIONS)
        for segment in segments:
            segment.unlink()
        node.start()
        until(lambda: cluster.in_sync("torture"), 30, "copied anew")
        until(lambda: node_metric(node, "leat_replicas_offline") == 0, 5, "all logs are open")
        self.end(cluster, client)
        self.assertIn("replica_copied_anew", node.log())

    def test_all_killed_at_once(self):
        """R2: the whole cluster dies and comes back in any order."""
        cluster, client = self.begin()
        for _ in range(2):
            self.wait_or_end(client, 2)
            for node in cluster.nodes:
                node.kill()
            again = CHANCE.sample(cluster.nodes, 3)
            for node in again:
                node.launch()
            for node in again:
                node.wait_ready()
        self.end(cluster, client)

    def test_paused_brokers_acknowledge_nothing(self):
        """R3: a broker that is stopped long enough to be fenced wakes up a zombie."""
        cluster, client = self.begin()
        for seconds in (0.5, 4):
            node = CHANCE.choice(cluster.nodes)
            node.pause()
            self.wait_or_end(client, seconds)
            node.resume()
            until(lambda: cluster.in_sync("torture"), 30, "in sync after a pause")
        self.end(cluster, client)

    def test_rolling_restart(self):
        """R4: every broker once, gracefully, under load."""
        cluster, client = self.begin()
        for node in cluster.nodes:
            self.wait_or_end(client, 0.5)
            self.assertEqual(node.stop(), 0, node.log())
            node.start()
            until(lambda: cluster.in_sync("torture"), 30, "in sync after a restart")
        self.end(cluster, client)

    def test_whole_cluster_stops_at_once(self):
        """Whoever stops last waits for nobody: neither for a successor that cannot be
        elected, nor for acknowledgements that cannot come."""
        cluster, client = self.begin()
        for together in (False, True):
            self.wait_or_end(client, 2)
            for node in CHANCE.sample(cluster.nodes, 3):
                node.signal(signal.SIGTERM)
                began = time.monotonic()
                if not together:
                    self.assertEqual(node.wait(), 0, node.log())
                    self.assertLess(time.monotonic() - began, 4, node.log())
            for node in cluster.nodes:
                self.assertEqual(node.wait(), 0, node.log())
            self.assertLess(time.monotonic() - began, 4)
            for node in cluster.nodes:
                node.launch()
            for node in cluster.nodes:
                node.wait_ready()
        self.end(cluster, client)

    def test_isolated_broker_rejoins(self):
        """R5: cut off one broker, then let it hear but not speak, then heal."""
        cluster, client = self.begin(needs_network=True)
        network = cluster.network
        victim = CHANCE.choice(cluster.nodes)
        network.isolate(victim.id)
        self.wait_or_end(client, 4)
        network.isolate(victim.id, False)
        until(lambda: cluster.in_sync("torture"), 40, "in sync after isolation")
        victim = CHANCE.choice(cluster.nodes)
        others = [n for n in cluster.nodes if n is not victim]
        for other in others:
            network.mute(victim.id, other.id)
        self.wait_or_end(client, 4)
        for other in others:
            network.mute(victim.id, other.id, False)
        self.end(cluster, client)

    def test_wiped_broker_fetches_everything_again(self):
        """R12: an empty disk under an old number; swapped directories are refused."""
        cluster, client = self.begin()
        self.wait_or_end(client, 2)
        node = cluster.node(2)
        node.kill()
        node.wipe()
        node.start()
        until(lambda: cluster.in_sync("torture"), 60, "in sync after a wiped disk")
        self.end(cluster, client)


if __name__ == "__main__":
    unittest.main(verbosity=2)
