"""What pyspnego reads in tokens: an independent opinion on every field, for `tests/real/oracle.rs`.

Makes `--generate N` NTLM and SPNEGO tokens (from `--seed`, so the same ones again), and takes real ones from stdin, one a line:
`SCHEME credentials|challenge BASE64`. Prints a JSON line for each: {"name", "scheme", "direction", "token", "pyspnego"}, where
`pyspnego` is the output of its own parser. The first line is {"error_codes": {number: name}}: its table of Kerberos errors.
"""

import argparse
import base64
import json
import random
import struct
import sys

from spnego.__main__ import parse_token
from spnego._context import GSSMech
from spnego._kerberos import KerberosErrorCode
from spnego._ntlm_raw.messages import (
    Authenticate,
    AvFlags,
    AvId,
    Challenge,
    FileTime,
    Negotiate,
    NTClientChallengeV2,
    SingleHost,
    TargetInfo,
    Version,
)
from spnego._spnego import ContextFlags, NegState, NegTokenInit, NegTokenResp

UNICODE, OEM = 0x1, 0x2
# Flags that promise a field are left to pyspnego, which sets them with the field.
FREE_FLAGS = 0xE00CE0FC | 0x10700000 | 0x0C000000
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
WIDE = LETTERS + "äößéøñçкириллица漢字かな한글😀$ @\\/"


