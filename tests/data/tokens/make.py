#!/usr/bin/env python3
"""Makes the token fixtures of this directory with pyspnego, and beside each what pyspnego itself reads in it.

Needs: pyspnego, gssapi (Debian: python3-gssapi), MIT krb5's KDC and tools. Run it as described in README.md.
Every name is under example.test; every password is made for this file and used nowhere else.
"""
import base64, json, os, shutil, struct, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
PASSWORD = "authtap-Fixture-Passw0rd"
work = tempfile.mkdtemp(prefix="authtap-tokens-")

# NTLM accounts for pyspnego's acceptor.
ntlm_users = os.path.join(work, "users")
with open(ntlm_users, "w") as f:
    f.write(f"EXAMPLE:alice:{PASSWORD}\n")
os.environ["NTLM_USER_FILE"] = ntlm_users

# A realm of one's own, on a high port, for real AP-REQ, AP-REP and KRB-ERROR.
conf = os.path.join(work, "krb5.conf")
kdc_conf = os.path.join(work, "kdc.conf")
with open(conf, "w") as f:
    f.write(f"""[libdefaults]
 default_realm = EXAMPLE.TEST
 dns_lookup_kdc = false
 rdns = false
 dns_canonicalize_hostname = false
[realms]
 EXAMPLE.TEST = {{
  kdc = 127.0.0.1:18888
 }}
[domain_realm]
 .example.test = EXAMPLE.TEST
""")
with open(kdc_conf, "w") as f:
    f.write(f"""[kdcdefaults]
 kdc_listen = 127.0.0.1:18888
 kdc_tcp_listen = 127.0.0.1:18888
[realms]
 EXAMPLE.TEST = {{
  database_name = {work}/principal
  key_stash_file = {work}/stash
  supported_enctypes = aes256-cts:normal aes128-cts:normal
 }}
""")
os.environ.update(KRB5_CONFIG=conf, KRB5_KDC_PROFILE=kdc_conf, KRB5_KTNAME=f"FILE:{work}/http.keytab",
                  KRB5CCNAME=f"FILE:{work}/cc", KRB5RCACHETYPE="none", KRB5RCACHENAME="none:")


def sh(*args, **kw):
    return subprocess.run(args, check=True, capture_output=True, text=True, **kw)


sh("/usr/sbin/kdb5_util", "create", "-s", "-r", "EXAMPLE.TEST", "-P", "authtap-fixture-master")
for query in (f"addprinc -pw {PASSWORD} alice", "addprinc -randkey HTTP/web01.example.test",
              f"ktadd -k {work}/http.keytab HTTP/web01.example.test"):
    sh("/usr/sbin/kadmin.local", "-r", "EXAMPLE.TEST", "-q", query)
