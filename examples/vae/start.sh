#!/usr/bin/env bash
# main.ts over two ranks, or as many as RANKS says. Open MPI's settings are in the environment, where another mpirun does not mind them.
set -euo pipefail
command -v mpirun >/dev/null || {
  echo "Ranks are started by mpirun, which is not here. Install it (Debian: apt-get install openmpi-bin), \
or start one process: TSX_TSCONFIG_PATH=tsconfig.build.json node --import tsx examples/vae/main.ts" >&2
  exit 1
}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1    # in containers, where there is nobody else
export OMPI_MCA_rmaps_base_oversubscribe=1                          # more ranks than cores are slow, not forbidden
export OMPI_MCA_hwloc_base_binding_policy=none                      # the threads of Node's may run on every core
export TSX_TSCONFIG_PATH=tsconfig.build.json                        # "adamax" is the built package
cd "$(dirname "$0")/../.."
exec mpirun -n "${RANKS:-2}" node --import tsx examples/vae/main.ts "$@"
