"""A web server that authenticates as IIS does: NTLM and Negotiate, bound to the TCP connection.

The security is pyspnego's acceptor, so challenges and refusals are real; the HTTP around it is deliberately small. Like IIS it keeps
one context per connection, answers a refused or unexpected AUTHENTICATE with 401 and the bare schemes, forgets the context then, and
lets an authenticated connection go on without further headers.

Prints `listening 127.0.0.1:PORT` and serves until it is ended. Paths:
  /open/hold/NAME      needs no logon; answers only when NAME was released. Keeps an upstream connection of a pool busy.
  /open/held/NAME      answers when a request for /open/hold/NAME has arrived
  /open/release/NAME   lets that request go
  /open/...            needs no logon
  /NAME.html           needs a logon; answers with the file that --html names, if it does
  anything else        needs a logon; answers with JSON: user, method, target, length and sha256 of the body
Every response has `X-Rig-Peer`: the address that this server saw, which names the upstream connection.
"""

import argparse
import base64
import collections
import hashlib
import json
import os
import socket
import ssl
import sys
import threading

# The rest of the rig must not depend on what this machine is called, nor tell it.
COMPUTER = "IIS1"
socket.gethostname = lambda: COMPUTER

import spnego  # noqa: E402
from spnego._negotiate import NegotiateProxy  # noqa: E402

# NTLM is all this server can accept; with python-gssapi installed pyspnego would offer Kerberos too, without any key for it.
NegotiateProxy.available_protocols = classmethod(lambda cls, options=None: ["ntlm", "negotiate"])

DEADLINE = 60  # Seconds. Nothing here waits longer for a peer: a test that goes wrong ends with an error, not a hang.
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized"}

Request = collections.namedtuple("Request", "method target version headers body")


class Gates:
    """Events by name, made by whoever asks first: the one who waits or the one who opens."""

    def __init__(self):
        self._lock = threading.Lock()
        self._events = {}

    def __getitem__(self, name):
        with self._lock:
            return self._events.setdefault(name, threading.Event())


