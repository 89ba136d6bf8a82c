#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a cluster tells its operators when brokers are missing: the counts on the metrics
page, readiness with its reason, and what `leat cluster status` makes of it.
"""
import unittest
import urllib.error
import urllib.request

from leat_cluster import ClusterTest, node_metric
from leat_system import until

COUNTS = ("under_replicated", "under_min_in_sync", "leaderless", "offline")


def page(node, path):
    try:
        with urllib.request.urlopen(f"http://{node.http_listen}{path}", timeout=2) as answer:
            return answer.status, answer.read().decode().strip()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode().strip()


def counts(cluster):
    """As a dashboard adds them up: only the active controller tells them."""
    up = [n for n in cluster.nodes if n.running()]
    return tuple(sum(int(node_metric(n, f"leat_partitions_{name}") or 0) for n in up)
                 for name in COUNTS)


class Health(ClusterTest):
    def test_counts_follow_the_cluster(self):
        cluster = self.cluster(3)
        cluster.create("three", 6)
        cluster.create("one", 6, 1, **{"min.insync.replicas": "1"})
        until(lambda: cluster.in_sync("three") and counts(cluster) == (0, 0, 0, 0), 20,
              "a healthy cluster")
        self.assertIn("healthy", cluster.ask("cluster", "status"))

        victim = next(n for n in cluster.nodes if n is not cluster.controller())
        alone = list(cluster.leaders("one").values()).count(victim.id)
        self.assertEqual(alone, 2)
        victim.kill()
        # All of "three" and the groups lack a replica; what was nowhere else is offline.
        until(lambda: counts(cluster) == (7 + alone, alone, alone, alone), 20,
              "the counts of two brokers of three")
        status = cluster.leat("cluster", "status").stdout
        self.assertIn(f"broker {victim.id} is silent", status)
        self.assertIn(f"{alone} without a leader", status)
        self.assertEqual(page(cluster.controller(), "/readyz"), (200, "ok"))

        victim.start()
        self.assertEqual(node_metric(victim, "leat_ready"), 1, "it serves before it is whole")
        until(lambda: page(victim, "/readyz") == (200, "ok"), 20, "ready: the next may stop")
        self.assertTrue(cluster.in_sync("three"), "so it has caught up")
        until(lambda: counts(cluster) == (0, 0, 0, 0), 20, "a cluster that is whole again")

    def test_readiness_says_what_is_wrong_and_what_to_do(self):
        cluster = self.cluster(3)
        last, *others = cluster.nodes
        for node in others:
            node.kill()
        until(lambda: page(last, "/readyz")[0] == 503, 20, "the last one is not ready")
        until(lambda: "most of the 'controllers' must be up" in page(last, "/readyz")[1], 20,
              "the reason")
        self.assertIn("peer.lost", page(last, "/readyz")[1])
        self.assertTrue(last.events("peer.lost"))
        self.assertEqual(node_metric(last, "leat_ready"), 0)
        self.assertEqual(page(last, "/healthz"), (200, "ok"))
        self.assertIn("no controller", cluster.leat("cluster", "status").stdout)
        others[0].start()
        until(lambda: page(last, "/readyz") == (200, "ok"), 20, "two are enough")
        self.assertEqual(node_metric(last, "leat_ready"), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
