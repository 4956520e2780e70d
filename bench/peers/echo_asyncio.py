"""The echo server of bench/ in Python's asyncio, for comparison.

Written with a Protocol, the faster of asyncio's two interfaces. Prints "listening HOST PORT".
"""

import asyncio


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    print(f"listening {host} {port}", flush=True)
    await server.serve_forever()


asyncio.run(main())