class Server:
    def __init__(self, options):
        self.options = options
        self.gates = Gates()
        self.rendezvous = threading.Barrier(options.rendezvous) if options.rendezvous else None
        self.accounts = {}
        with open(options.accounts, encoding="utf-8") as lines:
            for line in lines.read().split():
                domain, user, password = line.split(":", 2)
                self.accounts[f"{domain}\\{user}".lower()] = password
        self.html = None
        if options.html:
            with open(options.html, "rb") as page:
                self.html = page.read()
        self.bindings = None
        if options.epa:
            with open(options.tls_cert, encoding="ascii") as pem:
                certificate = ssl.PEM_cert_to_DER_cert(pem.read().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")
            self.bindings = spnego.channel_bindings.GssChannelBindings(
                application_data=b"tls-server-end-point:" + hashlib.sha256(certificate).digest()
            )

    def schemes(self):
        return ["Negotiate", "NTLM"] + (['Basic realm="www.example.test"'] if self.options.basic else [])


class Connection:
    """One TCP connection and the logon that belongs to it."""

    def __init__(self, server, sock, peer):
        self.server = server
        self.sock = sock
        self.peer = f"{peer[0]}:{peer[1]}"
        self.reader = sock.makefile("rb")
        self.context = None
        self.user = None

    # HTTP

    def read_request(self):
        line = self.reader.readline(65536)
        if not line:
            return None
        method, target, version = line.decode("latin-1").split()
        headers = {}
        while (line := self.reader.readline(65536)) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return Request(method, target, version, headers, self.read_body(headers))

    def read_body(self, headers):
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.reader.read(int(headers.get("content-length", "0")))
        body = bytearray()
        while size := int(self.reader.readline(1024).split(b";")[0], 16):
            body += self.reader.read(size)
            self.reader.readline(1024)
        while self.reader.readline(65536) not in (b"\r\n", b""):
            pass
        return bytes(body)

    def respond(self, request, status, body, headers=(), content_type="application/json"):
        lines = [f"HTTP/1.1 {status} {REASONS[status]}", f"Content-Type: {content_type}", "Server: authtap-rig"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"X-Rig-Peer: {self.peer}", f"Content-Length: {len(body)}", "", ""]
        head = "\r\n".join(lines).encode("latin-1")
        self.sock.sendall(head if request.method == "HEAD" else head + body)

    def refuse(self, request):
        self.context = self.user = None
        self.respond(request, 401, b'{"error":"access denied"}\n', [("WWW-Authenticate", s) for s in self.server.schemes()])

    def serve(self):
        while (request := self.read_request()) is not None:
            if not self.answer(request):
                return
            if request.version == "HTTP/1.0" or request.headers.get("connection", "").lower() == "close":
                return

    # The logon. `answer` tells whether the connection stays.

    def answer(self, request):
        if request.target.startswith("/open/"):
            return self.answer_open(request)
        credentials = request.headers.get("authorization")
        if credentials is None:
            if self.user is None:
                self.refuse(request)
            else:
                self.welcome(request)
            return True
        scheme, _, value = credentials.partition(" ")
        if scheme.lower() == "basic" and self.server.options.basic:
            return self.basic(request, value)
        if scheme.lower() not in ("ntlm", "negotiate"):
            self.refuse(request)
            return True
        return self.step(request, scheme, value)

    def answer_open(self, request):
        action, _, name = request.target.removeprefix("/open/").partition("/")
        gates = self.server.gates
        if action == "hold":
            gates["held", name].set()
            if not gates["released", name].wait(DEADLINE):
                raise TimeoutError(f"nobody released {name}")
        elif action == "held":
            if not gates["held", name].wait(DEADLINE):
                raise TimeoutError(f"nobody asked for {name}")
        elif action == "release":
            gates["released", name].set()
        self.respond(request, 200, b'{"open":true}\n')
        return True

    def step(self, request, scheme, value):
        options = self.server.options
        try:
            token = base64.b64decode(value, validate=True)
        except ValueError:
            token = b""
        if is_first_leg(token):
            # A client may log on anew on an authenticated connection; what was there before is gone.
            self.user = None
            self.context = spnego.server(
                protocol="negotiate" if scheme.lower() == "negotiate" else "ntlm",
                options=spnego.NegotiateOptions.use_ntlm if scheme.lower() == "ntlm" else spnego.NegotiateOptions.use_negotiate,
                channel_bindings=self.server.bindings,
            )
        if self.context is None:
            self.refuse(request)  # An AUTHENTICATE on a connection where nothing was challenged: SEC_E_INVALID_TOKEN.
            return True
        try:
            reply = self.context.step(token)
        except Exception as error:  # Whatever the acceptor dislikes is a refusal; the test reads the reason from the log.
            print(f"{self.peer} refused: {error}", file=sys.stderr, flush=True)
            self.refuse(request)
            return True
        answer = f"{scheme} {base64.b64encode(reply).decode()}" if reply else None
        if not self.context.complete:
            return self.challenge(request, answer)
        self.user = self.context.client_principal
        self.context = None
        headers = [("WWW-Authenticate", answer)] if answer else []
        if options.persistent_auth:
            headers.append(("Persistent-Auth", "false" if options.forget else "true"))
        self.welcome(request, headers)
        if options.forget:
            self.user = None
        return True

    def challenge(self, request, answer):
        options = self.server.options
        if self.server.rendezvous is not None:
            # So many clients are challenged at once, each on a connection of its own; later ones are not held up.
            rendezvous, turn = self.server.rendezvous, self.server.rendezvous.wait(DEADLINE)
            if turn == 0 and self.server.rendezvous is rendezvous:
                self.server.rendezvous = None
        headers = [("WWW-Authenticate", answer)]
        if options.announce_close:
            headers.append(("Connection", "close"))
        self.respond(request, 401, b'{"error":"challenged"}\n', headers)
        return not (options.announce_close or options.drop_after_challenge)

    def basic(self, request, value):
        user, _, password = base64.b64decode(value).decode("utf-8").partition(":")
        if self.server.accounts.get(user.lower()) != password:
            self.refuse(request)
            return True
        self.user = user
        self.welcome(request)
        self.user = None  # Basic is per request.
        return True

    def welcome(self, request, headers=()):
        if self.server.html is not None and request.target.partition("?")[0].endswith(".html"):
            self.respond(request, 200, self.server.html, headers, "text/html")
            return
        told = {
            "user": self.user,
            "method": request.method,
            "target": request.target,
            "length": len(request.body),
            "sha256": hashlib.sha256(request.body).hexdigest(),
        }
        self.respond(request, 200, json.dumps(told).encode() + b"\n", headers)


def is_first_leg(token):
    """A raw NEGOTIATE, or a SPNEGO NegTokenInit (an application tag; NegTokenResp is a context tag)."""
    return token.startswith(b"NTLMSSP\0\x01") or token.startswith(b"\x60")


def run(server, sock, peer, tls):
    try:
        sock.settimeout(DEADLINE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            sock = tls.wrap_socket(sock, server_side=True)
        connection = Connection(server, sock, peer)
        connection.serve()
    except Exception as error:
        print(f"{peer[0]}:{peer[1]} ended: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        try:
            sock.shutdown(socket.SHUT_RDWR)  # makefile() keeps the descriptor open; this ends the connection all the same.
        except OSError:
            pass
        sock.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--computer", default=COMPUTER, help="what this server calls itself in its challenges")
    parser.add_argument("--accounts", required=True, help="file of DOMAIN:user:password lines")
    parser.add_argument("--basic", action="store_true", help="offer Basic too")
    parser.add_argument("--persistent-auth", action="store_true", help="say Persistent-Auth on the final response")
    parser.add_argument("--drop-after-challenge", action="store_true", help="close after the CHALLENGE, unannounced (curl then starts over a few times: how often is a race)")
    parser.add_argument("--announce-close", action="store_true", help="say Connection: close with the CHALLENGE, and close")
    parser.add_argument("--forget", action="store_true", help="a logon is good for one request")
    parser.add_argument("--html", help="file that /NAME.html is answered with")
    parser.add_argument("--rendezvous", type=int, metavar="N", help="hold back the first N challenges until N clients wait for one")
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    parser.add_argument("--epa", action="store_true", help="refuse logons that are not bound to the certificate (Extended Protection)")
    options = parser.parse_args()
    socket.gethostname = lambda: options.computer
    os.environ["NTLM_USER_FILE"] = options.accounts  # Where pyspnego's acceptor looks accounts up.

    tls = None
    if options.tls_cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.tls_cert, options.tls_key)
        tls.set_alpn_protocols(["http/1.1"])
        tls.keylog_filename = os.environ.get("SSLKEYLOGFILE")
    server = Server(options)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(f"listening 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        sock, peer = listener.accept()
        threading.Thread(target=run, args=(server, sock, peer, tls), daemon=True).start()


if __name__ == "__main__":
    main()
