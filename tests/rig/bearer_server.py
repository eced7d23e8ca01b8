"""A small web API that takes bearer tokens (RFC 6750): JWTs signed with HS256, checked for signature, time and audience.

Prints a line `KIND TOKEN` for each kind of token that a client may come with, then `listening 127.0.0.1:PORT`, and serves until it is
ended. A refusal says why, as such servers do: 401 with `invalid_token`, 403 with `insufficient_scope` where the path is not in the
token's `scope`.
"""

import base64
import hashlib
import hmac
import http.server
import json
import time


KEY = b"a key for tests"
AUDIENCE = "https://api.example.test"


def unpacked(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def packed(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(lasts=3600, audience=AUDIENCE, key=KEY):
    header = {"alg": "HS256", "typ": "JWT"}
    claims = {"iss": "https://login.example.test", "aud": audience, "exp": int(time.time()) + lasts, "scope": "page"}
    signed = ".".join(packed(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{packed(hmac.digest(key, signed.encode(), hashlib.sha256))}"


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def fault(self, credentials):
        """The error and its description; None when the token is good for this path."""
        try:
            signed, _, signature = credentials.rpartition(".")
            claims = json.loads(unpacked(signed.split(".")[1]))
            if not hmac.compare_digest(hmac.digest(KEY, signed.encode(), hashlib.sha256), unpacked(signature)):
                return "invalid_token", "The signature is invalid"
        except (ValueError, IndexError):
            return "invalid_token", "The token is malformed"
        if claims["exp"] < time.time():
            return "invalid_token", "The token expired"
        if claims["aud"] != AUDIENCE:
            return "invalid_token", "The audience is invalid"
        if self.path.strip("/") not in claims["scope"].split():
            return "insufficient_scope", "The token does not allow this"
        return None

    def do_GET(self):
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        challenge = 'Bearer realm="api"'
        fault = None
        if scheme == "Bearer":
            fault = self.fault(credentials)
            if fault is None:
                return self.answer(200, "you are in\n")
            challenge += f', error="{fault[0]}", error_description="{fault[1]}"'
        status = 403 if fault and fault[0] == "insufficient_scope" else 401
        return self.answer(status, "", challenge)

    def answer(self, status, body, challenge=None):
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def main():
    print(f"good {token()}")
    print(f"expired {token(lasts=-900)}")
    print(f"elsewhere {token(audience='https://other.example.test')}")
    print(f"forged {token(key=b'another key')}")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    print(f"listening 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
