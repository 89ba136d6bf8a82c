#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A broker that is killed under load, again and again, and a client that checks it.

`torture` publishes to every partition and reads back in a group at the same time; here the
broker is killed with SIGKILL and started again, some ten times. Nothing that was
acknowledged may be missing, records keep their order, committed offsets never go back.
LEAT_TORTURE_SECONDS makes it longer.
"""
import json
import os
import random
import subprocess
import time
import unittest

from leat_system import SystemTest, clean_environment, program, until


class Killed(SystemTest):
    SECONDS = int(os.environ.get("LEAT_TORTURE_SECONDS", "8"))

    def ask(self, broker, *args, **options):
        done = broker.leat(*args, **options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def torture(self, broker, partitions=5, kill_every=0.7):
        self.ask(broker, "topic", "create", "torture", "-p", str(partitions),
                  "-c", "segment.bytes=1M")
        client = subprocess.Popen(
            [program("torture"), broker.address, "torture", str(partitions),
             str(self.SECONDS)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=clean_environment())
        self.addCleanup(client.kill)
        chance = random.Random(7)
        kills, slowest = 0, 0.0
        end = time.monotonic() + self.SECONDS
        while time.monotonic() < end and client.poll() is None:
            pause = time.monotonic() + kill_every * chance.uniform(0.2, 1.8)
            until(lambda: time.monotonic() > pause or client.poll() is not None)
            broker.kill()
            broker.start()
            kills += 1
            slowest = max(slowest, broker.ready_s)
        out, err = client.communicate(timeout=150)
        result = json.loads(out) if out else {}
        print(f"{kills} kills, slowest restart {slowest * 1000:.0f} ms: {out.strip()}")
        self.assertEqual(client.returncode, 0, out + err)
        self.assertGreaterEqual(kills, 3)
        self.assertGreater(result["acknowledged"], 1000)
        self.assertEqual((result["lost"], result["disorder"], result["backwards"],
                          result["foreign"]), (0, 0, 0, 0))
        self.assertTrue(result["complete"])
        return result

    def test_nothing_acknowledged_is_lost(self):
        self.torture(self.broker())

    def test_nor_with_two_shards_and_small_files(self):
        self.torture(self.broker(args=["--shards", "2", "--journal.file.bytes", "4M",
                                 "--journal.files", "4", "--memory.hot", "4M"]))

    def test_nor_without_io_uring(self):
        self.torture(self.broker(args=["--disk.io", "posix"]))

    def test_two_gigabytes_come_back_within_a_second(self):
        broker = self.broker()
        self.ask(broker, "topic", "create", "big", "-p", "4")
        self.ask(broker, "bench", "produce", "--topic", "big", "-s", "8K", "--batch", "256K",
                  "--records", str(2 * 1024 * 1024 // 8), "-q", timeout=300)
        broker.kill()
        broker.start()
        print(f"serving again after {broker.ready_s * 1000:.0f} ms")
        # The aim is one second; a loaded machine gets three.
        self.assertLess(broker.ready_s, 3)
        out = self.ask(broker, "topic", "describe", "big", "-o", "json").stdout
        records = sum(row["end"] - row["start"] for row in json.loads(out)["items"])
        self.assertEqual(records, 2 * 1024 * 1024 // 8)


if __name__ == "__main__":
    unittest.main(verbosity=2)
