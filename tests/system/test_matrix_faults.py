#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rows R6 and R9 of the reliability plan: networks that are slow and break, disks that are
full. The client of test_cluster.py checks that nothing acknowledged is missing, twice, or out
of order; here it is also seen that what waited is not left behind."""
import errno
import os
import time
import unittest

from leat_cluster import CHANCE, ClusterTest, node_metric
from leat_disk import disks_for
from leat_proxy import Fronts, Weather
from leat_system import until

SECONDS = int(os.environ.get("LEAT_CLUSTER_SECONDS", "12"))
PARTITIONS = 6


class Held(ClusterTest):
    """What a broker holds for others: it must come and go with them."""

    def held(self, node):
        links, metrics = self.descriptors(node), node.metrics()
        sockets = sum(link.startswith("socket:") for link in links)
        # Files of the data directory come and go with records.
        files = sum(link.startswith(str(node.data)) for link in links)
        return {"sockets": sockets, "other files": len(links) - sockets - files,
                **{name: metrics[f"leat_{name}"] for name in
                   ("connections", "fetches_parked", "produces_waiting", "group_members")}}

    def descriptors(self, node):
        """What each of its open files is."""
        links, folder = [], f"/proc/{node.process.pid}/fd"
        for fd in os.listdir(folder):
            try:
                links.append(os.readlink(f"{folder}/{fd}"))
            except FileNotFoundError:
                pass  # closed meanwhile
        return links

    def most_held(self, cluster, seconds):
        """The most of each that a quiet cluster holds: its own traffic comes and goes."""
        most = {node.id: self.held(node) for node in cluster.nodes}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for node in cluster.nodes:
                for name, count in self.held(node).items():
                    most[node.id][name] = max(most[node.id][name], count)
        return most

    def excess(self, cluster, before):
        """What is held beyond `before`."""
        return {(node.id, name): count for node in cluster.nodes
                for name, count in self.held(node).items() if count > before[node.id][name]}


class BadNetwork(Held):
    def test_late_reset_half_open_and_trickling(self):
        """R6: between brokers, and between them and clients."""
        weather = Weather(CHANCE.randrange(1 << 32))
        fronts = Fronts(weather)
        self.addCleanup(fronts.close)
        cluster = self.cluster(3, ["--connections.max.idle.ms", "5s"], front=fronts.front)
        cluster.create("torture", PARTITIONS)
        cluster.create("before", PARTITIONS)
        self.verdict(self.torture(cluster, "before", PARTITIONS, 2))
        until(lambda: cluster.in_sync("before"), 30, "in sync before the storm")
        before = self.most_held(cluster, 3)
        client = self.torture(cluster, "torture", PARTITIONS, SECONDS + 6)
        self.wait_or_end(client, 1)
        weather.storm()
        self.wait_or_end(client, SECONDS / 2)
        frozen = fronts.freeze(CHANCE.randint(1, 3))
        self.wait_or_end(client, SECONDS / 2)
        weather.clear()
        print(f"{weather.counts}, {frozen} frozen at once, {fronts.hanging()} connections left")
        self.assertGreater(frozen, 0)
        self.assertGreater(sum(weather.counts.values()), weather.counts["pieces"], "a storm")
        self.verdict(client)
        until(lambda: cluster.in_sync("torture"), 60, "every replica in sync again")
        began = time.monotonic()
        try:
            until(lambda: not self.excess(cluster, before), 60)
        except AssertionError as late:
            raise AssertionError(f"left behind: {self.excess(cluster, before)}") from late
        print(f"all given back after {time.monotonic() - began:.1f} s: {before}")


class Full(ClusterTest):
    """R9: every broker on a disk of its own, a small one."""

    SMALL = ["--shards", "1", "--journal.file.bytes", "4M", "--journal.files", "3",
             "--memory.hot", "4M", "--disk.reserve", "16M"]

    MODEST = 60000 # records per second: alone they never fill a disk

    def small_cluster(self, megabytes):
        self.disks = disks_for(self, 3, megabytes)
        return self.cluster(3, self.SMALL)

    def fill(self, node):
        """A foreign file takes what is left, to the last block."""
        path, size = node.data / "foreign", 0
        with open(path, "wb") as f:
            for step in (16 << 20, 1 << 20, 4096):
                try:
                    while True:
                        os.posix_fallocate(f.fileno(), size, step)
                        size += step
                except OSError as error:
                    self.assertEqual(error.errno, errno.ENOSPC)
        return path

    def produce(self, cluster, topic, *more):
        return cluster.leat("produce", topic, *more, "--timeout", "3s", "-X",
                            "delivery.timeout.ms=2000", input="x\n")

    def refuses(self, cluster, topic, *more):
        """Whoever is asked says why, and takes nothing."""
        done = self.produce(cluster, topic, *more)
        return done.returncode != 0 and "disk is full" in done.stderr

    def led_by(self, cluster, topic, leader):
        """The flags for a partition that this broker leads."""
        return ("-p", str(next(p for p, n in cluster.leaders(topic).items() if n == leader)))

    def goes_on(self, cluster, topic):
        """All serve, none was put out or started again, and what is there can be read."""
        for node in cluster.nodes:
            self.assertTrue(node.running())
            self.assertEqual(len(node.events("broker_registered")), 1, node.log())
        until(lambda: node_metric(cluster.controller(), "leat_brokers_active") == 3, 5,
              "three active brokers")
        self.assertEqual(len(cluster.ask("consume", topic, "-O", "earliest", "-c", "100").splitlines()), 100)

    def end_of(self, cluster, topic):
        return sum(row["end"] or 0 for row in cluster.partitions(topic))

    def grows(self, cluster, topic, what):
        end = self.end_of(cluster, topic)
        until(lambda: self.end_of(cluster, topic) > end + 100, 30, what)

    def finish(self, cluster, client):
        self.verdict(client)
        until(lambda: cluster.in_sync("torture"), 60, "every replica in sync again")

    def test_full_of_records(self):
        """By produce; retention makes room again."""
        cluster = self.small_cluster(256)
        cluster.create("torture", PARTITIONS)
        cluster.create("ballast", 3)
        client = self.torture(cluster, "torture", PARTITIONS, SECONDS, self.MODEST)
        self.grows(cluster, "torture", "records before the disks are full")
        while cluster.leat("bench", "produce", "--topic", "ballast", "-s", "8K", "--records",
                           "2000", "-X", "delivery.timeout.ms=2000").returncode == 0:
            pass
        until(lambda: self.refuses(cluster, "ballast"), 20, "full disks")
        self.goes_on(cluster, "torture")
        cluster.ask("topic", "set", "ballast", "retention.bytes=1M")
        until(lambda: self.produce(cluster, "ballast").returncode == 0, 30, "room again")
        self.finish(cluster, client)

    def test_full_of_something_foreign(self):
        """On a follower, on the leader, on all three; each time until it is removed."""
        cluster = self.small_cluster(400)
        cluster.create("probe", PARTITIONS)
        cluster.create("torture", 1)
        client = self.torture(cluster, "torture", 1, SECONDS + 8, self.MODEST)
        self.grows(cluster, "torture", "records before the disks are full")
        leader = cluster.leaders("torture")[0]
        follower = next(n for n in cluster.nodes if n.id != leader)

        foreign = self.fill(follower)
        self.grows(cluster, "torture", "records while a follower's disk is full")
        self.goes_on(cluster, "torture")
        foreign.unlink()
        until(lambda: cluster.in_sync("torture"), 30, "the follower is in sync again")

        leader = cluster.leaders("torture")[0]
        foreign = self.fill(cluster.node(leader))
        until(lambda: self.refuses(cluster, "probe", *self.led_by(cluster, "probe", leader)), 20,
              "a full leader")
        self.goes_on(cluster, "torture")
        foreign.unlink()
        self.grows(cluster, "torture", "records when the leader has room again")

        all_foreign = [self.fill(node) for node in cluster.nodes]
        until(lambda: self.refuses(cluster, "probe"), 20, "full disks")
        self.goes_on(cluster, "torture")
        for foreign in all_foreign:
            foreign.unlink()
        self.grows(cluster, "torture", "records when all have room again")
        self.finish(cluster, client)


if __name__ == "__main__":
    unittest.main(verbosity=2)
