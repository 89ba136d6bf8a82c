# SPDX-License-Identifier: Apache-2.0
"""Real processes for system tests: brokers that start, stop, crash and come back.

    class Restart(SystemTest):
        def test_records_survive(self):
            broker = self.broker()          # started, accepting
            ...
            broker.kill()                   # as a power loss would
            broker.start()
            self.assertEqual(broker.stop(), 0)

Nothing sleeps: a broker is ready when it says so through --ready-fd, and `until` polls a
condition with a deadline. Whatever a test starts is ended with it; when it fails, the
logs of its brokers are printed. Paths of the programs come from the environment
(LEAT_TEST_LEATD, LEAT_TEST_LEAT), as set by meson.
"""
import http.client
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
READY_S = 30
STOP_S = 40
# Sanitizers keep memory of their own, so its size says nothing about ours.
SANITIZED = os.environ.get("LEAT_TEST_BUILD") == "sanitized"


def program(name):
    """The path of `leatd` or `leat`."""
    path = os.environ.get("LEAT_TEST_" + name.upper())
    if path is None:
        for found in (ROOT / f"build/release/broker/io/{name}", ROOT / f"build/release/tools/{name}"):
            if found.exists():
                path = str(found)
    if path is None:
        raise unittest.SkipTest(f"{name} is not built")
    return path


def clean_environment(**extra):
    """Ours without anybody's LEAT_ settings."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith("LEAT_") or k.startswith("LEAT_TEST_")}
    return {**kept, **extra}


def until(condition, seconds=10, what="the condition"):
    """Call `condition` until it returns something true; that is the result."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        select.select([], [], [], pause)
        pause = min(pause * 2, 0.05)


