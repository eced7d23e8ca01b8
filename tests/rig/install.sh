#!/usr/bin/env bash
# Installs the real servers and clients that `make test` drives: Apache with mod_auth_gssapi, a Kerberos KDC, nginx, HAProxy, curl, tcpdump,
# tshark, Java, Chromium, and a Python environment (tests/rig/.venv) with requests-ntlm, requests-gssapi and pyspnego.
#
# usage: tests/rig/install.sh            Debian 12 or later, Ubuntu 22.04 or later; as root, or as a user who may sudo
# A JDK or a browser that is in PATH already is used as it is. Ubuntu has Chromium as a snap only, which cannot read the tests' files:
# install Chromium or Chrome there by other means.
# Run it as often as you like: when everything is there it says so and ends at once. No daemon is started, now or at boot of a
# container; what the tests start, they start themselves on loopback and end again.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$here/.venv
stamp=$venv/installed-for
packages=(
  apache2 libapache2-mod-auth-gssapi gss-ntlmssp
  krb5-kdc krb5-admin-server krb5-user
  nginx-light haproxy
  curl openssl ca-certificates
  tcpdump tshark
  faketime
  python3 python3-venv python3-gssapi
)

say() { echo "rig: $*"; }
die() {
  echo "rig: $*" >&2
  exit 1
}

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
fingerprint=$(cat "${BASH_SOURCE[0]}" "$here/requirements.txt" | sha256sum | cut -d' ' -f1)

# Left by an earlier run that could not get a browser, so that not every run asks the package lists again.
no_browser_package=$(cat "$venv/no-browser-package" 2>/dev/null || true)
browser() {
  command -v chromium || command -v google-chrome || command -v google-chrome-stable
}

# Everything the tests call, by what would be missed if it were not there.
missing() {
  local program
  for program in apache2 nginx haproxy curl openssl tcpdump tshark mergecap faketime java javac htpasswd krb5kdc kadmin.local kdb5_util kinit; do
    command -v "$program" >/dev/null || echo "$program"
  done
  browser >/dev/null || [ -n "$no_browser_package" ] || echo chromium
  [ -e /usr/lib/apache2/modules/mod_auth_gssapi.so ] || echo mod_auth_gssapi
  ls /usr/lib/*/gssntlmssp/gssntlmssp.so >/dev/null 2>&1 || echo gss-ntlmssp
  "$venv/bin/python" -c 'import gssapi, requests, requests_gssapi, requests_ntlm, spnego' 2>/dev/null || echo "the Python environment"
}

if [ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ] && [ -z "$(missing)" ]; then
  say "already installed"
  exit 0
fi

command -v apt-get >/dev/null || die "this needs apt-get (Debian or Ubuntu); elsewhere install by hand: ${packages[*]}"

if [ "$(id -u)" = 0 ]; then
  as_root=()
elif command -v sudo >/dev/null; then
  as_root=(sudo)
else
  die "packages have to be installed: run this as root, or install sudo"
fi

wanted=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || wanted+=("$package")
done
{ command -v java && command -v javac; } >/dev/null || wanted+=(default-jdk-headless)
browser >/dev/null || wanted+=(chromium)

if [ ${#wanted[@]} -gt 0 ]; then
  log=$(mktemp)
  policy=/usr/sbin/policy-rc.d
  saved=$policy.before-rig
  # Debian starts a daemon as soon as its package is installed, on all addresses. policy-rc.d, exiting 101, forbids that.
  if [ -e "$policy" ] && [ ! -e "$saved" ]; then "${as_root[@]}" mv "$policy" "$saved"; fi
  restore() {
    "${as_root[@]}" rm -f "$policy"
    if [ -e "$saved" ]; then "${as_root[@]}" mv "$saved" "$policy"; fi
    rm -f "$log"
  }
  trap restore EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"

  apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null || {
      tail -n 20 "$log" >&2
      die "apt-get $1 failed; its last lines are above"
    }
  }
  say "reading the package lists"
  apt update
  if [ "${wanted[-1]}" = chromium ] && [ -z "$(apt-cache --quiet=2 search --names-only '^chromium$')" ]; then
    no_browser_package=yes
    unset 'wanted[-1]'
    say "this distribution has no package chromium: the soak fails until chromium or google-chrome is in PATH"
  fi
  # Packages of Java leave their manual pages' alternatives there, and slim images lack it.
  "${as_root[@]}" mkdir -p /usr/share/man/man1
  if [ ${#wanted[@]} -gt 0 ]; then
    say "installing ${wanted[*]}"
    apt install --no-install-recommends "${wanted[@]}"
  fi
  restore
  trap - EXIT
fi

# The distribution's own interpreter, whatever `python3` is on this PATH: python3-gssapi belongs to that one.
say "making the Python environment in tests/rig/.venv"
rm -rf "$venv"
/usr/bin/python3 -m venv --system-site-packages "$venv" || die "python3 -m venv failed"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --requirement "$here/requirements.txt" \
  || die "pip could not install what requirements.txt names"

# The tests capture packets: as root, or with `sudo`, which must not ask for a password then.
if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
  say "tcpdump needs root: the tests of real parts fail until this user may sudo without a password"
fi

left=$(missing)
[ -z "$left" ] || die "installed, but still missing: $(echo "$left" | paste -sd, - | sed 's/,/, /g')"
[ -z "$no_browser_package" ] || echo "$no_browser_package" >"$venv/no-browser-package"
echo "$fingerprint" >"$stamp"
say "ready"
