/** What differs between MPI's two families, whose libraries agree in the names of functions and in nothing else: what a handle is, and which
 *  numbers stand for what. And the functions, bound to a library by koffi. */

import type { LibraryHandle } from "koffi";
import { BackendError } from "../errors.js";
import { largePagesBy } from "./large-pages.js";

export type MpiName = "openmpi" | "mpich";
/** A communicator or a datatype: an address in Open MPI, an int in MPICH. */
export type Handle = bigint | number;

export interface Abi {
  readonly name: string;
  /** The file that the loader of the system finds. The second is what others than Debian call it. */
  readonly libraries: readonly string[];
  /** Debian's packages: the library, and its mpirun. */
  readonly packages: string;
  /** The C type of handles. */
  readonly handle: "void *" | "int";
  /** Set before the library is loaded, unless the user has. */
  readonly environment: Readonly<Record<string, string>>;
  readonly world: Constant;
  /** MPI_INT: what travels is words of four bytes. */
  readonly word: Constant;
  readonly noInfo: Constant;
  readonly inPlace: bigint;
  readonly ignoreStatus: bigint;
  readonly anySource: number;
  /** MPI_COMM_TYPE_SHARED */
  readonly sameHost: number;
}
/** A number, or the symbol whose address it is. */
type Constant = string | number;

// From the headers of Open MPI 4.1 (5 has the same) and of MPICH 4.0 (the ABI that MPICH and its descendants keep since 3.1).
export const ABIS: Readonly<Record<MpiName, Abi>> = {
  openmpi: {
    name: "Open MPI",
    libraries: ["libmpi.so.40"],
    packages: "openmpi-bin",
    handle: "void *",
    environment: { OMPI_MCA_mpi_yield_when_idle: "1" }, // else a rank that waits takes the core from one that computes
    world: "ompi_mpi_comm_world",
    word: "ompi_mpi_int",
    noInfo: "ompi_mpi_info_null",
    inPlace: 1n,
    ignoreStatus: 0n,
    anySource: -1,
    sameHost: 0,
  },
  mpich: {
    name: "MPICH",
    libraries: ["libmpich.so.12", "libmpi.so.12"],
    packages: "mpich",
    handle: "int",
    environment: { UCX_MEM_EVENTS: "n" }, // UCX's hooks in the allocation of memory: some processes died in them at their start
    world: 0x44000000,
    word: 0x4c000405,
    noInfo: 0x1c000000,
    inPlace: -1n,
    ignoreStatus: 1n,
    anySource: -2,
    sameHost: 1,
  },
};

/** Parameters of the functions in use: i an int, h a handle, p a pointer. They return MPI_SUCCESS or not at all, as MPI's errors end the job. */
const SIGNATURES = {
  Init_thread: "ppip",
  Finalize: "",
  Abort: "hi",
  Comm_rank: "hp",
  Comm_size: "hp",
  Comm_dup: "hp",
  Comm_split: "hiip",
  Comm_split_type: "hiihp",
  Ibarrier: "hp",
  Ibcast: "pihihp",
  Iallgatherv: "pihppphhp",
  Ialltoallv: "ppphppphhp",
  Isend: "pihiihp",
  Iprobe: "iihpp",
  Recv: "pihiihp",
  Test: "ppp",
} as const;
type Argument = number | bigint | ArrayBufferView | null;
export type Functions = { readonly [Name in keyof typeof SIGNATURES]: (...args: Argument[]) => number };

/** An MPI library in this process. */
export interface Mpi extends Functions {
  readonly abi: Abi;
  readonly worldHandle: Handle;
  readonly wordType: Handle;
  readonly noInfoHandle: Handle;
  /** For memory that has not been written yet. */
  readonly askForLargePages: (memory: ArrayBufferLike) => void;
}

/** @throws BackendError when koffi or the library is not there. */
export const loadMpi = async (abi: Abi): Promise<Mpi> => {
  const calls = await koffi();
  const { load } = calls;
  for (const [variable, value] of Object.entries(abi.environment)) process.env[variable] ??= value;
  const library = openLibrary(load, abi);
  const types = { i: "int", h: abi.handle, p: "void *" };
  const functions = Object.fromEntries(
    Object.entries(SIGNATURES).map(([name, letters]) => [
      name,
      library.func(
        `MPI_${name}`,
        "int",
        Array.from(letters, (letter) => types[letter as keyof typeof types]),
      ),
    ]),
  ) as unknown as Functions;
  const constant = (constant: Constant): Handle => (typeof constant === "number" ? constant : library.symbol(constant));
  return {
    ...functions,
    abi,
    worldHandle: constant(abi.world),
    wordType: constant(abi.word),
    noInfoHandle: constant(abi.noInfo),
    askForLargePages: largePagesBy(calls),
  };
};

/** The int that a function writes. */
export const numberFrom = (write: (out: Int32Array) => number): number => {
  const out = new Int32Array(1);
  write(out);
  return out[0]!;
};

/** The communicator that a function makes. */
export const handleFrom = ({ abi }: Mpi, write: (out: BigInt64Array) => number): Handle => {
  const out = new BigInt64Array(1);
  write(out);
  return abi.handle === "int" ? new Int32Array(out.buffer)[0]! : out[0]!;
};

const openLibrary = (load: typeof import("koffi").load, { name, libraries, packages }: Abi): LibraryHandle => {
  const failures: string[] = [];
  for (const file of libraries)
    try {
      return load(file, { global: true, lazy: true }); // its plugins look for its symbols
    } catch (error) {
      failures.push(`${file}: ${firstLine(error)}`);
    }
  throw new BackendError(
    `This process was started by ${name}'s mpirun, and ${name}'s library is not here`,
    failures.join("; "),
    `Install it on every machine (Debian: apt-get install ${packages}), or add its folder to LD_LIBRARY_PATH.`,
  );
};

const koffi = async (): Promise<typeof import("koffi")> => {
  try {
    return await import("koffi");
  } catch (error) {
    throw new BackendError(
      "A mesh of several ranks calls MPI through the package koffi",
      firstLine(error),
      "Install it: npm install koffi",
    );
  }
};

const firstLine = (error: unknown): string => String((error as Error).message).split("\n")[0]!;
