"""NTLM messages of the size and structure that Windows sends, with made-up content under example.test.

Layouts: MS-NLMP 2.2.1 (messages) and 2.2.2 (AV pairs, NTLMv2 client challenge). Nothing here proves a password: every "response" is
a hash of a fixed string, so the bytes are the same in each run. They decode; no server would accept them.
"""

import base64
import hashlib
import struct

SIGNATURE = b"NTLMSSP\0"
FLAGS = 0xE2898215  # what Windows 10 and IIS settle on: 128, 56, key exchange, extended session security, target info, version
VERSION = struct.pack("<BBH3xB", 10, 0, 20348, 15)
FIRST_FILETIME = 134_400_000_000_000_000  # 100 ns since 1601: a day in 2026


def _filler(what, length):
    return hashlib.shake_128(what.encode()).digest(length)


def _utf16(text):
    return text.encode("utf-16-le")


def _pair(identifier, value):
    return struct.pack("<HH", identifier, len(value)) + value


def _server_pairs(number):
    """AV pairs of the server's TargetInfo, without the end mark. Each number has its own timestamp, as each challenge of IIS has."""
    return (
        _pair(2, _utf16("EXAMPLE"))
        + _pair(1, _utf16("WEB01"))
        + _pair(4, _utf16("example.test"))
        + _pair(3, _utf16("web01.example.test"))
        + _pair(5, _utf16("example.test"))
        + _pair(7, struct.pack("<Q", FIRST_FILETIME + number * 10_000_000))
    )


def _message(kind, header_length, fields, body):
    """Lays payload fields out behind a fixed header. `body` gets the packed descriptors and returns the header after the kind."""
    descriptors, payload = [], b""
    for value in fields:
        descriptors.append(struct.pack("<HHI", len(value), len(value), header_length + len(payload)))
        payload += value
    message = SIGNATURE + struct.pack("<I", kind) + body(descriptors) + payload
    assert len(message) == header_length + len(payload)
    return base64.b64encode(message).decode()


def negotiate():
    """Type 1: 40 bytes, no names, as a current Windows sends it."""
    empty = struct.pack("<HHI", 0, 0, 0)
    return base64.b64encode(SIGNATURE + struct.pack("<II", 1, 0xE2088297) + empty + empty + VERSION).decode()


def challenge(number):
    """Type 2."""
    return _message(
        2,
        56,
        [_utf16("EXAMPLE"), _server_pairs(number) + _pair(0, b"")],
        lambda d: d[0] + struct.pack("<I", FLAGS) + _filler(f"challenge {number}", 8) + bytes(8) + d[1] + VERSION,
    )


def authenticate(number):
    """Type 3 with an NTLMv2 response that echoes the AV pairs of challenge `number`, a MIC and channel bindings."""
    pairs = (
        _server_pairs(number)
        + _pair(6, struct.pack("<I", 2))
        + _pair(8, _filler("single host data", 48))
        + _pair(10, _filler("channel bindings", 16))
        + _pair(9, _utf16("HTTP/web01.example.test"))
        + _pair(0, b"")
    )
    client_challenge = (
        b"\1\1" + bytes(6) + struct.pack("<Q", FIRST_FILETIME + number * 10_000_000) + _filler(f"client {number}", 8) + bytes(4)
    )
    response = _filler(f"proof {number}", 16) + client_challenge + pairs + bytes(4)
    return _message(
        3,
        88,
        [
            bytes(24),  # LM response: zeroes when the server sent a timestamp
            response,
            _utf16("EXAMPLE"),
            _utf16(f"user{number:03}"),
            _utf16(f"WS-{number:04}"),
            _filler(f"session key {number}", 16),
        ],
        lambda d: b"".join(d) + struct.pack("<I", FLAGS) + VERSION + _filler(f"mic {number}", 16),
    )
