"""Imported by the Python clients: every name under example.test is this machine, and no other machine is ever talked to."""

import socket

_getaddrinfo = socket.getaddrinfo


def getaddrinfo(host, *args, **kwargs):
    name = host.decode() if isinstance(host, bytes) else host
    if name.endswith(".example.test") or name == "localhost":
        name = "127.0.0.1"
    if not name.startswith("127."):
        raise OSError(f"the rig talks to loopback only, not to {name}")
    return _getaddrinfo(name, *args, **kwargs)


socket.getaddrinfo = getaddrinfo