class Broker:
    """One leatd and its data directory."""

    def __init__(self, directory, name="broker", args=(), env=None):
        self.directory = pathlib.Path(directory)
        self.data = self.directory / name
        self.log_path = self.directory / f"{name}.log"
        self.args = list(args)
        self.env = env or {}
        self.process = None
        self.listen = "127.0.0.1:0"
        self.address = None   # "127.0.0.1:41234" once it was ready
        self.ready_s = None   # from exec to ready

    def command(self, *more):
        return [program("leatd"), "--data", str(self.data), "--listen", self.listen,
                "--http.listen", "127.0.0.1:0", "--log.format", "json", *self.args, *more]

    def launch(self, *more):
        """Start it without waiting."""
        assert self.process is None or self.process.poll() is not None, "it still runs"
        read_fd, write_fd = os.pipe()
        self.log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        began = time.monotonic()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command("--ready-fd", str(write_fd), *more), pass_fds=[write_fd],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=clean_environment(**self.env))
        os.close(write_fd)
        self.ready_fd = read_fd
        self.began = began
        return self

    def wait_ready(self, seconds=READY_S):
        """Wait until it accepts; the same port is asked for at the next start."""
        try:
            readable, _, _ = select.select([self.ready_fd], [], [], seconds)
            line = os.read(self.ready_fd, 512).decode() if readable else ""
        finally:
            os.close(self.ready_fd)
            self.ready_fd = None
        if not line:
            code = self.process.poll() if not readable else self.process.wait(10)
            raise AssertionError(f"leatd did not become ready (exit status {code}):\n"
                                 + self.log())
        self.ready_s = time.monotonic() - self.began
        self.address = self.listen = line.strip()
        return self

    def start(self, *more):
        return self.launch(*more).wait_ready()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=STOP_S):
        code = self.process.wait(seconds)
        if getattr(self, "ready_fd", None) is not None:
            os.close(self.ready_fd)
            self.ready_fd = None
        return code

    def stop(self):
        """End it gracefully; returns the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        """End it as a crash would: no handler runs, nothing is flushed."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def restart(self):
        assert self.stop() == 0, self.log()
        return self.start()

    def running(self):
        return self.process is not None and self.process.poll() is None

    # ---- looking at it ----

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    def log(self):
        """What it has logged since its last start."""
        if not self.log_path.exists():
            return ""
        with open(self.log_path, "rb") as f:
            f.seek(self.log_start)
            return f.read().decode(errors="replace")

    def events(self, name=None):
        """Its log lines as dictionaries, all or those of one event."""
        lines = [json.loads(l) for l in self.log().splitlines() if l.startswith("{")]
        return [l for l in lines if name is None or l["event"] == name]

    def event(self, name):
        return until(lambda: self.events(name), what=f"event {name}")[-1]

    def http(self, path, method="GET", body=None):
        """(status, headers, text) from the operators' port."""
        host, port = self.event("broker.ready")["http"].rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        try:
            connection.request(method, path, body=body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def metrics(self):
        """{'name{labels}': value} of /metrics."""
        status, _, text = self.http("/metrics")
        assert status == 200
        rows = (l.rsplit(" ", 1) for l in text.splitlines() if not l.startswith("#"))
        return {name: float(value) for name, value in rows}

    def _stat(self, key):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(l.split()[1]) for l in text.splitlines() if l.startswith(key))

    def rss_kib(self):
        return self._stat("VmRSS:")

    def cpu_s(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = text.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def leat(self, *args, **options):
        """Run the command-line tool against this broker; a CompletedProcess."""
        options.setdefault("timeout", 60)
        return subprocess.run(
            [program("leat"), *args], text=True, capture_output=True,
            env=clean_environment(LEAT_BROKERS=self.address), **options)


# ---- the native protocol, by hand --------------------------------------------------------

HELLO, METADATA, PRODUCE, FETCH, CREATE_TOPIC = 1, 2, 3, 4, 6
RESPONSE, ERROR, ONE_WAY = 1, 2, 4
PREFACE = b"LEAT\x00\x01\r\n"


def frame(api, header=b"", payload=b"", correlation=0, flags=0):
    body = struct.pack(">HHII", api, flags, correlation, len(header)) + header + payload
    return struct.pack(">I", len(body)) + body


class Peer:
    """A raw connection, for those who do not keep the rules."""

    def __init__(self, broker, greet=True, timeout=20):
        host, port = broker.address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.rest = b""
        if greet:
            self.send(PREFACE + frame(HELLO, correlation=1))
            assert self.exactly(8) == PREFACE
            assert self.answer()[1] == 1

    def send(self, data):
        self.socket.sendall(data)

    def exactly(self, n):
        """The next `n` bytes; what there is, if the broker closes before."""
        while len(self.rest) < n:
            piece = self.socket.recv(65536)
            if not piece:
                break
            self.rest += piece
        taken, self.rest = self.rest[:n], self.rest[n:]
        return taken

    def answer(self):
        """(api, correlation, flags, header, payload), or None at the end."""
        head = self.exactly(16)
        if len(head) < 16:
            return None
        length, api, flags, correlation, header = struct.unpack(">IHHII", head)
        body = self.exactly(length - 12)
        return api, correlation, flags, body[:header], body[header:]

    def is_closed(self):
        """Read on; True if the broker closes or resets within the socket's timeout."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        except socket.timeout:
            return False
        return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def error_code(header):
    """`error` of an ErrorResponse: field 1, a varint."""
    if not header or header[0] != 0x08:
        return 0
    value = shift = 0
    for byte in header[1:]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value


class SystemTest(unittest.TestCase):
    """A test with a directory and brokers that do not outlive it."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="leat-test-")
        self.brokers = []
        self.addCleanup(shutil.rmtree, self.directory, True)
        self.addCleanup(self._end_brokers)

    def broker(self, name="broker", args=(), env=None, start=True):
        broker = Broker(self.directory, name, args, env)
        self.brokers.append(broker)
        return broker.start() if start else broker

    def _failed(self):
        result = self._outcome.result
        return any(test is self for test, _ in result.failures + result.errors) or any(
            error for _, error in getattr(self._outcome, "errors", []) if error)

    def _end_brokers(self):
        for broker in self.brokers:
            if broker.running():
                broker.process.kill()
                broker.process.wait()
        if self._failed():
            for broker in self.brokers:
                print(f"---- log of {broker.data.name} ----\n{broker.log()[-8000:]}")


def main():
    unittest.main(verbosity=2)
