#!/bin/bash
# Installs what `make bench` drives (wrk, nginx, HAProxy, tshark, Python 3, OpenSSL) from Debian's packages. Does nothing when all of it is there.
# No daemon of these packages is started: the benchmark starts its own, on loopback, and ends them.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

declare -A package=([wrk]=wrk [nginx]=nginx-light [haproxy]=haproxy [tshark]=tshark [python3]=python3 [openssl]=openssl)
missing=()
for command in "${!package[@]}"; do
  command -v "$command" >/dev/null || missing+=("${package[$command]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "benches/install.sh: not a Debian system; install these yourself: ${missing[*]}" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "benches/install.sh: needs root to install: ${missing[*]}" >&2; exit 1; }
  exec sudo -- "$0" "$@"
fi

# invoke-rc.d asks this file before it starts a service; 101 means no. One that already says no is left alone.
policy=/usr/sbin/policy-rc.d
restore=
answer=0
if [ -e $policy ]; then
  $policy nginx start >/dev/null 2>&1 || answer=$?
fi
if [ "$answer" != 101 ]; then
  if [ -e $policy ]; then
    kept=$(mktemp $policy.XXXXXX)
    mv $policy "$kept"
    restore="mv '$kept' $policy"
  else
    restore="rm -f $policy"
  fi
  trap 'eval "$restore"' EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
fi

export DEBIAN_FRONTEND=noninteractive
quiet=(-qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
log=$(mktemp)
echo "benches/install.sh: installing ${missing[*]}" >&2
{ apt-get "${quiet[@]}" update && apt-get "${quiet[@]}" install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 ||
  { cat "$log" >&2; exit 1; }
rm -f "$log"
