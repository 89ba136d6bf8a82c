#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""R22: a broker that is killed at its N-th system call, over start-up, load with rolling
segments, and recovery.

A dry run under strace writes down which calls each thread makes; from that, strace kills the
broker at one call after the other, by a stride over the whole story that begins at another
place each day (LEAT_SEED=n to have that day again). It must start again each time, recovering
twice must leave the same logs, and `torture`, at work all the time, must find everything that
was acknowledged.
"""
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import unittest

from leat_system import Broker, SystemTest, clean_environment, program, until

SEED = int(os.environ.get("LEAT_SEED") or datetime.date.today().strftime("%Y%m%d"))
DEATHS = int(os.environ.get("LEAT_DEATHS", "16"))  # of each part of the story
OWN = "0" * 31  # the metadata, the groups
SECONDS, LOAD_S = 45, 1.5
CALLS = ("openat,close,mkdir,mkdirat,unlink,unlinkat,rename,renameat,renameat2,ftruncate,"
         "fallocate,write,writev,pwrite64,pwritev,pwritev2,pread64,preadv,fsync,fdatasync,"
         "sync_file_range,getdents64,io_uring_enter,flock,mmap,clone3")
CALL = re.compile(r"(\d+) +(\w+)\((.*)")


def strace_works():
    """Whether we may trace, and kill at a call."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-D", "-f", "-o", "/dev/null", "-e",
                           "inject=openat:signal=KILL:when=1", "true"], capture_output=True)
    return done.returncode == -9


class Traced(Broker):
    """leatd below strace: `inject` is where it is to die, None to write calls to `trace`."""

    ARGS = ["--shards", "1", "--journal.file.bytes", "4M", "--journal.files", "4",
            "--memory.hot", "4M"]

    def __init__(self, directory, name, args=()):
        super().__init__(directory, name, [*self.ARGS, *args])
        self.trace = self.directory / f"{name}.trace"
        self.inject = None

    def command(self, *more):
        """strace is the grandchild (-D), so that what is killed by its id is leatd."""
        death = ["-e", f"inject={self.inject[0]}:signal=KILL:when={self.inject[1]}"] \
            if self.inject else []
        return ["strace", "-D", "-f", "-s", "24", "-e", f"trace={CALLS}",
                *death, "-o", "/dev/null" if death else str(self.trace),
                *super().command(*more)]

    def calls(self):
        """The calls of the dry run before it was ready, and those after that no thread made
        as often before: [(name, N-th of its thread)]."""
        starting, working, counts = [], [], {}
        story, most = starting, {}
        for line in self.trace.read_text(errors="replace").splitlines():
            found = CALL.match(line)
            if not found or "resumed>" in line:
                continue
            thread, name, arguments = found.groups()
            counts[thread, name] = counts.get((thread, name), 0) + 1
            if counts[thread, name] > most.get(name, 0) or story is starting:
                story.append((name, counts[thread, name]))
            if name == "write" and '"127.0.0.1:' in arguments:
                story, most = working, dict(sorted((n, c) for (_, n), c in counts.items()))
        return starting, working


