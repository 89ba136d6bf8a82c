#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""plain_producer.py HOST:PORT TOPIC < lines

A producer written from proto/PROTOCOL.md alone, with nothing but a protobuf library. Every
line is a record; what stands before its first TAB is the key. Prints, for each batch that
was stored, its partition and first offset. Ends with 1 when anything was refused.
"""
import itertools, pathlib, socket, struct, subprocess, sys, tempfile

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto/rpc/leat.proto"
with tempfile.TemporaryDirectory() as generated:
    subprocess.run(["protoc", f"-I{PROTO.parent}", f"--python_out={generated}", PROTO],
                   check=True)
    sys.path.insert(0, generated)
    import leat_pb2 as leat

HEAD = struct.Struct(">IHHII")  # length, api, flags, correlation, header length
HELLO, PRODUCE = 1, 3
RESPONSE, ERROR = 1, 2
BATCH = 500  # records of one request


def read_exactly(stream, size):
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the broker closed the connection")
    return data


class Broker:
    def __init__(self, host, port):
        self.stream = socket.create_connection((host, port)).makefile("rwb")
        self.correlations = itertools.count(1)
        self.stream.write(b"LEAT\x00\x01\r\n")
        self.ask(HELLO, leat.HelloRequest(client_id="plain", software="plain_producer.py"),
                 leat.HelloResponse, preface=True)

    def ask(self, api, request, response_type, preface=False):
        header, correlation = request.SerializeToString(), next(self.correlations)
        self.stream.write(HEAD.pack(12 + len(header), api, 0, correlation, len(header)) + header)
        self.stream.flush()
        if preface and read_exactly(self.stream, 8) != b"LEAT\x00\x01\r\n":
            raise ValueError("this is no Leat broker of version 1")
        length, _, flags, answered, header_length = HEAD.unpack(read_exactly(self.stream, 16))
        body = read_exactly(self.stream, length - 12)
        if flags & ERROR:
            raise ValueError(leat.ErrorResponse.FromString(body[:header_length]))
        if not flags & RESPONSE or answered != correlation:
            raise ValueError("an answer to something else")
        return response_type.FromString(body[:header_length])


def main(address, topic):
    host, port = address.rsplit(":", 1)
    broker, failed = Broker(host, int(port)), False
    lines = (line.rstrip(b"\n").partition(b"\t") for line in sys.stdin.buffer)
    while batch := list(itertools.islice(lines, BATCH)):
        request = leat.ProduceRequest(acks=-1, timeout_ms=30000)
        to = request.topics.add(name=topic).partitions.add(partition=-1)
        for first, tab, rest in batch:
            to.records.add(key=first if tab else b"", null_key=not tab,
                           value=rest if tab else first)
        for result in broker.ask(PRODUCE, request, leat.ProduceResponse).topics[0].partitions:
            failed |= result.error != 0
            print(f"{topic}/{result.partition}", f"error {result.error} {result.error_message}"
                  if result.error else result.base_offset, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
