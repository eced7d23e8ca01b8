"""A dumb relay that writes down every byte: `<dir>/<n>.c2s` and `<dir>/<n>.s2c` for its n-th connection.

One on each side of authtap proves that what it took in is what it gave out. A byte is on file before it is sent on. A half-close
and a reset travel on as they came. With TLS it is the plain text that is written down: the recorder ends TLS towards the client
with the given certificate and makes its own towards the upstream.

Prints `listening 127.0.0.1:PORT` and relays until it is ended.
"""

import argparse
import asyncio
import itertools
import os
import socket
import ssl
import struct


async def copy(reader, writer, path):
    """One direction. True when it ended in order, False when it was cut off."""
    with open(path, "wb", buffering=0) as record:
        try:
            while chunk := await reader.read(65536):
                record.write(chunk)
                writer.write(chunk)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            else:
                writer.close()  # TLS has no half-close here.
            return True
        except OSError:
            return False


def reset(writer):
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--upstream", required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--dir", required=True)
    parser.add_argument("--tls-cert", help="speak TLS with the client, with this certificate")
    parser.add_argument("--tls-key")
    parser.add_argument("--upstream-ca", help="speak TLS with the upstream, checked against this authority")
    options = parser.parse_args()
    host, _, port = options.upstream.rpartition(":")
    server_tls = client_tls = None
    if options.tls_cert:
        server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_tls.load_cert_chain(options.tls_cert, options.tls_key)
        server_tls.keylog_filename = os.environ.get("SSLKEYLOGFILE")
    if options.upstream_ca:
        client_tls = ssl.create_default_context(cafile=options.upstream_ca)
        client_tls.set_alpn_protocols(["http/1.1"])
    numbers = itertools.count(1)

    async def connection(client_reader, client_writer):
        stem = os.path.join(options.dir, str(next(numbers)))
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(host, int(port), ssl=client_tls)
        except OSError:
            reset(client_writer)
            return
        ends = await asyncio.gather(
            copy(client_reader, upstream_writer, stem + ".c2s"),
            copy(upstream_reader, client_writer, stem + ".s2c"),
        )
        for writer in (client_writer, upstream_writer):
            if all(ends):
                writer.close()
            else:
                reset(writer)

    server = await asyncio.start_server(connection, "127.0.0.1", 0, ssl=server_tls, backlog=128)
    print(f"listening 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
