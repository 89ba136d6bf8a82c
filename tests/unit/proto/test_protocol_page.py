#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What PROTOCOL.md shows is what a stock protobuf library makes of leat.proto, and the
producer that was written from it speaks so to a broker of forty lines."""
import pathlib, re, socket, struct, subprocess, sys, tempfile, threading, unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
HEAD = struct.Struct(">IHHII")
PREFACE = b"LEAT\x00\x01\r\n"

try:
    import google.protobuf  # noqa: F401
except ImportError:
    print("python3-protobuf is not installed")
    sys.exit(77)

with tempfile.TemporaryDirectory() as generated:
    subprocess.run(["protoc", f"-I{ROOT}/proto/rpc", f"--python_out={generated}",
                    f"{ROOT}/proto/rpc/leat.proto"], check=True)
    sys.path.insert(0, generated)
    import leat_pb2 as leat


def frame(api, flags, correlation, message):
    header = message.SerializeToString()
    return HEAD.pack(12 + len(header), api, flags, correlation, len(header)) + header


class Page(unittest.TestCase):
    def hex_blocks(self):
        """The bytes of each fenced block: what stands before the first wide gap of a line."""
        page = (ROOT / "proto/PROTOCOL.md").read_text()
        for block in re.findall(r"^```\n(.*?)^```", page, re.S | re.M):
            columns = (re.split(r"\s{3,}", line.strip())[0] for line in block.splitlines())
            yield b"".join(bytes.fromhex(column) for column in columns
                           if re.fullmatch(r"([0-9a-f]{2}\s*)+", column))

    def test_examples_are_what_protobuf_makes(self):
        hello = frame(1, 0, 7, leat.HelloRequest(client_id="example", software="py",
                                                 software_version="1.0"))
        ask = leat.ProduceRequest(acks=-1, timeout_ms=30000)
        to = ask.topics.add(name="orders").partitions.add(partition=-1)
        to.records.add(key=b"k1", value=b"hello")
        answer = leat.ProduceResponse()
        answer.topics.add(name="orders").partitions.add(partition=2, base_offset=41)
        blocks = list(self.hex_blocks())
        self.assertEqual(blocks[0].hex(" "), hello.hex(" "))
        self.assertEqual(blocks[1].hex(" "),
                         (frame(3, 0, 8, ask) + frame(3, 1, 8, answer)).hex(" "))

    def test_example_batch_is_the_golden_one(self):
        golden = re.search(r'golden_hex\[\] =\s*((?:"\w+"\s*)+)',
                           (ROOT / "tests/unit/proto/golden.h").read_text())[1]
        golden = bytes.fromhex("".join(re.findall(r"\w+", golden)))
        self.assertEqual(list(self.hex_blocks())[2].hex(" "), golden.hex(" "))


class Broker(threading.Thread):
    """Says HELLO and stores what it is sent, a partition for each key's first letter."""

    def __init__(self, error=0):
        super().__init__(daemon=True)
        self.error, self.records, self.requests = error, [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]

    def run(self):
        connection, _ = self.listener.accept()
        with connection, connection.makefile("rwb") as stream:
            self.preface = stream.read(8)
            stream.write(PREFACE)
            while head := stream.read(16):
                length, api, flags, correlation, header = HEAD.unpack(head)
                body = stream.read(length - 12)
                self.requests.append((api, flags, len(body) - header))
                stream.write(frame(api, 1, correlation, self.answer(api, body[:header])))
                stream.flush()

    def answer(self, api, header):
        if api == 1:
            return leat.HelloResponse(node_id=1, apis=[1, 3])
        ask, answer = leat.ProduceRequest.FromString(header), leat.ProduceResponse()
        to = ask.topics[0]
        results = answer.topics.add(name=to.name)
        results.partitions.add(partition=0, error=self.error, error_message="no",
                               base_offset=-1 if self.error else len(self.records))
        self.records += to.partitions[0].records
        self.last = ask
        return answer


class PlainProducer(unittest.TestCase):
    def produce(self, broker, lines):
        broker.start()
        run = subprocess.run([ROOT / "tests/system/plain_producer.py", broker.address, "orders"],
                             input=lines, capture_output=True, timeout=50)
        broker.join(10)
        broker.listener.close()
        self.assertEqual(broker.preface, PREFACE)
        self.assertEqual(run.stderr, b"")
        return run

    def test_lines_arrive_with_their_keys(self):
        broker = Broker()
        lines = [b"k%d\tvalue %d" % (i, i) for i in range(1200)] + [b"alone", b"\tempty key", b""]
        run = self.produce(broker, b"\n".join(lines) + b"\n")
        self.assertEqual(run.returncode, 0)
        self.assertEqual(run.stdout, b"orders/0 0\norders/0 500\norders/0 1000\n")
        self.assertEqual(broker.requests, [(1, 0, 0)] + [(3, 0, 0)] * 3)
        self.assertEqual((broker.last.acks, broker.last.topics[0].partitions[0].partition),
                         (-1, -1))
        got = [b"" + (b"" if r.null_key else r.key + b"\t") + r.value for r in broker.records]
        self.assertEqual(got, lines)

    def test_refusal_is_told_and_ends_with_1(self):
        run = self.produce(Broker(error=3), b"a\tb\n")
        self.assertEqual((run.returncode, run.stdout), (1, b"orders/0 error 3 no\n"))


if __name__ == "__main__":
    unittest.main()