class Maker:
    def __init__(self, seed):
        self.dice = random.Random(seed)

    def maybe(self, make, chance=0.7):
        return make() if self.dice.random() < chance else None

    def word(self, letters=LETTERS, longest=20):
        return "".join(self.dice.choice(letters) for _ in range(self.dice.randint(1, longest)))

    def host(self):
        return self.word("abcdefghijklmnopqrstuvwxyz0123456789-") + ".example.test"

    def bytes(self, count):
        return bytes(self.dice.randrange(256) for _ in range(count))

    def version(self):
        return Version(self.dice.choice([5, 6, 10, 0, 255]), self.dice.randrange(4), self.dice.randrange(65536))

    def flags(self, charset):
        return charset | (self.dice.getrandbits(32) & FREE_FLAGS)

    def time(self):
        # pyspnego's FileTime is a datetime: years before 1601 or after 9999 are not for it.
        return FileTime.unpack(struct.pack("<Q", self.dice.randrange(116444736000000000, 200000000000000000)))

    def pairs(self, mic=False):
        """AV pairs in any order, any of them missing, as MS-NLMP 2.2.2.1 allows."""
        values = {
            AvId.nb_computer_name: lambda: self.word(WIDE, 15),
            AvId.nb_domain_name: lambda: self.word(WIDE, 15),
            AvId.dns_computer_name: self.host,
            AvId.dns_domain_name: self.host,
            AvId.dns_tree_name: self.host,
            AvId.timestamp: self.time,
            AvId.single_host: lambda: SingleHost(48, 0, self.bytes(8), self.bytes(32)),
            AvId.target_name: lambda: "HTTP/" + self.host(),
            AvId.channel_bindings: lambda: self.dice.choice([b"\0" * 16, self.bytes(16)]),
            AvId.flags: lambda: AvFlags(self.dice.choice([0, 1, 4, 5])),
        }
        chosen = [(av_id, make()) for av_id, make in values.items() if self.dice.random() < 0.7]
        if mic:
            chosen = [pair for pair in chosen if pair[0] != AvId.flags] + [(AvId.flags, AvFlags(2))]
        self.dice.shuffle(chosen)
        info = TargetInfo()
        for av_id, value in chosen:
            info[av_id] = value
        info[AvId.eol] = b""
        return info

    # NTLM

    def negotiate(self):
        version = self.maybe(self.version)
        names = {"domain_name": self.maybe(self.word, 0.4), "workstation": self.maybe(self.word, 0.4)}
        return Negotiate(self.flags(UNICODE | OEM), version=version, **names).pack()

    def challenge(self):
        charset = self.dice.choice([UNICODE, UNICODE, OEM])
        name = self.maybe(lambda: self.word(WIDE if charset == UNICODE else LETTERS, 15))
        info = self.maybe(self.pairs, 0.9)
        return Challenge(self.flags(charset), self.bytes(8), name, info, self.maybe(self.version)).pack()

    def authenticate(self):
        charset = self.dice.choice([UNICODE, UNICODE, UNICODE, OEM])
        flags = self.flags(charset) & ~0x00080000
        kind = self.dice.choice(["v2", "v2", "v2", "v2-mic", "v2-mic", "v1", "v1-ess", "lm", "anonymous"])
        name = lambda: self.word(WIDE if charset == UNICODE else LETTERS, 24)
        user, domain, mic = name(), self.maybe(name), None
        lm, nt, key = self.bytes(24), None, self.maybe(lambda: self.bytes(16))
        if kind.startswith("v2"):
            blob = NTClientChallengeV2(self.time(), self.bytes(8), self.pairs(mic=kind == "v2-mic")).pack()
            nt = self.bytes(16) + blob + b"\0" * self.dice.choice([0, 4, 4, 20])
            lm = self.dice.choice([b"\0" * 24, lm])
            mic = self.bytes(16) if kind == "v2-mic" else None
        elif kind == "v1":
            nt = self.bytes(24)
        elif kind == "v1-ess":
            nt, lm, flags = self.bytes(24), self.bytes(8) + b"\0" * 16, flags | 0x00080000
        elif kind == "anonymous":
            user = domain = key = None
            lm = self.dice.choice([None, b"\0"])
        version = self.maybe(self.version, 0.8)
        return Authenticate(flags, lm, nt, domain, user, self.maybe(name), key, version, mic).pack()

    # SPNEGO

    def mechs(self):
        all_mechs = [GSSMech.kerberos, GSSMech._ms_kerberos, GSSMech.negoex, GSSMech.ntlm, GSSMech.kerberos_u2u]
        chosen = [mech.value for mech in all_mechs if self.dice.random() < 0.6] or [GSSMech.ntlm.value]
        self.dice.shuffle(chosen)
        return chosen

    def init(self):
        hint = self.maybe(lambda: b"not_defined_in_RFC4178@please_ignore", 0.3)
        flags = self.maybe(lambda: ContextFlags(self.dice.choice([1, 2, 4, 0x22, 0x10])), 0.2)
        mic = self.maybe(lambda: self.bytes(16), 0.2)
        return NegTokenInit(self.mechs(), flags, self.maybe(self.negotiate), hint, None, mic).pack()

    def resp(self):
        state = self.maybe(lambda: self.dice.choice(list(NegState)), 0.9)
        mech = self.maybe(lambda: self.mechs()[0])
        inner = self.maybe(self.dice.choice([self.challenge, self.authenticate]))
        return NegTokenResp(state, mech, inner, self.maybe(lambda: self.bytes(16), 0.3)).pack()

    def token(self):
        kind = self.dice.choice(["negotiate", "challenge", "authenticate", "authenticate", "authenticate", "init", "resp"])
        scheme = "Negotiate" if kind in ("init", "resp") else self.dice.choice(["NTLM", "Negotiate"])
        return kind, scheme, getattr(self, kind)()


def tell(name, scheme, direction, token):
    line = {"name": name, "scheme": scheme, "direction": direction, "token": base64.b64encode(token).decode()}
    print(json.dumps(line | {"pyspnego": parse_token(token)}, default=str))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generate", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--real", help="a file with real tokens, a line each")
    options = parser.parse_args()
    print(json.dumps({"error_codes": {code.value: label for code, label in KerberosErrorCode.native_labels().items()}}))
    maker = Maker(options.seed)
    for number in range(options.generate):
        kind, scheme, token = maker.token()
        tell(f"{kind} {number} of seed {options.seed}", scheme, "credentials", token)
    if options.real:
        with open(options.real, encoding="ascii") as lines:
            for number, line in enumerate(lines):
                scheme, direction, token = line.split()
                tell(f"real {number}", scheme, direction, base64.b64decode(token))


if __name__ == "__main__":
    sys.exit(main())
