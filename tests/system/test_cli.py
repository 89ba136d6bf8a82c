#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command-line tool against a real broker: the life of a topic, the life of a group,
what it says when things are wrong, and the programs that ship with the client library."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import unittest

from leat_system import SystemTest, clean_environment, program


class Cli(SystemTest):
    def setUp(self):
        super().setUp()
        self.b = self.broker()

    def leat(self, *args, code=0, **options):
        done = self.b.leat(*args, cwd=self.directory, **options)
        self.assertEqual(done.returncode, code, f"{args}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def items(self, *args, **options):
        return json.loads(self.leat(*args, "-o", "json", **options))["items"]

    def fill(self, topic, count, partitions=1):
        self.leat("topic", "create", topic, "-p", str(partitions))
        self.leat("produce", topic, "-K", ":", "-q",
                  input="".join(f"k{n}:v{n}\n" for n in range(count)))


class Topics(Cli):
    def test_the_life_of_a_topic(self):
        self.leat("topic", "create", "t", "-p", "2", "-c", "retention.ms=7d", "-n")
        self.assertEqual(self.items("topic", "list"), [])
        self.leat("topic", "create", "t", "-p", "2", "-c", "retention.ms=7d")
        self.leat("topic", "create", "t", code=1)
        self.leat("topic", "create", "t", "--if-missing")
        rows = {r["key"]: r for r in self.items("topic", "describe", "t", "--config")}
        self.assertEqual(rows["retention.ms"]["origin"], "topic")
        self.leat("topic", "set", "t", "retention.ms=1h", "segment.bytes=1M")
        self.leat("topic", "unset", "t", "retention.ms")
        rows = {r["key"]: r for r in self.items("topic", "describe", "t", "--config")}
        self.assertEqual(rows["retention.ms"]["origin"], "default")
        self.leat("topic", "grow", "t", "-p", "3")
        self.assertEqual(len(self.items("topic", "describe", "t")), 3)
        self.assertIn("retention.ms", self.leat("topic", "options"))
        self.assertEqual(self.leat("topic", "list", "-o", "tsv").split("\t")[:2], ["t", "3"])
        self.leat("topic", "delete", "t", code=2)  # nobody is here to ask
        self.leat("topic", "delete", "t", "-y", "-n")
        self.assertEqual(len(self.items("topic", "list")), 1)
        self.leat("topic", "delete", "t", "-y")
        self.assertEqual(self.items("topic", "list"), [])

    def test_mistakes_are_explained(self):
        def says(text, *args, code):
            done = self.b.leat(*args)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr)

        self.leat("topic", "create", "t")
        says("did you mean", "topic", "set", "t", "retension.ms=1d", code=1)
        says("did you mean", "topic", "lst", code=2)
        says("--partitions", "topic", "create", "x", "--partition", "3", code=2)
        says("unknown", "topic", "frobnicate", code=2)
        says("missing", "topic", "describe", "missing", code=5)
        done = self.b.leat("topic", "list", "-b", "127.0.0.1:1", "--timeout", "500ms")
        self.assertEqual(done.returncode, 3, done.stderr)
        broken = json.loads(self.b.leat("topic", "describe", "no", "-o", "json").stdout)
        self.assertIn("error", broken)

    def test_records_go_in_and_come_out(self):
        self.leat("topic", "create", "t", "-p", "1")
        self.leat("produce", "t", "-K", ":", "-H", "source:test", "-z", "lz4", "-q",
                  input="a:1\nb:2\nc:\n")
        self.leat("produce", "t", "-k", "d", "--tombstone", "-q", input="\n")
        out = self.leat("consume", "t", "-e", "-f", "%p %o %k=%v %h\\n")
        self.assertEqual(out.splitlines(), ["0 0 a=1 source=test", "0 1 b=2 source=test",
                                            "0 2 c= source=test", "0 3 d= "])
        rows = [json.loads(l) for l in
                self.leat("consume", "t", "-e", "-o", "json").splitlines()]
        self.assertEqual([r["value"] for r in rows], ["1", "2", "", None])
        for where, first in (("earliest", 0), ("+1", 1), ("-1", 3), ("2", 2), ("latest", None),
                             ("@0", 0), ("@2090-01-01", None)):
            out = self.leat("consume", "t", "-e", "-O", where, "-f", "%o\\n").split()
            self.assertEqual(out[:1], [] if first is None else [str(first)], where)
        self.assertEqual(self.leat("consume", "t", "-c", "2", "-f", "%k"), "ab")
        self.leat("consume", "t", "-f", "%q", code=2)
        self.leat("topic", "trim", "t", "--before", "2", "-y")
        self.assertEqual(self.leat("consume", "t", "-e", "-f", "%o "), "2 3 ")
        self.leat("consume", "missing", "-e", code=5)

    def test_a_file_is_published_whole(self):
        path = pathlib.Path(self.directory) / "lines"
        path.write_bytes(b"".join(b"line %d \xff\n" % n for n in range(20000)) + b"no newline")
        self.leat("topic", "create", "t", "-p", "4")
        told = json.loads(self.leat("produce", "t", "--file", str(path), "-o", "json"))
        self.assertEqual(told["acknowledged"], 20001)
        done = subprocess.run([program("leat"), "consume", "t", "-e"], capture_output=True,
                              env=clean_environment(LEAT_BROKERS=self.b.address), timeout=60)
        self.assertEqual(sorted(done.stdout.splitlines()),
                         sorted(path.read_bytes().splitlines()))


