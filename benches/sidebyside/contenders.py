"""How each contender is started in front of the backend. Each returns its process and the port it listens on."""

import os
import shutil
import subprocess

from . import proc
from .rig import CIPHER, nginx_head, start_nginx, wait_until_it_answers

TLS_CAPABLE = {"authtap", "nginx", "haproxy"}  # the others cannot look inside


class Contenders:
    """Starts contenders by name."""

    def __init__(self, rig, threads, authtap, bare_relay, authtap_arguments):
        self.rig = rig
        self.threads = threads
        self.authtap = authtap
        self.bare_relay = bare_relay
        self.authtap_arguments = authtap_arguments
        self.runtime = {"TOKIO_WORKER_THREADS": str(threads)}
        self.run_help = None

    def start(self, name, tls):
        """A fresh process, known to answer. The caller ends it."""
        process, port = getattr(self, "_" + name.replace("-", "_"))(tls)
        try:
            wait_until_it_answers(self.rig, process, port, tls)
        except BaseException:
            proc.end(process)
            raise
        return process, port

    def _authtap(self, tls):
        rig = self.rig
        capture = rig.path("capture")
        shutil.rmtree(capture, ignore_errors=True)
        os.mkdir(capture)
        upstream = f"https://localhost:{rig.tls_port}" if tls else f"http://127.0.0.1:{rig.port}"
        argv = [self.authtap, "run", "--listen", "127.0.0.1:0", "--upstream", upstream]
        argv += ["--capture", os.path.join(capture, "bench.jsonl"), "--log-format", "json"]
        if tls:
            argv += ["--tls-cert", rig.path("leaf.pem"), "--tls-key", rig.path("leaf.key"), "--upstream-ca", rig.path("ca.pem")]
        if self.run_help is None:
            try:
                self.run_help = subprocess.run([self.authtap, "run", "--help"], capture_output=True, text=True, timeout=20).stdout
            except (OSError, subprocess.TimeoutExpired) as error:
                raise proc.Failed(f"{self.authtap} run --help: {error}") from error
        if "--admin" in self.run_help:
            argv += ["--admin", "off"]  # its default port may be somebody else's
        process = proc.start(argv + self.authtap_arguments, rig.log("authtap"), env=self.runtime)
        return process, proc.announced_port(process, {rig.port, rig.tls_port})

    def _bare(self, tls):
        assert not tls
        process = proc.start(
            [self.bare_relay, "127.0.0.1:0", f"127.0.0.1:{self.rig.port}"], self.rig.log("bare"), env=self.runtime
        )
        return process, proc.announced_port(process, {self.rig.port})

    def _nginx(self, tls):
        rig = self.rig
        sock = proc.listening_socket()
        port = sock.getsockname()[1]
        if tls:
            front = f"""listen 127.0.0.1:{port} ssl;
    ssl_certificate leaf.pem;
    ssl_certificate_key leaf.key;
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites {CIPHER};"""
            back = """proxy_pass https://backend;
      proxy_ssl_protocols TLSv1.3;
      proxy_ssl_server_name on;
      proxy_ssl_name localhost;
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate ca.pem;"""
        else:
            front = f"listen 127.0.0.1:{port};"
            back = "proxy_pass http://backend;"
        config = rig.write("proxy.conf", f"""
{nginx_head(rig, "proxy", workers=self.threads)}
  upstream backend {{
    server 127.0.0.1:{rig.tls_port if tls else rig.port};
    keepalive 128;
    keepalive_requests 1000000000;
  }}
  server {{
    {front}
    location / {{
      {back}
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_max_temp_file_size 0;
    }}
  }}
}}
""")
        return start_nginx(rig, config, "nginx", [sock]), port

    def _haproxy(self, tls):
        return self._start_haproxy("http", tls)

    def _haproxy_tcp(self, tls):
        assert not tls
        return self._start_haproxy("tcp", tls)

    def _start_haproxy(self, mode, tls):
        rig = self.rig
        sock = proc.listening_socket()
        port = sock.getsockname()[1]
        front = f" ssl crt {rig.path('leaf-both.pem')} alpn http/1.1" if tls else ""
        back = f" ssl verify required ca-file {rig.path('ca.pem')} sni str(localhost) verifyhost localhost alpn http/1.1" if tls else ""
        config = rig.write("haproxy.cfg", f"""
global
  nbthread {self.threads}
  maxconn {rig.connections - 256}
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-bind-ciphersuites {CIPHER}
defaults
  mode {mode}
  timeout connect 10s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
frontend front
  bind fd@{sock.fileno()}{front}
  default_backend back
backend back
  server one 127.0.0.1:{rig.tls_port if tls else rig.port}{back}
""")
        process = proc.start(["haproxy", "-db", "-f", config], rig.log("haproxy"), fds=[sock.fileno()])
        sock.close()
        return process, port

    def gaps(self):
        """How many times authtap told, in its capture, that it had dropped observations."""
        folder, count = self.rig.path("capture"), 0
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            with open(os.path.join(folder, name), errors="replace") as capture:
                count += sum('"type":"gap"' in line for line in capture)
        return count
