"""The echo server of bench/ in Python's asyncio, for comparison.

Written with a Protocol, the faster of asyncio's two interfaces. The first argument says whose loop:
"asyncio" (its own) or "uvloop"; a certificate and its key may follow, then it speaks TLS. Prints
"listening HOST PORT".
"""

import asyncio
import ssl
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def main(certificate=None, key=None):
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024, ssl=context)
    host, port = server.sockets[0].getsockname()
    print(f"listening {host} {port}", flush=True)
    await server.serve_forever()


if sys.argv[1:2] == ["uvloop"]:
    import uvloop
    uvloop.install()
asyncio.run(main(*sys.argv[2:4]))
