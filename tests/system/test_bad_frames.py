#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Peers that do not keep the rules: the broker keeps its memory, and keeps serving."""
import random
import select
import socket
import struct

from leat_system import (CREATE_TOPIC, ERROR, FETCH, HELLO, METADATA, PREFACE, PRODUCE,
                         SANITIZED, Peer, SystemTest, error_code, frame, main, until)

FRAME_TOO_LARGE, UNKNOWN_API, INVALID_REQUEST = 1001, 1000, 42
ALL_TOPICS = b"\x10\x01"


class BadFrames(SystemTest):
    def setUp(self):
        super().setUp()
        self.b = self.broker()

    def assert_grew_less(self, before_kib, limit_kib):
        if not SANITIZED:
            self.assertLess(self.b.rss_kib() - before_kib, limit_kib)

    def tearDown(self):
        """Whatever happened, everybody else is served as before."""
        with Peer(self.b) as peer:
            peer.send(frame(METADATA, ALL_TOPICS, correlation=9))
            self.assertEqual(peer.answer()[:3], (METADATA, 9, 1))
        self.assertEqual(self.b.http("/healthz")[0], 200)
        self.assertEqual(self.b.stop(), 0, self.b.log())

    def test_garbage(self):
        chance = random.Random(7)
        for _ in range(200):
            with Peer(self.b, greet=False) as peer:
                peer.send(chance.randbytes(chance.randrange(1, 3000)))
                peer.socket.shutdown(socket.SHUT_WR)
                self.assertTrue(peer.is_closed())
        for _ in range(100):
            with Peer(self.b) as peer:
                peer.send(chance.randbytes(chance.randrange(1, 3000)))
                peer.socket.shutdown(socket.SHUT_WR)
                self.assertTrue(peer.is_closed())
        self.assertGreater(self.b.metrics()["leat_connections_refused_total"], 100)
        # A flood of the same event does not flood the log.
        self.assertLess(len(self.b.events("connection.refused")), 150)

    def test_garbage_in_good_frames(self):
        chance = random.Random(8)
        with Peer(self.b) as peer:
            for i in range(1000):
                api = chance.choice([METADATA, PRODUCE, FETCH, CREATE_TOPIC, 20, 24, 999])
                peer.send(frame(api, chance.randbytes(chance.randrange(60)),
                                chance.randbytes(chance.randrange(60)), correlation=i))
            self.assertEqual(sorted(peer.answer()[1] for _ in range(1000)),
                             list(range(1000)))

    def test_wrong_preface(self):
        for first in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"LEAT\x00\x01\n\n",
                      b"\x00\x00\x00\x10\x00\x12\x00\x03"):
            with Peer(self.b, greet=False) as peer:
                peer.send(first)
                self.assertEqual(peer.exactly(1), b"")
        self.assertIn("HTTP", self.b.log())

    def test_huge_lengths_are_refused_unread(self):
        before = self.b.rss_kib()
        peers = []
        for length in (1 << 24, 1 << 30, (1 << 32) - 1):
            for _ in range(100):
                peer = Peer(self.b)
                peer.send(struct.pack(">IHHII", length, PRODUCE, 0, 77, 10))
                peers.append(peer)
        for peer in peers:
            _, correlation, flags, header, _ = peer.answer()
            self.assertEqual((correlation, flags & ERROR), (77, ERROR))
            self.assertEqual(error_code(header), FRAME_TOO_LARGE)
            self.assertTrue(peer.is_closed())
            peer.close()
        self.assert_grew_less(before, 32 * 1024)

    def test_declared_but_not_sent_costs_nothing(self):
        before = self.b.rss_kib()
        peers = [Peer(self.b) for _ in range(200)]
        for peer in peers:
            peer.send(struct.pack(">IHHII", 15 << 20, PRODUCE, 0, 1, 10) + b"x" * 1000)
        received = self.b.metrics
        until(lambda: received()["leat_network_received_bytes_total"] > 200 * 1000)
        self.assert_grew_less(before, 16 * 1024)
        for peer in peers:
            peer.close()

    def test_truncated_frames(self):
        whole = frame(METADATA, ALL_TOPICS, correlation=5)
        for cut in range(1, len(whole)):
            with Peer(self.b) as peer:
                peer.send(whole[:cut])
                peer.socket.shutdown(socket.SHUT_WR)
                self.assertIsNone(peer.answer())

    def test_byte_by_byte(self):
        with Peer(self.b, greet=False) as peer:
            peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in PREFACE + frame(HELLO, correlation=1) + frame(
                    METADATA, ALL_TOPICS, correlation=2):
                peer.send(bytes([byte]))
            self.assertEqual(peer.exactly(8), PREFACE)
            self.assertEqual(peer.answer()[1], 1)
            self.assertEqual(peer.answer()[1], 2)

    def test_requests_before_hello(self):
        with Peer(self.b, greet=False) as peer:
            peer.send(PREFACE + frame(METADATA, ALL_TOPICS, correlation=3))
            self.assertEqual(peer.exactly(8), PREFACE)
            _, correlation, flags, header, _ = peer.answer()
            self.assertEqual((correlation, error_code(header)), (3, INVALID_REQUEST))
            self.assertTrue(peer.is_closed())

    def test_unknown_request_keeps_the_connection(self):
        with Peer(self.b) as peer:
            peer.send(frame(4711, b"abc", b"def", correlation=8))
            _, correlation, _, header, _ = peer.answer()
            self.assertEqual((correlation, error_code(header)), (8, UNKNOWN_API))
            peer.send(frame(METADATA, b"\xff\xff", correlation=9))
            self.assertEqual(error_code(peer.answer()[3]), INVALID_REQUEST)
            peer.send(frame(METADATA, ALL_TOPICS, correlation=10))
            self.assertEqual(peer.answer()[1:3], (10, 1))

    def test_thousand_idle_connections_are_small(self):
        with Peer(self.b):
            pass
        before = self.b.rss_kib()
        peers = [Peer(self.b) for _ in range(1000)]
        until(lambda: self.b.metrics()["leat_connections"] >= 1000)
        self.assert_grew_less(before, 1000 * 4)
        for peer in peers:
            peer.close()
        until(lambda: self.b.metrics()["leat_connections"] == 0)

    def test_connections_beyond_the_limit_are_refused(self):
        self.b.stop()
        self.b.args = ["--connections.max", "20"]
        self.b.start()
        peers = [Peer(self.b) for _ in range(20)]
        with Peer(self.b, greet=False) as one_too_many:
            self.assertTrue(one_too_many.is_closed())
        for peer in peers:
            peer.send(frame(METADATA, ALL_TOPICS, correlation=4))
            self.assertEqual(peer.answer()[1], 4)
            peer.close()
        until(lambda: self.b.metrics()["leat_connections"] == 0)

    def test_pipelining_without_reading_is_bounded(self):
        """A peer that asks a hundred thousand times and reads nothing is not read from;
        when it reads, every answer is there."""
        asked, n = b"".join(frame(METADATA, ALL_TOPICS, correlation=i)
                            for i in range(100000)), 100000
        self.b.stop()
        self.b.args = ["--connection.buffer.bytes", "1MiB"]
        self.b.start()
        before = self.b.rss_kib()
        with Peer(self.b) as peer:
            peer.socket.setblocking(False)
            sent, peak = 0, before
            while sent < len(asked):
                _, writable, _ = select.select([], [peer.socket], [], 0.5)
                peak = max(peak, self.b.rss_kib())
                if not writable:
                    break
                sent += peer.socket.send(asked[sent:sent + 65536])
            if not SANITIZED:
                self.assertLess(peak - before, 16 * 1024)
            seen = 0
            while seen < n:
                readable, writable, _ = select.select(
                    [peer.socket], [peer.socket] if sent < len(asked) else [], [], 20)
                self.assertTrue(readable or writable)
                if writable:
                    sent += peer.socket.send(asked[sent:sent + 65536])
                if readable:
                    peer.rest += peer.socket.recv(1 << 20)
                at = 0
                while len(peer.rest) - at >= 16:
                    length, _, _, correlation, _ = struct.unpack_from(">IHHII", peer.rest, at)
                    if len(peer.rest) - at < length + 4:
                        break
                    self.assertEqual(correlation, seen)
                    seen += 1
                    at += length + 4
                peer.rest = peer.rest[at:]


if __name__ == "__main__":
    main()