kdc = subprocess.Popen(["/usr/sbin/krb5kdc", "-n", "-r", "EXAMPLE.TEST"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
time.sleep(1.5)
sh("kinit", "alice@EXAMPLE.TEST", input=PASSWORD + "\n")

import spnego
from spnego.__main__ import parse_token
from spnego.channel_bindings import GssChannelBindings


def save(name, scheme, direction, token, about):
    text = base64.b64encode(token).decode()
    with open(os.path.join(HERE, name + ".b64"), "w") as f:
        f.write(text + "\n")
    record = {"about": about, "scheme": scheme, "direction": direction, "bytes": len(token), "pyspnego": parse_token(token)}
    with open(os.path.join(HERE, name + ".json"), "w") as f:
        json.dump(record, f, indent=1, default=str)
        f.write("\n")


def exchange(prefix, scheme, protocol, about, options=0, **client_args):
    """Drives client and server until both are done and saves every token."""
    c = spnego.client(client_args.pop("user", "EXAMPLE\\alice"), client_args.pop("password", PASSWORD),
                      hostname="web01.example.test", service="HTTP", protocol=protocol, options=options, **client_args)
    s = spnego.server(protocol=protocol, options=options, **{k: v for k, v in client_args.items() if k == "channel_bindings"})
    n, token, failure = 1, c.step(), None
    while token:
        save(f"{prefix}-{n}", scheme, "credentials", token, f"{about}, client's token {n}")
        try:
            answer = s.step(token)
        except Exception as e:
            answer, failure = getattr(e, "_token", None) or getattr(s, "_out_token", None), e
        if not answer:
            break
        save(f"{prefix}-{n}-answer", scheme, "challenge", answer, f"{about}, server's answer to {n}")
        if failure:
            break
        token, n = c.step(answer), n + 1
    print(prefix, "client complete:", c.complete, "server complete:", s.complete, failure or "")


NTLM = spnego.NegotiateOptions.use_ntlm | spnego.NegotiateOptions.use_negotiate
bindings = GssChannelBindings(application_data=b"tls-server-end-point:" + bytes.fromhex(
    "ea05fefecc6b0bd571dbbc5baa3ed45386d0446835f7b74c85621b9983475f95"))
try:
    exchange("ntlm", "NTLM", "ntlm", "raw NTLM")
    exchange("ntlm-cbt", "NTLM", "ntlm", "raw NTLM with channel bindings", channel_bindings=bindings)
    exchange("negotiate-ntlm", "Negotiate", "negotiate", "NTLM inside SPNEGO", options=NTLM)
    os.environ["LM_COMPAT_LEVEL"] = "0"
    exchange("ntlm-v1", "NTLM", "ntlm", "raw NTLM, NTLMv1 (LM_COMPAT_LEVEL 0)")
    os.environ["LM_COMPAT_LEVEL"] = "1"
    exchange("ntlm-v1-ess", "NTLM", "ntlm", "raw NTLM, NTLMv1 with extended session security (LM_COMPAT_LEVEL 1)")
    del os.environ["LM_COMPAT_LEVEL"]
    # Kerberos through MIT krb5's own GSS-API (pyspnego needs one more compiled module for it and adds nothing).
    import gssapi
    name = gssapi.Name("HTTP@web01.example.test", gssapi.NameType.hostbased_service)
    krb5 = gssapi.MechType.kerberos
    spn = gssapi.OID.from_int_seq("1.3.6.1.5.5.2")
    for label, mech, scheme in (("kerberos", krb5, "Kerberos"), ("negotiate-kerberos", spn, "Negotiate")):
        client = gssapi.SecurityContext(name=name, mech=mech, usage="initiate",
                                        flags=gssapi.RequirementFlag.mutual_authentication)
        server = gssapi.SecurityContext(usage="accept", creds=gssapi.Credentials(usage="accept"))
        token = client.step()
        save(label + "-1", scheme, "credentials", token, "ticket for HTTP/web01.example.test, mutual authentication")
        answer = server.step(token)
        save(label + "-1-answer", scheme, "challenge", answer, "the service's answer to it")
        client.step(answer)
        print(label, "client complete:", client.complete, "server complete:", server.complete)
    for label, mech in (("kerberos-modified", krb5), ("negotiate-kerberos-modified", spn)):
        client = gssapi.SecurityContext(name=name, mech=mech, usage="initiate",
                                        flags=gssapi.RequirementFlag.mutual_authentication)
        token = client.step()
        save(label + "-1", "Negotiate", "credentials", token, "ticket for a key that the service does not have")
        if label == "kerberos-modified":
            sh("/usr/sbin/kadmin.local", "-r", "EXAMPLE.TEST", "-q", "cpw -randkey HTTP/web01.example.test")
            os.remove(f"{work}/http.keytab")
            # Same key version number, other key: ktutil would do; re-made with another password at kvno 2.
            sh("/usr/bin/ktutil", input=f"addent -password -p HTTP/web01.example.test@EXAMPLE.TEST -k 2 -e aes256-cts\nwrong-key-of-fixture\nwkt {work}/http.keytab\nq\n")
        server = gssapi.SecurityContext(usage="accept", creds=gssapi.Credentials(usage="accept"))
        try:
            answer = server.step(token)
        except gssapi.exceptions.GSSError as e:
            answer = e.token
            print(label, "->", str(e)[:100])
        if answer:
            save(label + "-1-answer", "Negotiate", "challenge", answer, "KRB-ERROR of a service with another key")
finally:
    kdc.terminate()
    kdc.wait()
    shutil.rmtree(work)
