"""What PyTorch's users have on two ranks: gloo, on this machine. `npm run bench mesh` runs it.

    python bench/mesh.py <seconds> <name>=<tensors>x<parameters in each> ...

prints one line of JSON: by model and side, milliseconds of each step. Both sides alternate, step by step. One thread for each rank.
"""

import json
import os
import socket
import subprocess
import sys
import time

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")

import torch
import torch.distributed as dist
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

WORLD = 2


class Model(torch.nn.Module):
    """A loss whose gradient costs little: the sum of the parameters, each tensor times a number."""

    def __init__(self, tensors, size):
        super().__init__()
        self.tensors = torch.nn.ParameterList([torch.nn.Parameter(torch.rand(size) - 0.5) for _ in range(tensors)])

    def forward(self, factor):
        return sum(tensor.sum() for tensor in self.tensors) * factor


def sides(tensors, size):
    options = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-7)
    model = DistributedDataParallel(Model(tensors, size))
    optimizer = torch.optim.Adamax(model.parameters(), foreach=True, **options)

    def ddp():
        optimizer.zero_grad(set_to_none=True)
        model(0.1).backward()
        optimizer.step()

    parameters = list(Model(tensors, size).parameters())
    flat = torch.full((tensors * size,), 0.1)
    for parameter, part in zip(parameters, flat.split(size)):
        parameter.grad = part.view_as(parameter)
    sharded = ZeroRedundancyOptimizer(parameters, optimizer_class=torch.optim.Adamax, **options)

    def zero():
        dist.all_reduce(flat)
        flat.div_(WORLD)
        sharded.step()

    return {"DistributedDataParallel": ddp, "ZeroRedundancyOptimizer": zero}


def measure(rank, port, seconds, models):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=WORLD)
    answer = {}
    for name, tensors, size in models:
        steps = sides(tensors, size)
        times = {side: [] for side in steps}
        begin, rounds = time.perf_counter(), 0
        over = torch.zeros(1)
        while over.item() == 0:
            for side, step in steps.items():
                dist.barrier()
                started = time.perf_counter()
                step()
                dist.barrier()
                if rounds >= 3:
                    times[side].append(1e3 * (time.perf_counter() - started))
            rounds += 1
            over[0] = rank == 0 and rounds >= 8 and time.perf_counter() - begin > seconds / len(models)
            dist.broadcast(over, 0)
        answer[name] = {"times": times, "bytes": {}}
    if rank == 0:
        print(json.dumps(answer))
    dist.destroy_process_group()


def main():
    seconds, *given = sys.argv[1:]
    if given[0] == "--rank":
        rank, port, given = int(given[1]), int(given[2]), given[3:]
    else:
        rank = 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        other = subprocess.Popen([sys.executable, __file__, seconds, "--rank", "1", str(port), *given], stdout=subprocess.DEVNULL)
    models = [(name, *map(int, shape.split("x"))) for name, shape in (one.rsplit("=", 1) for one in given)]
    measure(rank, port, float(seconds), models)
    if rank == 0:
        other.wait()


if __name__ == "__main__":
    main()
