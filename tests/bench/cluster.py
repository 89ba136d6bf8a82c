#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a cluster of three can do: cluster.py [--kills N] [--seconds N] [--json]

On loopback, one machine for everything. Measures in one run, so that ratios mean something:
  - durable throughput, replicated three times, against one broker alone (they take turns),
  - how quickly a broker that was away catches up,
  - how long partitions cannot be written to after kill -9 of a leader, after a graceful stop,
    and how long nobody is controller after kill -9 of the one that is.
Paths of the programs come from LEAT_TEST_LEATD, LEAT_TEST_LEAT and LEAT_TEST_GAPS, or from
build/release. A table, or one line of JSON. Nothing is judged here: `tests/run cluster` does.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
from leat_cluster import Cluster
from leat_system import clean_environment, program, until

PARTITIONS = 6


class Figures:
    def __init__(self, options):
        self.options = options
        self.rows = {}

    def say(self, text):
        if not self.options.json:
            print(text, flush=True)

    def note(self, name, values, unit):
        values = sorted(values)
        row = {"unit": unit, "n": len(values), "median": statistics.median(values),
               "p99": values[min(len(values) - 1, int(len(values) * 0.99))],
               "max": values[-1], "min": values[0]}
        self.rows[name] = row
        self.say(f"{name:<44} {row['median']:>10.4g} {unit:<10} "
                 f"least {row['min']:.4g}, most {row['max']:.4g}, of {row['n']}")


def a_cluster(size):
    return Cluster(tempfile.mkdtemp(prefix="leat-figures-"), size,
                   args=["--default.replication.factor", str(size)]).start()


def end(cluster):
    for node in cluster.nodes:
        if node.running():
            node.kill()
    subprocess.run(["rm", "-rf", cluster.directory], check=True)


def produce(cluster, topic, seconds, size=100):
    """Records per second, each acknowledged by all."""
    return json.loads(cluster.ask("bench", "produce", "--topic", topic, "-d", f"{seconds}s", "-s",
                                  str(size), "-o", "json", timeout=seconds + 60))


def throughput(figures, rounds=3):
    alone, three = a_cluster(1), a_cluster(3)
    try:
        alone.create("load", PARTITIONS, 1, **{"min.insync.replicas": "1"})
        three.create("load", PARTITIONS, 3)
        rates = {1: [], 3: []}
        for _ in range(rounds):
            for size, cluster in ((1, alone), (3, three)):
                result = produce(cluster, "load", figures.options.seconds)
                rates[size].append(result["records_per_second"])
        figures.note("durable, one broker", rates[1], "records/s")
        figures.note("durable, three replicas", rates[3], "records/s")
        figures.note("three replicas to one", [b / a for a, b in zip(rates[1], rates[3])], "times")
    finally:
        end(alone)
        end(three)


def catch_up(figures):
    cluster = a_cluster(3)
    try:
        cluster.create("load", PARTITIONS, 3, **{"segment.bytes": "64M"})
        away = cluster.node(3)
        away.kill()
        produce(cluster, "load", figures.options.seconds, 1000)
        size = sum(row["bytes"] for row in cluster.partitions("load"))
        began = time.monotonic()
        away.start()
        until(lambda: cluster.in_sync("load"), 120, "in sync again")
        took = time.monotonic() - began
        figures.note("catching up, from start to in sync", [size / took / 1e6], "MB/s")
        figures.note("  of so much", [size / 1e6], "MB")
    finally:
        end(cluster)


class Watch:
    """The client that notes how long partitions cannot be written to."""

    def __init__(self, cluster, seconds):
        self.process = subprocess.Popen(
            [program("gaps"), cluster.addresses, "load", str(PARTITIONS), str(seconds)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=clean_environment())

    def gaps(self):
        return json.loads(self.process.communicate(timeout=600)[0])["gaps"]


def outages(figures, name, strike, times, seconds_each=12):
    cluster = a_cluster(3)
    try:
        cluster.create("load", PARTITIONS, 3)
        watch = Watch(cluster, times * seconds_each + 2)
        time.sleep(1)
        struck = []
        for _ in range(times):
            began = time.monotonic()
            node = cluster.node(cluster.leaders("load")[0])
            struck.append(time.time() * 1000)
            strike(node)
            time.sleep(4)
            node.start()
            until(lambda: cluster.in_sync("load"), 60, "in sync again")
            time.sleep(max(0, seconds_each - (time.monotonic() - began)))
        gaps = watch.gaps()
        longest = [max((g["ms"] for g in gaps if at - 50 <= g["from_ms"] < at + 4000), default=0)
                   for at in struck]
        figures.note(name, longest, "ms")
    finally:
        end(cluster)


def controller(figures, times):
    cluster = a_cluster(3)
    try:
        took = []
        for _ in range(times):
            victim = until(cluster.controller, 20, "a controller")
            victim.kill()
            began = time.monotonic()
            until(cluster.controller, 20, "another controller")
            took.append((time.monotonic() - began) * 1000)
            victim.start()
            time.sleep(1)
        figures.note("no controller after kill -9", took, "ms")
    finally:
        end(cluster)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10, help="how often, default 10")
    parser.add_argument("--seconds", type=int, default=5, help="of each load, default 5")
    parser.add_argument("--json", action="store_true", help="one line of JSON at the end")
    figures = Figures(parser.parse_args())
    kills = figures.options.kills
    throughput(figures)
    catch_up(figures)
    outages(figures, "not writable after kill -9 of a leader", lambda n: n.kill(), kills)
    outages(figures, "not writable after a graceful stop", lambda n: n.stop(), kills, 9)
    controller(figures, kills)
    if figures.options.json:
        print(json.dumps(figures.rows))


if __name__ == "__main__":
    sys.exit(main())