class Groups(Cli):
    def test_what_was_printed_is_committed_and_no_more(self):
        self.fill("t", 100)
        seen = []
        for count in (30, 1, 69):
            seen += self.leat("consume", "t", "-g", "g", "-c", str(count)).split()
            row = self.items("group", "describe", "g")[0]
            self.assertEqual((row["committed"], row["lag"]), (len(seen), 100 - len(seen)))
        self.assertEqual(seen, [f"v{n}" for n in range(100)])
        self.assertEqual(self.leat("consume", "t", "-g", "g", "-e"), "")
        self.assertEqual(self.items("group", "lag", "--over", "0"), [])

    def test_an_empty_topic_ends_at_once(self):
        self.leat("topic", "create", "t", "-p", "3")
        self.assertEqual(self.leat("consume", "t", "-g", "g", "-e", timeout=30), "")

    def test_a_reset_is_planned_carried_out_and_undone(self):
        self.fill("t", 10)
        self.leat("consume", "t", "-g", "g", "-e")
        plan = self.items("group", "reset", "g", "--to", "earliest", "-n")
        self.assertEqual([(r["before"], r["after"]) for r in plan], [(10, 0)])
        self.assertEqual(self.items("group", "describe", "g")[0]["committed"], 10)
        self.leat("group", "reset", "g", "--to", "3", code=2)
        self.leat("group", "reset", "g", "--to", "3", "-y")
        self.assertEqual(self.items("group", "describe", "g")[0]["committed"], 3)
        saved = next(pathlib.Path(self.directory).glob("g-*.tsv"))
        self.leat("group", "reset", "g", "--file", saved.name, "-y")
        self.assertEqual(self.items("group", "describe", "g")[0]["committed"], 10)
        self.leat("group", "reset", "g", "--shift", "-4", "-y", "-t", "t")
        self.assertEqual(len(self.leat("consume", "t", "-g", "g", "-e").split()), 4)
        self.leat("group", "delete", "g", "-y")
        self.leat("group", "describe", "g", code=5)

    def test_a_member_that_is_interrupted_leaves_in_order(self):
        self.fill("t", 50)
        member = subprocess.Popen(
            [program("leat"), "consume", "t", "-g", "g"], stdout=subprocess.PIPE, text=True,
            env=clean_environment(LEAT_BROKERS=self.b.address))
        self.addCleanup(member.kill)
        for _ in range(50):
            member.stdout.readline()
        members = self.items("group", "describe", "g", "--members")
        self.assertEqual([m["partitions"] for m in members], ["t:0"])
        self.leat("group", "reset", "g", "--to", "earliest", "-y", code=1)
        self.leat("group", "delete", "g", "-y", code=1)
        self.assertIn("1 members", self.leat("explain", "group", "g"))
        member.send_signal(signal.SIGINT)
        self.assertEqual(member.wait(20), 130)
        member.stdout.close()
        row = self.items("group", "describe", "g")[0]
        self.assertEqual((row["committed"], row["client"]), (50, None))


