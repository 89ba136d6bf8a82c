# SPDX-License-Identifier: Apache-2.0
"""Bad networks without the kernel's help: a TCP proxy in front of every broker.

    weather = Weather()
    fronts = Fronts(weather)                    # a thread of its own
    cluster = self.cluster(3, front=fronts.front)
    weather.storm()          # late, reset, half open, one byte a second
    fronts.freeze(2)         # every connection to broker 2 goes half open at once
    weather.clear()          # for whom still connects; what hangs, hangs
    fronts.close()

Brokers and clients alike reach a broker through its front only: it advertises that address.
"""
import asyncio
import random
import socket
import struct
import threading

PIECE, PIECES = 65536, 16
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class Weather:
    """What happens to each piece of data, by chance."""

    def __init__(self, seed=7):
        self.chance = random.Random(seed)
        self.counts = {"pieces": 0, "resets": 0, "half_open": 0, "trickles": 0}
        self.clear()

    def clear(self):
        self.delay_s = (0, 0)
        self.odds = {}

    def storm(self, delay_ms=(100, 300), resets=0.01, half_open=0.005, trickles=0.005):
        self.delay_s = tuple(ms / 1000 for ms in delay_ms)
        self.odds = {"resets": resets, "half_open": half_open, "trickles": trickles}

    def fate(self):
        """One of the counted misfortunes, or None."""
        self.counts["pieces"] += 1
        at = self.chance.random()
        for name, odds in self.odds.items():
            if at < odds:
                self.counts[name] += 1
                return name
            at -= odds
        return None

    def late_s(self):
        return self.chance.uniform(*self.delay_s)


class Connection:
    """Two pipes and a state: None while all is well, or one of those it keeps."""

    def __init__(self, weather, near, far):
        self.weather, self.state = weather, None
        self.writers = (near[1], far[1])
        self.pipes = ((near[0], far[1]), (far[0], near[1]))

    async def run(self):
        await asyncio.gather(*(self.pipe(*ends) for ends in self.pipes))

    async def pipe(self, reader, writer):
        queue = asyncio.Queue(PIECES)
        pump = asyncio.create_task(self.deliver(queue, writer))
        loop, due = asyncio.get_running_loop(), 0
        try:
            while self.state != "half_open":
                data = await reader.read(PIECE)
                self.suffer(self.weather.fate())
                due = max(due, loop.time() + self.weather.late_s())
                await queue.put((due, data))
                if not data:
                    break
        except OSError:
            self.abort()
        await pump

    def suffer(self, fate):
        if fate == "resets":
            self.abort()
        elif fate and self.state != "half_open":
            self.state = fate

    async def deliver(self, queue, writer):
        """In order, each piece when it is due; the empty one is the end."""
        loop = asyncio.get_running_loop()
        while True:
            due, data = await queue.get()
            await asyncio.sleep(due - loop.time())
            try:
                await self.write(writer, data)
            except OSError:
                self.abort()
            if not data:
                return

    async def write(self, writer, data):
        while self.state == "trickles" and data:
            writer.write(data[:1])
            data = data[1:]
            await writer.drain()
            await asyncio.sleep(1)
        if self.state == "half_open":
            await asyncio.Event().wait()
        if writer.is_closing():
            raise ConnectionResetError
        if data:
            writer.write(data)
            await writer.drain()
        else:
            writer.write_eof()

    def abort(self):
        for writer in self.writers:
            if not writer.transport.is_closing():
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                writer.transport.abort()


class Fronts:
    """The proxies of a cluster, on an event loop in a thread."""

    def __init__(self, weather):
        self.weather, self.connections = weather, {}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def front(self, node):
        """The address of a new proxy to `node`."""
        host = node.cluster.network.ours if node.cluster.network else "127.0.0.1"
        target = node.listen.rsplit(":", 1)

        async def listen():
            server = await asyncio.start_server(
                lambda *near: self.serve(node.id, target, near), host, 0)
            return server.sockets[0].getsockname()[1]

        return f"{host}:{self.ask(listen())}"

    def ask(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    async def serve(self, node_id, target, near):
        try:
            far = await asyncio.open_connection(target[0], int(target[1]))
        except OSError:
            near[1].transport.abort()
            return
        for writer in (near[1], far[1]):
            writer.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self.weather, near, far)
        mine = self.connections.setdefault(node_id, set())
        mine.add(connection)
        try:
            await connection.run()
        except asyncio.CancelledError:  # the test is over
            return
        mine.discard(connection)
        for writer in connection.writers:
            writer.close()

    def freeze(self, node_id):
        """From now on nothing flows on what is open to this node, and nobody is told."""
        async def freeze():
            for connection in self.connections.get(node_id, ()):
                connection.state = "half_open"
            return len(self.connections.get(node_id, ()))

        return self.ask(freeze())

    def hanging(self):
        return sum(len(mine) for mine in self.connections.values())

    def close(self):
        async def end():
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.ask(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
