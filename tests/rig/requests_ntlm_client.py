"""A real client: requests with requests-ntlm. Sends N requests in one session, or the same from several threads at once.

Prints one JSON line per request: {"client", "request", "status", "user", "peer"}. Exits 0 when every request was answered, whatever
the status: judging that is the test's business.
"""

import argparse
import json
import threading

import loopback  # noqa: F401
import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPDigestAuth
from requests_ntlm import HttpNtlmAuth


class OneAuthenticateAtATime(HTTPAdapter):
    """Holds every AUTHENTICATE back until all clients have their CHALLENGE, then lets one after the other through, answer and all.

    Behind a pool this makes a split certain with clients that are real and concurrent: every CHALLENGE lies on an upstream
    connection of its own, and a pool that hands out the connection it used last sends all the AUTHENTICATEs to that same one.
    """

    everyone_challenged = None
    turn = threading.Lock()

    def send(self, request, **kwargs):
        if not is_authenticate(request.headers.get("Authorization", "")):
            return super().send(request, **kwargs)
        if not getattr(self, "waited", False):
            self.waited = True
            self.everyone_challenged.wait(60)
        with self.turn:
            response = super().send(request, **kwargs)
            response.content  # Read to the end: only then does the connection go back to the pools.
            return response


def is_authenticate(credentials):
    _, _, token = credentials.partition(" ")
    return token.startswith("TlRMTVNTUAAD")  # base64 of "NTLMSSP\0" and type 3


def client(number, options, answers):
    with requests.Session() as session:
        session.trust_env = False
        if options.digest:
            session.auth = HTTPDigestAuth(options.user, options.password)
        else:
            session.auth = HttpNtlmAuth(options.user, options.password, send_cbt=not options.no_channel_binding)
        session.verify = options.ca or True
        if options.split:
            adapter = OneAuthenticateAtATime()
            session.mount("http://", adapter)
            session.mount("https://", adapter)
        for request in range(1, options.requests + 1):
            if options.upload and request % 10 == 0:
                response = session.post(options.upload, data=b"x" * 20_000, timeout=60)
            else:
                response = session.get(options.url, timeout=60)
            user = response.json().get("user") if response.status_code == 200 and response.headers.get("X-Rig-Peer") else None
            answers.append(
                {
                    "client": number,
                    "request": request,
                    "status": response.status_code,
                    "user": user,
                    "peer": response.headers.get("X-Rig-Peer"),
                }
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--user", required=True, help=r"DOMAIN\user")
    parser.add_argument("--password", required=True)
    parser.add_argument("--requests", type=int, default=1)
    parser.add_argument("--clients", type=int, default=1, help="threads, each with a session of its own")
    parser.add_argument("--split", action="store_true", help="let the AUTHENTICATEs through one at a time, once all are challenged")
    parser.add_argument("--upload", metavar="URL", help="every tenth request sends a body there")
    parser.add_argument("--ca", help="PEM file of the authority that the server's certificate is checked against")
    parser.add_argument("--digest", action="store_true", help="log on by requests' own Digest instead")
    parser.add_argument("--no-channel-binding", action="store_true")
    options = parser.parse_args()

    OneAuthenticateAtATime.everyone_challenged = threading.Barrier(options.clients)
    answers, failures = [], []

    def run(number):
        try:
            client(number, options, answers)
        except Exception as error:
            failures.append(f"client {number}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(n,)) for n in range(1, options.clients + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer in answers:
        print(json.dumps(answer))
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
