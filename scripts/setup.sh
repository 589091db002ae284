#!/usr/bin/env bash
# What the tests need beyond npm: a Chromium (with it comes SwiftShader, a GPU in software), the loader by which the package webgpu finds SwiftShader in
# Node, and two MPIs (they live side by side). Does nothing when they are there.
set -euo pipefail
chromium="${CHROMIUM:-/usr/bin/chromium}"

# What is missing, as Debian's packages; and a sentence for each, for those who cannot or will not let this install them.
look() {
  packages=()
  needs=()
  if [ ! -x "$chromium" ]; then
    packages+=(chromium)
    needs+=("The tests run in Chromium, and there is none at $chromium. Install it (Debian: apt-get install chromium), \
or set CHROMIUM to the path of one.")
  fi
  if [ "$(uname)" = Linux ] && ! PATH="$PATH:/sbin:/usr/sbin" ldconfig -p | grep -q 'libvulkan\.so\.1'; then
    packages+=(libvulkan1)
    needs+=("The tests of WebGPU in Node load libvulkan.so.1, which is not here (Debian: apt-get install libvulkan1).")
  fi
  command -v mpirun.openmpi >/dev/null || {
    packages+=(openmpi-bin)
    needs+=("The tests of meshes start ranks by Open MPI's mpirun.openmpi, which is not here (Debian: apt-get install openmpi-bin).")
  }
  command -v ip >/dev/null || {
    packages+=(iproute2)
    needs+=("Two hosts are made of network namespaces by ip, which is not here (Debian: apt-get install iproute2).")
  }
  command -v mpirun.mpich >/dev/null || {
    packages+=(mpich)
    needs+=("They also start ranks by MPICH's mpirun.mpich, which is not here (Debian: apt-get install mpich).")
  }
}
look
[ "${#packages[@]}" = 0 ] && exit 0

tell() {
  printf '%s\n' "${needs[@]}" >&2
  exit 1
}
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || [[ -n "${CHROMIUM:-}" && ! -x "$chromium" ]]; then tell; fi
export DEBIAN_FRONTEND=noninteractive
apt-get update && apt-get install -y --no-install-recommends "${packages[@]}" </dev/null || true
look
[ "${#packages[@]}" = 0 ] || tell
