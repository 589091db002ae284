#!/usr/bin/env bash
# What the tests need beyond npm: a Chromium. Does nothing when it is there.
set -euo pipefail
chromium="${CHROMIUM:-/usr/bin/chromium}"
[ -x "$chromium" ] && exit 0

need="The tests run in Chromium, and there is none at $chromium. Install it (Debian: apt-get install chromium), \
or set CHROMIUM to the path of one."
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || [ -n "${CHROMIUM:-}" ]; then
  echo "$need" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update && apt-get install -y --no-install-recommends chromium </dev/null || true
[ -x "$chromium" ] || { echo "$need" >&2; exit 1; }