def along(calls, count, seed):
    """`count` of them, evenly apart, from a beginning that the seed says."""
    stride = max(1, len(calls) // count)
    return calls[seed % stride::stride][:count]


class Sweep(SystemTest):
    def setUp(self):
        if not strace_works():
            raise unittest.SkipTest("NOT RUN: strace is missing or may not trace here")
        super().setUp()
        print(f"LEAT_SEED={SEED}")

    def traced(self, name, args=()):
        broker = Traced(self.directory, name, args)
        self.brokers.append(broker)
        return broker

    def dies(self, broker, seconds):
        """Start it to die where it should; whether it came to that."""
        broker.launch()
        try:
            broker.process.wait(seconds)
            died = True
        except subprocess.TimeoutExpired:
            broker.process.kill()
            died = False
        self.assertEqual(broker.wait(), -9, broker.log())
        return died

    def starts(self, broker):
        plain = Broker(self.directory, broker.data.name, Traced.ARGS)
        self.brokers.append(plain)
        plain.listen = broker.listen
        return plain.start()

    def verified(self, data):
        """What `leat log verify` says of every log below `data`."""
        said = {}
        for log in sorted(pathlib.Path(data).glob("**/*.log")):
            done = subprocess.run([program("leat"), "log", "verify", str(log), "-o", "json"],
                                  capture_output=True, text=True, env=clean_environment())
            said[str(log.relative_to(data))] = done.stdout or done.stderr
        return said

    def test_first_start(self):
        """In an empty directory: whatever is there of a beginning, it begins again."""
        broker = self.traced("new")
        broker.start().kill()
        starting, _ = broker.calls()
        died = 0
        for broker.inject in along(starting, DEATHS, SEED):
            shutil.rmtree(broker.data)
            died += self.dies(broker, 20)
            again = self.starts(broker)
            done = again.leat("topic", "create", "t")
            self.assertEqual(done.returncode, 0, f"{broker.inject}: {done.stderr}")
            self.assertEqual(again.stop(), 0)
        print(f"{len(starting)} calls, {died} deaths")
        self.assertGreater(died, DEATHS / 2)

    def torture(self, broker):
        """A client that works until it is told that the sweep is over, or SECONDS at most."""
        done = broker.leat("topic", "create", "torture", "-p", "3", "-c", "segment.bytes=256K")
        self.assertEqual(done.returncode, 0, done.stderr)
        client = subprocess.Popen(
            [program("torture"), broker.address, "torture", "3", str(SECONDS)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment())
        self.addCleanup(client.kill)
        return client

    def recovers_twice(self, data):
        """Of a copy: a second recovery finds what the first left, and leaves it so."""
        copy = pathlib.Path(self.directory) / "copy"
        shutil.copytree(data, copy)
        seen = []
        for _ in range(2):
            broker = self.broker("copy", Traced.ARGS)
            broker.kill()
            seen.append(self.verified(copy))
            self.assertFalse([log for log, said in seen[-1].items() if '"damaged":0' not in said])
        # The broker's own logs tell of each start; all others are as the first left them.
        self.assertEqual(*({log: said for log, said in each.items() if OWN not in log}
                           for each in seen))
        shutil.rmtree(copy)

    def dry_run(self, broker):
        """The calls of one start on what is there, of recovery, and of a while of load."""
        broker.inject = None
        broker.start()
        end = time.monotonic() + LOAD_S
        until(lambda: time.monotonic() > end, LOAD_S + 5)
        broker.kill()
        return broker.calls()

    def test_start_load_roll_and_recovery(self):
        """Wherever it dies, it starts again, and the client finds everything."""
        broker = self.traced("broker", ["--disk.io", "posix"])
        broker.start()
        client = self.torture(broker)
        end = time.monotonic() + LOAD_S
        until(lambda: time.monotonic() > end, LOAD_S + 5)
        broker.kill()
        starting, working = self.dry_run(broker)
        deaths = [call for pair in zip(along(starting, DEATHS, SEED), along(working, DEATHS, SEED))
                  for call in pair]
        tried = died = twice = 0
        for broker.inject in deaths:
            if client.poll() is not None:
                break
            tried += 1
            died += self.dies(broker, 2 * LOAD_S)
            if tried % 4 == 1:
                self.recovers_twice(broker.data)
                twice += 1
            self.starts(broker).kill()
        self.starts(broker)
        out, err = client.communicate(timeout=150)
        print(f"{len(starting)} calls to start, {len(working)} under load, {tried} tried, "
              f"{died} deaths, {twice} recovered twice: {out.strip()}")
        result = json.loads(out)
        self.assertEqual(client.returncode, 0, out + err)
        self.assertGreater(result["acknowledged"], 1000)
        self.assertEqual((result["lost"], result["disorder"], result["backwards"],
                          result["foreign"]), (0, 0, 0, 0))
        self.assertTrue(result["complete"])
        self.assertGreater(died, tried / 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
