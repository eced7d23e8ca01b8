"""NTLM clients that send one leg at a time, so that a test decides in which order the legs of two clients meet.

The tokens are pyspnego's, as real as any client's; only the order is ours. Each client has one keep-alive connection of its own,
and a step is over when its answer has been read to the end, so nothing depends on timing.

usage: stepper.py ORDER --url URL [--control URL] --user … --password … [--user … --password …]
Prints one JSON line per step: {"client", "leg", "status", "peer"}; `peer` is the upstream connection as the server saw it.

Orders (see the functions for what happens inside the pool):
  whole      one client after the other, each undisturbed: the near miss, nothing may be found
  crossed    two clients, each one's AUTHENTICATE lands on the connection where the other was challenged
  stray      one client, its AUTHENTICATE lands on a connection where nothing was challenged
  interleaved  two clients on one upstream connection: the second's NEGOTIATE comes between the first's legs
  reconnecting  one client whose connection ends after the CHALLENGE: it waits for that end, and goes on over a new connection

With --curl the clients are `curl --ntlm`, two at once, whose legs are held back and let through in that order (curl_legs.py).
"""

import argparse
import base64
import http.client
import json
import ssl
import urllib.parse

import loopback  # noqa: F401
import spnego

from curl_legs import Curl


class Client:
    """One client on one connection."""

    def __init__(self, name, options, account=None):
        self.name = name
        self.scheme = options.scheme
        url = urllib.parse.urlsplit(options.url)
        self.path = url.path or "/"
        if url.scheme == "https":
            tls = ssl.create_default_context(cafile=options.ca)
            self.connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=60, context=tls)
        else:
            self.connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
        self.connection.connect()
        self.connection.auto_open = 0  # A connection that ended is an error here, never quietly replaced.
        self.context = None
        if account is not None:
            self.context = spnego.client(
                *account,
                hostname=url.hostname,
                service="http",
                protocol="ntlm",
                options=spnego.NegotiateOptions.use_ntlm,
            )
        self.challenge = None

    def send(self, leg, path=None, token=None):
        headers = {"Authorization": f"{self.scheme} {base64.b64encode(token).decode()}"} if token else {}
        self.connection.request("GET", path or self.path, headers=headers)
        return leg

    def receive(self, leg):
        response = self.connection.getresponse()
        response.read()
        told = {"client": self.name, "leg": leg, "status": response.status, "peer": response.headers.get("X-Rig-Peer")}
        print(json.dumps(told), flush=True)
        return response

    def anonymous(self):
        return self.receive(self.send("anonymous"))

    def negotiate(self):
        """Type 1 out, the CHALLENGE back."""
        response = self.receive(self.send("negotiate", token=self.context.step()))
        for value in response.headers.get_all("WWW-Authenticate", []):
            scheme, _, token = value.partition(" ")
            if scheme == self.scheme and token:
                self.challenge = base64.b64decode(token)
        if self.challenge is None:
            raise SystemExit(f"{self.name} was not challenged: status {response.status}")

    def reconnect(self):
        """Waits until the other side has ended the connection, and opens a new one."""
        if self.connection.sock is not None and self.connection.sock.recv(1):
            raise SystemExit(f"{self.name} was told more instead of the end")
        self.connection.close()
        self.connection.connect()

    def authenticate(self):
        """Type 3 out, the verdict back."""
        return self.receive(self.send("authenticate", token=self.context.step(self.challenge)))


class Control:
    """The server's own door, beside the pool: what is asked here takes no upstream connection from it."""

    def __init__(self, options):
        url = urllib.parse.urlsplit(options.control or options.url)
        if url.scheme == "https":
            tls = ssl.create_default_context(cafile=options.ca)
            self.connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=60, context=tls)
        else:
            self.connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)

    def ask(self, path):
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        response.read()
        if response.status != 200:
            raise SystemExit(f"the server answered {response.status} to {path}")


class Slow(Client):
    """A request that needs no logon and takes as long as we like: it keeps one of the pool's connections busy meanwhile."""

    def __init__(self, name, options, control):
        super().__init__(name, options)
        self.control = control

    def begin(self):
        self.send("hold", f"/open/hold/{self.name}")
        self.control.ask(f"/open/held/{self.name}")  # It has reached the server: its upstream connection is taken.

    def end(self):
        self.control.ask(f"/open/release/{self.name}")
        self.receive("hold")  # Read to the end: its upstream connection is back in the pool, in front.


