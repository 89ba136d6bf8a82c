#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How a broker starts and stops, what it refuses, and what it tells its operator."""
import pathlib
import signal
import socket
import subprocess

from leat_system import ROOT, SANITIZED, SystemTest, clean_environment, main, program, until


def run(*args, **options):
    return subprocess.run([program("leatd"), *args], text=True, capture_output=True,
                          timeout=30, env=clean_environment(**options))


class Start(SystemTest):
    def test_empty_directory_is_ready_at_once(self):
        broker = self.broker()
        ready = broker.event("broker.ready")
        self.assertEqual(ready["address"], broker.address)
        self.assertEqual(ready["data"], str(broker.data))
        self.assertIn(ready["disk"], ("io_uring", "posix"))
        self.assertLess(ready["ready_ms"], 1000)
        self.assertEqual(broker.stop(), 0)

    def test_restart_keeps_its_identity(self):
        broker = self.broker()
        before = (broker.data / "identity").read_text()
        broker.restart()
        self.assertEqual((broker.data / "identity").read_text(), before)
        broker.kill()
        broker.start()
        self.assertEqual(broker.stop(), 0)

    def test_second_broker_on_a_directory_is_refused(self):
        first = self.broker()
        second = run("--data", str(first.data), "--listen", "127.0.0.1:0",
                     "--http.listen", "")
        self.assertEqual(second.returncode, 1)
        self.assertIn("another broker is running", second.stderr)
        self.assertIn(str(first.process.pid), second.stderr)

    def test_other_peoples_directory_is_refused(self):
        (pathlib.Path(self.directory) / "thesis.txt").write_text("precious")
        result = run("--data", self.directory, "--listen", "127.0.0.1:0")
        self.assertEqual(result.returncode, 1)
        self.assertIn("thesis.txt", result.stderr)

    def test_newer_format_is_refused_by_name(self):
        broker = self.broker()
        broker.stop()
        identity = broker.data / "identity"
        identity.write_text(identity.read_text().replace("version = 1", "version = 7"))
        result = run("--data", str(broker.data), "--listen", "127.0.0.1:0")
        self.assertEqual(result.returncode, 1)
        self.assertIn("format version 7", result.stderr)

    def test_port_in_use_is_refused(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            result = run("--data", self.directory + "/d", "--listen", address,
                         "--http.listen", "")
        self.assertEqual(result.returncode, 1)
        self.assertIn(address, result.stderr)
        self.assertIn("in use", result.stderr)

    def test_no_data_directory_says_what_to_type(self):
        result = run()
        self.assertEqual(result.returncode, 2)
        self.assertIn("--data DIR", result.stderr)
        self.assertIn("--dev", result.stderr)

    def test_mistakes_are_named(self):
        for args, words in (
                (["--lisen", "x"], "did you mean --listen"),
                (["--data"], "needs a value"),
                (["--set", "shards"], "KEY=VALUE"),
                (["--set", "num.partitions=many"], "num.partitions"),
                (["nonsense"], "'nonsense'"),
                (["--config", "/nowhere/leatd.conf"], "/nowhere/leatd.conf"),
                (["--shards", "9999"], "shards")):
            result = run(*args)
            self.assertEqual(result.returncode, 2, args)
            self.assertIn(words, result.stderr)

    def test_precedence_of_flag_environment_and_file(self):
        config = pathlib.Path(self.directory) / "leatd.conf"
        config.write_text("# ours\nnum.partitions = 2\nconnections.max = 20\nshards = 3\n"
                          "retention.ms = 2d\n")
        result = run("--config", str(config), "--num.partitions=4", "--print-config",
                     LEAT_NUM_PARTITIONS="3", LEAT_CONNECTIONS_MAX="30")
        self.assertEqual(result.returncode, 0, result.stderr)
        for line in ("num.partitions = 4", "connections.max = 30", "shards = 3",
                     "retention.ms = 2d"):
            self.assertIn("\n" + line + "\n", result.stdout)
        # What it prints is a configuration file.
        config.write_text(result.stdout)
        self.assertEqual(run("--config", str(config), "--data", "x", "--check").returncode, 0)
        config.write_text((ROOT / "deploy/leatd.conf.example").read_text())
        self.assertEqual(run("--config", str(config), "--data", "x", "--check").returncode, 0)

    def test_bad_file_names_its_line(self):
        config = pathlib.Path(self.directory) / "leatd.conf"
        config.write_text("shards = 1\n\nshard = 2\n")
        result = run("--config", str(config), "--check")
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, r"line 3.*shards")

    def test_dev_needs_nothing_and_leaves_nothing(self):
        broker = self.broker(start=False)
        process = subprocess.Popen(
            [program("leatd"), "--dev", "--listen", "127.0.0.1:0", "--http.listen", ""],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=clean_environment(TMPDIR=self.directory))
        self.addCleanup(process.kill)
        self.assertRegex(process.stdout.readline(), r"127\.0\.0\.1:\d+")
        self.assertTrue(list(pathlib.Path(self.directory).glob("leatd-*")))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 0)
        process.stdout.close()
        self.assertFalse(list(pathlib.Path(self.directory).glob("leatd-*")))
        self.assertFalse(broker.data.exists())

    def test_hangup_and_broken_pipes_are_survived(self):
        broker = self.broker()
        broker.signal(signal.SIGHUP)
        broker.signal(signal.SIGPIPE)
        broker.event("broker.hangup")
        self.assertEqual(broker.http("/healthz")[0], 200)
        self.assertEqual(broker.stop(), 0)

    def test_several_shards_and_plain_disk(self):
        for args in (["--shards", "3"], ["--disk.io", "posix"]):
            broker = self.broker(name=args[1], args=args)
            broker.restart()
            self.assertEqual(broker.stop(), 0)


class Operators(SystemTest):
    def test_health_and_readiness(self):
        broker = self.broker()
        self.assertEqual(broker.http("/healthz")[0], 200)
        self.assertEqual(broker.http("/readyz")[0], 200)

    def test_other_pages_and_methods_are_refused(self):
        broker = self.broker()
        self.assertEqual(broker.http("/")[0], 404)
        self.assertEqual(broker.http("/metrics/../etc")[0], 404)
        status, headers, _ = broker.http("/metrics", "POST")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(broker.http("/metrics", "DELETE")[0], 405)
        status, headers, text = broker.http("/metrics", "HEAD")
        self.assertEqual((status, text), (200, ""))

    def test_metrics_are_well_formed(self):
        broker = self.broker()
        _, headers, text = broker.http("/metrics")
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        seen = set()
        for line in text.splitlines():
            if line.startswith("#"):
                self.assertRegex(line, r"^# (HELP|TYPE) [a-z_]+ \S")
                continue
            self.assertRegex(line, r'^[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.]+$')
            name = line.rsplit(" ", 1)[0]
            self.assertNotIn(name, seen)
            seen.add(name)
        self.assertLess(len(seen), 300)
        metrics = broker.metrics()
        self.assertEqual(metrics["leat_ready"], 1)
        self.assertGreater(metrics["process_resident_memory_bytes"], 1 << 20)

    def test_idle_broker_is_small_and_quiet(self):
        broker = self.broker()
        turns = broker.metrics()["leat_loop_turns_total"]
        used = broker.cpu_s()
        until(lambda: broker.metrics()["leat_loop_turns_total"] >= turns + 2)
        self.assertLess(broker.cpu_s() - used, 0.5)
        if not SANITIZED:
            self.assertLess(broker.rss_kib(), 10 * 1024)


if __name__ == "__main__":
    main()
