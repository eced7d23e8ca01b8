"""`curl --ntlm` whose legs go out when the stepper says so.

curl is as it comes, and so are its messages. It is connected to this program, which passes each request and each answer on byte for
byte, and keeps an answer back until the next leg is due.
"""

import json
import re
import socket
import subprocess
import urllib.parse

DEADLINE = 60  # Seconds, as everywhere in the rig: only ever waited for when something is wrong.


class Curl:
    """One curl on one connection. As `stepper.Client`, but for plain HTTP alone."""

    def __init__(self, name, options, account):
        self.name = name
        url = urllib.parse.urlsplit(options.url)
        if url.scheme != "http":
            raise SystemExit("curl's legs can be held back over plain HTTP alone")
        self.url, self.upstream = options.url, ("127.0.0.1", url.port)
        self.credentials = ":".join(account)
        self.process = self.curl = self.proxy = None
        self.held = b""

    def negotiate(self):
        """Starts curl, which sends its Type 1 at once. The CHALLENGE stays here."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(DEADLINE)
            door = f"::127.0.0.1:{listener.getsockname()[1]}"
            options = ["--disable", "--silent", "--ntlm", "--user", self.credentials, "--connect-to", door]
            self.process = subprocess.Popen(["curl", *options, "--output", "/dev/null", self.url])
            self.curl, _ = listener.accept()
        self.curl.settimeout(DEADLINE)
        self.proxy = socket.create_connection(self.upstream, DEADLINE)
        self.pass_on("negotiate")

    def authenticate(self):
        """Gives curl its CHALLENGE, passes its Type 3 on, and gives it the verdict."""
        self.curl.sendall(self.held)
        self.pass_on("authenticate")
        self.curl.sendall(self.held)
        self.process.wait(DEADLINE)
        self.curl.close()
        self.proxy.close()

    def pass_on(self, leg):
        self.proxy.sendall(message(self.curl))
        self.held = message(self.proxy)
        head = self.held.partition(b"\r\n\r\n")[0].decode("latin-1")
        peer = re.search(r"(?mi)^X-Rig-Peer: *(\S+)", head)
        told = {"client": self.name, "leg": leg, "status": int(head.split()[1]), "peer": peer and peer[1]}
        print(json.dumps(told), flush=True)


def message(sock):
    """One request or answer, whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += some(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?mi)^Content-Length: *(\d+)", head)
    while len(body) < (int(length[1]) if length else 0):
        more = some(sock)
        data, body = data + more, body + more
    return data


def some(sock):
    data = sock.recv(65536)
    if not data:
        raise SystemExit("the connection ended within a message")
    return data