class Operators(Cli):
    def test_settings_survive_a_restart(self):
        self.leat("config", "set", "num.partitions=5")
        self.leat("config", "set", "num.partitions=0", code=1)
        self.leat("config", "set", "listen=1.2.3.4:1", code=1)
        self.b.restart()
        rows = {r["key"]: r for r in self.items("config", "list", "--changed")}
        self.assertEqual(rows["num.partitions"]["value"], "5")
        self.leat("topic", "create", "t")
        self.assertEqual(len(self.items("topic", "describe", "t")), 5)
        self.leat("config", "unset", "num.partitions")
        self.assertIn("default 1", self.leat("config", "get", "num.partitions"))
        self.assertIn("healthy", self.leat("cluster", "status"))
        self.assertIn("led by broker 1", self.leat("explain", "topic", "t/0"))
        self.assertEqual(len(self.items("explain", "topic", "t")), 5)

    def test_benchmarks_print_their_probe(self):
        for what in (("produce",), ("produce", "--in-flight", "1"), ("consume",), ("e2e",)):
            told = json.loads(self.leat("bench", *what, "-d", "300ms", "-o", "json", "-q",
                                        "--data", self.directory))
            self.assertEqual(told["failed"], 0)
            self.assertGreater(told["records"], 0)
            self.assertIn("round_trip_p50_us", told["probe"])
        self.assertEqual(self.items("topic", "list"), [])

    def test_files_are_verified_without_a_broker(self):
        self.fill("t", 1000)
        self.assertEqual(self.b.stop(), 0)
        data = str(self.b.data)
        told = json.loads(self.leat("log", "verify", data, "-o", "json"))
        self.assertGreaterEqual(told["records"], 1000)
        self.assertEqual(told["damaged"], 0)
        segment = next(p for p in self.b.data.glob("logs/*/*.log")
                       if not p.parent.name.startswith("0" * 16))  # the broker's own
        self.assertIn("v999", self.leat("log", "dump", "--records", str(segment)))
        with open(segment, "r+b") as f:
            f.seek(100)
            byte = f.read(1)
            f.seek(100)
            f.write(bytes([byte[0] ^ 1]))
        self.assertIn(segment.name, self.leat("log", "verify", data, code=1))

    def test_the_tool_explains_itself(self):
        table = json.loads(self.leat("help", "--json"))
        self.assertGreater(len(table["commands"]), 35)
        for command in table["commands"]:
            words = [command["noun"], *([command["verb"]] if command["verb"] else [])]
            self.assertIn("usage:", self.leat("help", *words))
        script = self.leat("completion", "bash")
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        self.assertIn(".TH LEAT", self.leat("man"))
        self.assertIn("libleat", self.leat("version"))

    def test_profiles_hold_settings(self):
        env = clean_environment(XDG_CONFIG_HOME=self.directory)

        def leat(*args, code=0):
            done = subprocess.run([program("leat"), *args], env=env, text=True,
                                  capture_output=True, timeout=30)
            self.assertEqual(done.returncode, code, done.stderr)
            return done.stdout

        leat("profile", "create", "here", f"bootstrap.servers={self.b.address}")
        leat("topic", "list", "-P", "here")
        leat("profile", "use", "here")
        self.assertIn(self.b.address, leat("profile", "show"))
        leat("cluster", "status")
        leat("profile", "use", "nowhere", code=5)
        leat("profile", "delete", "here")
        self.assertEqual(json.loads(leat("profile", "list", "-o", "json"))["items"], [])


class Programs(Cli):
    """The examples of the client library, and a producer written from PROTOCOL.md."""

    def run_example(self, name, *args, **options):
        path = os.environ["LEAT_TEST_EXAMPLES"] + "/example_" + name
        done = subprocess.run([path, self.b.address, *args], text=True, capture_output=True,
                              timeout=60, env=clean_environment(), **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_examples(self):
        self.leat("topic", "create", "t", "-p", "2")
        self.run_example("produce", "t", input="one\ntwo\nthree\n")
        self.assertEqual(sorted(self.leat("consume", "t", "-e").split()),
                         ["one", "three", "two"])
        self.assertIn("made", self.run_example("admin", "made"))

    def test_a_producer_written_from_the_protocol_page(self):
        try:
            subprocess.run([sys.executable, "-c", "import google.protobuf"], check=True,
                           capture_output=True)
            python = sys.executable
        except subprocess.CalledProcessError:
            python = "/usr/bin/python3"
            if subprocess.run([python, "-c", "import google.protobuf"],
                              capture_output=True).returncode:
                self.skipTest("python3-protobuf is not there")
        here = pathlib.Path(__file__).parent
        self.leat("topic", "create", "t", "-p", "3")
        done = subprocess.run([python, str(here / "plain_producer.py"), self.b.address, "t"],
                              input="".join(f"key{n % 7}\tvalue{n}\n" for n in range(500)),
                              text=True, capture_output=True, timeout=60,
                              env=clean_environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        got = self.leat("consume", "t", "-e", "-f", "%k=%v\\n").split()
        self.assertEqual(sorted(got), sorted(f"key{n % 7}=value{n}" for n in range(500)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
