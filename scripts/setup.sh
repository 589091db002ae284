#!/usr/bin/env bash
# What the tests need beyond npm: a Chromium (with it comes SwiftShader, a GPU in software), and the loader by which the package webgpu finds
# SwiftShader in Node. Does nothing when they are there.
set -euo pipefail
chromium="${CHROMIUM:-/usr/bin/chromium}"
missing() {
  [ -x "$chromium" ] || echo chromium
  [ "$(uname)" != Linux ] || PATH="$PATH:/sbin" ldconfig -p | grep -q 'libvulkan\.so\.1' || echo libvulkan1
}
packages="$(missing)"
[ -z "$packages" ] && exit 0

need="The tests run in Chromium at $chromium, and on WebGPU in Node with libvulkan.so.1. Missing: ${packages//$'\n'/, }. \
Install what is missing (Debian: apt-get install chromium libvulkan1), or set CHROMIUM to the path of a Chromium."
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || { [ -n "${CHROMIUM:-}" ] && [ ! -x "$chromium" ]; }; then
  echo "$need" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update && apt-get install -y --no-install-recommends $packages </dev/null || true
[ -z "$(missing)" ] || { echo "$need" >&2; exit 1; }
