# SPDX-License-Identifier: Apache-2.0
"""Clusters of real processes, each broker in a network of its own where the machine
allows that.

    class Failover(ClusterTest):
        def test_it(self):
            cluster = self.cluster(3)         # formed, all brokers active
            cluster.create("t", partitions=6)
            client = self.torture(cluster, "t", 6, seconds=20)
            cluster.node(1).kill()
            ...
            self.verdict(client)              # nothing lost, out of order, backwards

With network namespaces (root and `ip` from iproute2), every broker has an address of its
own on a bridge, can be cut off wholly (`isolate`) or in one direction (`deafen`), and
heals again. Without, brokers listen on loopback ports and tests that need more are
skipped, loudly.
"""
import itertools
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import time
import unittest
import urllib.request

from leat_system import Broker, SystemTest, clean_environment, program, until

PORT, HTTP_PORT = 9092, 9644


def run(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True)


def namespaces_work():
    """Whether we may make a network namespace."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"leatprobe{os.getpid()}"
    if run("ip", "netns", "add", name, check=False).returncode != 0:
        return False
    run("ip", "netns", "del", name, check=False)
    return True


# Of networks, begun somewhere so that two test programs seldom meet.
NUMBERS = (20 + (os.getpid() + n) % 200 for n in itertools.count())


def in_use(number):
    return run("ip", "-o", "addr", "show", "to", f"10.77.{number}.0/24", check=False).stdout != ""


class Network:
    """A bridge with one namespace per broker: 10.77.X.1 is us, 10.77.X.(10+id) are they."""

    def __init__(self):
        self.number = next(n for n in NUMBERS if not in_use(n))
        self.tag = f"lt{os.getpid() % 10000}{self.number}"
        self.bridge = f"{self.tag}b"[:15]
        self.made = []
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "addr", "add", f"{self.ours}/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")

    @property
    def ours(self):
        return f"10.77.{self.number}.1"

    def address(self, node):
        return f"10.77.{self.number}.{10 + node}"

    def name(self, node):
        return f"{self.tag}n{node}"

    def add(self, node):
        name, outer, inner = self.name(node), f"{self.tag}o{node}"[:15], f"{self.tag}i{node}"[:15]
        run("ip", "netns", "add", name)
        self.made.append(node)
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
        run("ip", "link", "set", outer, "master", self.bridge, "up")
        run("ip", "link", "set", inner, "netns", name)
        inside = ("ip", "-n", name)
        run(*inside, "addr", "add", f"{self.address(node)}/24", "dev", inner)
        run(*inside, "link", "set", inner, "up")
        run(*inside, "link", "set", "lo", "up")

    def isolate(self, node, cut=True):
        run("ip", "link", "set", f"{self.tag}o{node}"[:15], "down" if cut else "up")

    def mute(self, node, towards, cut=True):
        """What `node` sends to `towards` is dropped; the other direction goes on."""
        run("ip", "-n", self.name(node), "route", "add" if cut else "del", "blackhole",
            f"{self.address(towards)}/32")

    def close(self):
        for node in self.made:
            run("ip", "netns", "del", self.name(node), check=False)
        run("ip", "link", "del", self.bridge, check=False)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Node(Broker):
    """One broker of a cluster."""

    def __init__(self, cluster, node_id):
        super().__init__(cluster.directory, f"node{node_id}")
        self.cluster, self.id = cluster, node_id
        network = cluster.network
        host = network.address(node_id) if network else "127.0.0.1"
        self.listen = f"{host}:{PORT if network else free_port()}"
        self.public = cluster.front(self) if cluster.front else self.listen
        self.http_listen = f"{host}:{HTTP_PORT if network else free_port()}"

    def command(self, *more):
        inside = ["ip", "netns", "exec", self.cluster.network.name(self.id)] \
            if self.cluster.network else []
        return [*inside, program("leatd"), "--data", str(self.data), "--node.id", str(self.id),
                "--listen", self.listen, "--http.listen", self.http_listen,
                "--log.format", "json", "--cluster.secret.file", str(self.cluster.secret),
                "--controllers", self.cluster.controllers, "--advertise", self.public, *self.cluster.args, *self.args, *more]

    def wipe(self):
        shutil.rmtree(self.data)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)


class Cluster:
    """`front(node)` gives the address at which others reach a node, if not its own."""

    def __init__(self, directory, size, network=None, args=(), front=None):
        self.directory, self.network, self.args = directory, network, list(args)
        self.front = front
        self.secret = os.path.join(directory, "secret")
        with open(os.open(self.secret, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(secrets.token_hex(32) + "\n")
        self.controllers = ""
        self.nodes = []
        for node_id in range(1, size + 1):
            if network:
                network.add(node_id)
            self.nodes.append(Node(self, node_id))
        self.controllers = ",".join(f"{n.id}@{n.public}" for n in self.nodes)

    def node(self, node_id):
        return self.nodes[node_id - 1]

    def start(self):
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_ready()
        return self

    @property
    def addresses(self):
        return ",".join(n.public for n in self.nodes)

    def leat(self, *args, **options):
        options.setdefault("timeout", 60)
        return subprocess.run([program("leat"), *args], text=True, capture_output=True,
                              env=clean_environment(LEAT_BROKERS=self.addresses), **options)

    def ask(self, *args, **options):
        done = self.leat(*args, **options)
        assert done.returncode == 0, f"leat {' '.join(args)}: {done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *args):
        return json.loads(self.ask(*args, "-o", "json"))

    def create(self, topic, partitions=6, replication=3, **settings):
        settings = {"min.insync.replicas": "2", "segment.bytes": "1M", **settings}
        self.ask("topic", "create", topic, "-p", str(partitions), "-r", str(replication),
                 *(word for k, v in settings.items() for word in ("-c", f"{k}={v}")))

    def partitions(self, topic):
        return self.json("topic", "describe", topic)["items"]

    def leaders(self, topic):
        """{partition: node id}, -1 where there is none."""
        return {row["partition"]: row["leader"] for row in self.partitions(topic)}

    def in_sync(self, topic, count=3):
        """Every partition has `count` replicas in sync and a leader."""
        done = self.leat("topic", "describe", topic, "-o", "json")
        if done.returncode != 0:
            return False
        return all(len(row["in_sync"]) == count and row["leader"] > 0
                   for row in json.loads(done.stdout)["items"])

    def controller(self):
        """The node that leads the quorum; None while nobody says so."""
        for node in self.nodes:
            if node.running() and node_metric(node, "leat_controller_active") == 1:
                return node
        return None


def node_metric(node, name):
    try:
        with urllib.request.urlopen(f"http://{node.http_listen}/metrics", timeout=1) as page:
            text = page.read().decode()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(name + " ") or line.startswith(name + "{"):
            return float(line.rsplit(" ", 1)[1])
    return None


class ClusterTest(SystemTest):
    NAMESPACES = None

    def network(self, needed=False):
        if ClusterTest.NAMESPACES is None:
            ClusterTest.NAMESPACES = namespaces_work()
        if ClusterTest.NAMESPACES:
            network = Network()
            self.addCleanup(network.close)
            return network
        if needed:
            raise unittest.SkipTest("NOT RUN: network namespaces are not allowed here")
        return None

    def cluster(self, size=3, args=(), needs_network=False, front=None):
        cluster = Cluster(self.directory, size, self.network(needs_network), args, front)
        self.brokers.extend(cluster.nodes)
        return cluster.start()

    def torture(self, cluster, topic, partitions, seconds, *rate):
        client = subprocess.Popen(
            [program("torture"), cluster.addresses, topic, *map(str, (partitions, seconds, *rate))],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment())
        self.addCleanup(client.kill)
        return client

    def verdict(self, client, at_least=1000):
        out, err = client.communicate(timeout=200)
        result = json.loads(out) if out else {}
        print(out.strip() or err.strip())
        self.assertEqual(client.returncode, 0, out + err)
        self.assertGreater(result["acknowledged"], at_least)
        self.assertEqual((result["lost"], result["disorder"], result["backwards"],
                          result["foreign"]), (0, 0, 0, 0))
        self.assertTrue(result["complete"])
        return result

    def wait_or_end(self, client, seconds):
        """Let time pass, but not beyond the client's end."""
        end = time.monotonic() + seconds
        until(lambda: time.monotonic() > end or client.poll() is not None, seconds + 5)


CHANCE = random.Random(int(os.environ.get("LEAT_SEED", "7")))
