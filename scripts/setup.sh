#!/usr/bin/env bash
# What the tests need beyond `npm ci`: a Chromium (with it comes SwiftShader, a GPU in software), the loader by which the package webgpu finds SwiftShader
# in Node, two MPIs (they live side by side), Firefox, WebKit with a screen for it, and what test/engines has (the newest Node, Deno, Bun, the
# oldest TypeScript). Does nothing when they are there.
set -euo pipefail
cd "$(dirname "$0")/.."
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
  [ -x /usr/bin/firefox-esr ] || {
    packages+=(firefox-esr)
    needs+=("The tests of other engines run in Firefox, and there is none at /usr/bin/firefox-esr (Debian: apt-get install firefox-esr).")
  }
  compgen -G "/usr/lib/*/webkit2gtk-4.1/MiniBrowser" >/dev/null || {
    packages+=(libwebkit2gtk-4.1-0)
    needs+=("They also run in WebKit, and its MiniBrowser is not here (Debian: apt-get install libwebkit2gtk-4.1-0).")
  }
  command -v xvfb-run >/dev/null && command -v xauth >/dev/null || {
    packages+=(xvfb xauth)
    needs+=("WebKit wants a screen, and there is no xvfb-run with its xauth to make one (Debian: apt-get install xvfb xauth).")
  }
}

# Engines and compilers come from npm, for the tests alone: `npm ci` in the repository stays small.
for program in node-26/bin/node @deno/linux-x64-glibc/deno @oven/bun-linux-x64/bin/bun typescript-5.4/bin/tsc; do
  [ -e "test/engines/node_modules/$program" ] || {
    npm ci --prefix test/engines --ignore-scripts --no-audit --no-fund --omit=optional
    break
  }
done
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