def whole(options):
    """Each client logs on undisturbed, one after the other. A pool that is never asked by two at once breaks nothing at first."""
    for name, account in accounts(options):
        client = Client(name, options, account)
        client.anonymous()
        client.negotiate()
        client.authenticate()


def crossed(options):
    """Two clients, two upstream connections, and each AUTHENTICATE on the other's.

    nginx hands out the pooled connection that was used last. So, with U1 and U2 the upstream connections and the pool in brackets,
    first in front:
      slow1 begins                 U1 busy                     []
      slow2 begins                 U1, U2 busy                 []
      slow1 ends                   U2 busy                     [U1]
      A sends NEGOTIATE            challenged on U1            [U1]
      slow2 ends                                               [U2 U1]
      B sends NEGOTIATE            challenged on U2            [U2 U1]
      A sends AUTHENTICATE         goes to U2: split, refused  [U2 U1]
      slow3 begins                 U2 busy                     [U1]
      B sends AUTHENTICATE         goes to U1: split, refused  [U1]
      slow3 ends                                               [U2 U1]
    """
    control = Control(options)
    (name_a, account_a), (name_b, account_b) = accounts(options, 2)
    # Each connects only when it has something to ask, so that connections and first requests come in the same order.
    slow1 = Slow("slow1", options, control)
    slow1.begin()
    slow2 = Slow("slow2", options, control)
    slow2.begin()
    slow1.end()
    a = options.client(name_a, options, account_a)
    a.negotiate()
    slow2.end()
    b = options.client(name_b, options, account_b)
    b.negotiate()
    a.authenticate()
    slow3 = Slow("slow3", options, control)
    slow3.begin()
    b.authenticate()
    slow3.end()


def stray(options):
    """One client whose AUTHENTICATE comes to a connection that never challenged anybody.

      slow1 begins                 U1 busy                     []
      A sends NEGOTIATE            challenged on U2            [U2]
      slow1 ends                                               [U1 U2]
      A sends AUTHENTICATE         goes to U1: split, refused  [U1 U2]
    """
    control = Control(options)
    ((name, account),) = accounts(options, 1)
    slow1 = Slow("slow1", options, control)
    slow1.begin()
    a = options.client(name, options, account)
    a.negotiate()
    slow1.end()
    a.authenticate()


def interleaved(options):
    """Two clients that share one upstream connection: B's NEGOTIATE takes the place of A's, so A's AUTHENTICATE answers a
    challenge that is gone, though the connection is the right one. The refusal clears the context: B fails too."""
    (name_a, account_a), (name_b, account_b) = accounts(options, 2)
    a, b = options.client(name_a, options, account_a), options.client(name_b, options, account_b)
    a.negotiate()
    b.negotiate()
    a.authenticate()
    b.authenticate()


def reconnecting(options):
    """One client, and a server or a hop that ends the connection after the CHALLENGE."""
    ((name, account),) = accounts(options, 1)
    client = Client(name, options, account)
    client.negotiate()
    client.reconnect()
    client.authenticate()


def accounts(options, count=None):
    found = list(zip(options.user, options.password, strict=True))
    if count is not None and len(found) != count:
        raise SystemExit(f"this order needs {count} --user and --password")
    return [(user.rpartition("\\")[2], (user, password)) for user, password in found]


ORDERS = {order.__name__: order for order in (whole, crossed, stray, interleaved, reconnecting)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("order", choices=ORDERS)
    parser.add_argument("--url", required=True)
    parser.add_argument("--control", help="the server itself, for the slow requests")
    parser.add_argument("--user", action="append", default=[], help=r"DOMAIN\user; once per client")
    parser.add_argument("--password", action="append", default=[])
    parser.add_argument("--scheme", choices=["NTLM", "Negotiate"], default="NTLM")
    parser.add_argument("--ca", help="PEM file of the authority that the server's certificate is checked against")
    parser.add_argument("--curl", dest="client", action="store_const", const=Curl, default=Client, help="the clients are curl")
    options = parser.parse_args()
    ORDERS[options.order](options)


if __name__ == "__main__":
    main()
