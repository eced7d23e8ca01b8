"""What stands behind the contenders: certificates and one nginx that plays the web server. And the load scripts' inputs."""

import http.client
import os
import resource
import ssl
import subprocess
import time

from . import proc, tokens

PEOPLE = 64  # as many challenges and users as wrk has connections
SMALL_BODY = "s" * 200
REFUSED_BODY = "<html>" + "r" * 328 + "</html>"  # 341 bytes, the length of IIS's short 401 page
BIG_BYTES = 1 << 20
CIPHER = "TLS_AES_128_GCM_SHA256"  # one cipher for all, on both sides, so that the ratios compare proxies and not ciphers


def descriptor_limit():
    """Raises this process's limit of open files to the hard one, for itself and its children, and returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        raise proc.Failed(f"the hard limit of open files is {hard}; at least 4096 are needed, 8192 for 3,000 idle connections (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Rig:
    """Files in one temporary folder and the backend's two ports."""

    def __init__(self, folder, descriptors):
        self.folder = folder
        self.connections = min(16384, (descriptors - 512) // 2)  # a proxy needs two descriptors a connection
        self.log_number = 0
        self._certificates()
        self._load_scripts()
        self._backend()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def log(self, name):
        self.log_number += 1
        return self.path(f"{self.log_number:04}-{name}.log")

    def _openssl(self, *argv):
        subprocess.run(["openssl", *argv], check=True, stdin=subprocess.DEVNULL, capture_output=True, cwd=self.folder)

    def _certificates(self):
        """A CA and a P-256 leaf for localhost: the backend and every contender show the same leaf, as authtap is meant to be used."""
        self.write("leaf.ext", "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self._openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=bench CA")
        self._openssl("req", *key, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=localhost")
        self._openssl(
            "x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", "leaf.pem", "-days", "30", "-extfile", "leaf.ext",
        )  # fmt: skip
        with open(self.path("leaf.pem")) as certificate, open(self.path("leaf.key")) as key:
            self.write("leaf-both.pem", certificate.read() + key.read())
        # wrk has no cipher option; OpenSSL's own configuration has.
        self.client_openssl = self.write(
            "openssl.cnf",
            f"openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = client\n[client]\nCiphersuites = {CIPHER}\n",
        )

    def _load_scripts(self):
        quoted = ",\n".join(f'  "{tokens.authenticate(number)}"' for number in range(PEOPLE))
        self.write("tokens.lua", f'return {{ negotiate = "{tokens.negotiate()}", authenticate = {{\n{quoted}\n}} }}\n')

    def _backend(self):
        plain, tls = proc.listening_socket(), proc.listening_socket()
        self.port, self.tls_port = plain.getsockname()[1], tls.getsockname()[1]
        os.makedirs(self.path("www"))
        with open(self.path("www/big"), "wb") as big:
            big.write(os.urandom(BIG_BYTES))
        os.chmod(self.folder, 0o755)  # nginx's worker is not root
        challenges = "\n".join(f"    /401/{n} {tokens.challenge(n)};\n    /logon/{n} {tokens.challenge(n)};" for n in range(PEOPLE))
        config = self.write("backend.conf", f"""
{nginx_head(self, "backend", workers=1)}
  # Which leg of an NTLM handshake is this?
  map $http_authorization $leg {{
    default 0;
    ~TlRMTVNTUAAB 1;
    ~TlRMTVNTUAAD 3;
  }}
  map $uri $challenge {{
{challenges}
  }}
  map $leg $ntlm {{ default NTLM; 1 "NTLM $challenge"; }}
  map $leg $logon_ntlm {{ default NTLM; 1 "NTLM $challenge"; 3 ""; }}
  map $leg $logon_negotiate {{ default Negotiate; 3 ""; }}
  map $leg $logon_persistent {{ default ""; 3 true; }}
  server {{
    listen 127.0.0.1:{self.port};
    listen 127.0.0.1:{self.tls_port} ssl;
    ssl_certificate leaf.pem;
    ssl_certificate_key leaf.key;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites {CIPHER};
    root www;
    default_type text/html;
    location = /small {{ return 200 "{SMALL_BODY}"; }}
    location = /big {{ }}
    # Every answer is a 401: the challenge for a Type 1, the bare schemes for a Type 3, as when a password is wrong.
    location /401/ {{
      add_header WWW-Authenticate Negotiate always;
      add_header WWW-Authenticate $ntlm always;
      return 401 "{REFUSED_BODY}";
    }}
    # A Type 3 is let in.
    location /logon/ {{
      add_header WWW-Authenticate $logon_negotiate always;
      add_header WWW-Authenticate $logon_ntlm always;
      add_header Persistent-Auth $logon_persistent always;
      if ($leg = 3) {{ return 200 "{SMALL_BODY}"; }}
      return 401 "{REFUSED_BODY}";
    }}
  }}
}}
""")
        self.backend = start_nginx(self, config, "backend", [plain, tls])
        wait_until_it_answers(self, self.backend, self.port, tls=False)
        wait_until_it_answers(self, self.backend, self.tls_port, tls=True)
        self._check_backend()

    def _check_backend(self):
        """The numbers mean nothing if the backend does not answer what the workloads expect."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        three = "NTLM " + tokens.authenticate(7)
        for target, authorization, status, length, schemes in [
            ("/small", None, 200, 200, []),
            ("/big", None, 200, BIG_BYTES, []),
            ("/401/7", "NTLM " + tokens.negotiate(), 401, 341, ["Negotiate", "NTLM " + tokens.challenge(7)]),
            ("/401/7", three, 401, 341, ["Negotiate", "NTLM"]),
            ("/logon/7", "NTLM " + tokens.negotiate(), 401, 341, ["Negotiate", "NTLM " + tokens.challenge(7)]),
            ("/logon/7", three, 200, 200, []),
        ]:
            client.request("GET", target, headers={"Authorization": authorization} if authorization else {})
            answer = client.getresponse()
            got = (answer.status, len(answer.read()), answer.headers.get_all("WWW-Authenticate") or [])
            if got != (status, length, schemes):
                raise proc.Failed(f"the backend answers {target} with {got}")
        client.close()


def nginx_head(rig, name, workers):
    """The part of an nginx configuration that backend and contender share, up to the open `http {{`."""
    temporary = "\n".join(
        f"  {kind}_temp_path {name}-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""daemon off;
pid {name}.pid;
error_log stderr error;
worker_processes {workers};
worker_rlimit_nofile {rig.connections * 2};
events {{ worker_connections {rig.connections * 2 - 256}; }}
http {{
{temporary}
  access_log off;
  sendfile on;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  variables_hash_bucket_size 256;
  map_hash_bucket_size 256;"""


def start_nginx(rig, config, name, sockets):
    """nginx takes over listening sockets that its environment names: that is how it is upgraded in place."""
    process = proc.start(
        ["nginx", "-p", rig.folder, "-e", "stderr", "-c", config],
        rig.log(name),
        env={"NGINX": "".join(f"{sock.fileno()};" for sock in sockets)},
        fds=[sock.fileno() for sock in sockets],
    )
    for sock in sockets:
        sock.close()
    return process


def client_context(rig):
    context = ssl.create_default_context(cafile=rig.path("ca.pem"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def wait_until_it_answers(rig, process, port, tls, seconds=10):
    """One request for the small answer, repeated until it is right."""
    until = time.monotonic() + seconds
    while True:
        try:
            if tls:
                client = http.client.HTTPSConnection("localhost", port, timeout=2, context=client_context(rig))
            else:
                client = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            client.request("GET", "/small")
            answer = client.getresponse()
            body = answer.read()
            client.close()
            if answer.status == 200 and body == SMALL_BODY.encode():
                return
            problem = f"answers {answer.status} {body[:200]!r}"
        except (OSError, http.client.HTTPException) as error:
            problem = repr(error)
        if process.poll() is not None:
            raise proc.Failed(f"{process.args[0]} ended with {process.returncode}: {proc.tail(process)}")
        if time.monotonic() > until:
            raise proc.Failed(f"{process.args[0]} on port {port} {problem}; it said: {proc.tail(process)}")
        time.sleep(0.05)
