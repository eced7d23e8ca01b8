"""A real client: requests with requests-gssapi, which is Kerberos by MIT's library and the ticket in KRB5CCNAME. Sends N requests in
one session, or the same from several threads at once.

Prints one JSON line per request: {"client", "request", "status"}. Exits 0 when every request was answered, whatever the status.
"""

import argparse
import json
import threading

import loopback  # noqa: F401
import requests
from requests_gssapi import OPTIONAL, REQUIRED, HTTPSPNEGOAuth


def client(number, options, answers):
    with requests.Session() as session:
        session.trust_env = False
        session.auth = HTTPSPNEGOAuth(
            mutual_authentication=REQUIRED if options.mutual else OPTIONAL, opportunistic_auth=options.preemptive
        )
        session.verify = options.ca or True
        for request in range(1, options.requests + 1):
            if options.upload and request % 10 == 0:
                response = session.post(options.upload, data=b"x" * 20_000, timeout=60)
            else:
                response = session.get(options.url, timeout=60)
            answers.append({"client": number, "request": request, "status": response.status_code})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=1)
    parser.add_argument("--clients", type=int, default=1, help="threads, each with a session of its own")
    parser.add_argument("--upload", metavar="URL", help="every tenth request sends a body there")
    parser.add_argument("--preemptive", action="store_true", help="send the ticket with the first request, as some clients do")
    parser.add_argument("--mutual", action="store_true", help="insist that the server proves itself too")
    parser.add_argument("--ca", help="PEM file of the authority that the server's certificate is checked against")
    options = parser.parse_args()

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
