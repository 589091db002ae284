/** Who started this process, by what it left in the environment. Read before MPI is: a process that nobody started needs none. */

import type { MpiName } from "./mpi-abi.js";

export interface Launcher {
  /** As errors call it. */
  readonly name: string;
  /** Processes that it started. */
  readonly size: number;
  /** The MPI that understands it. */
  readonly mpi: MpiName;
  /** The variable that says so. */
  readonly sign: string;
}

/** The first that is there counts: Slurm's variables are also seen by what was started inside of it. */
const SIGNS: readonly Omit<Launcher, "size">[] = [
  { sign: "OMPI_COMM_WORLD_SIZE", name: "Open MPI's mpirun", mpi: "openmpi" },
  { sign: "PMI_SIZE", name: "MPICH's mpirun", mpi: "mpich" },
  { sign: "SLURM_STEP_NUM_TASKS", name: "srun", mpi: "openmpi" },
];

/** null: the process was started by itself. */
export const launcherOf = (environment: Readonly<Record<string, string | undefined>>): Launcher | null => {
  const found = SIGNS.find(({ sign }) => Number(environment[sign]) > 0);
  return found ? { ...found, size: Number(environment[found.sign]) } : null;
};
