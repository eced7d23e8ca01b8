"""A real client: requests with requests-gssapi, which is Kerberos by MIT's library and the ticket in KRB5CCNAME.

Prints one JSON line per request: {"request", "status"}. Exits 0 when every request was answered, whatever the status.
"""

import argparse
import json

import loopback  # noqa: F401
import requests
from requests_gssapi import OPTIONAL, REQUIRED, HTTPSPNEGOAuth


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--requests", type=int, default=1)
    parser.add_argument("--preemptive", action="store_true", help="send the ticket with the first request, as some clients do")
    parser.add_argument("--mutual", action="store_true", help="insist that the server proves itself too")
    parser.add_argument("--ca", help="PEM file of the authority that the server's certificate is checked against")
    options = parser.parse_args()

    with requests.Session() as session:
        session.trust_env = False
        session.auth = HTTPSPNEGOAuth(
            mutual_authentication=REQUIRED if options.mutual else OPTIONAL, opportunistic_auth=options.preemptive
        )
        session.verify = options.ca or True
        for request in range(1, options.requests + 1):
            response = session.get(options.url, timeout=60)
            print(json.dumps({"request": request, "status": response.status_code}))


if __name__ == "__main__":
    main()
