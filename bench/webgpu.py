"""Seconds for a step of PyTorch's Adamax on the GPU, as JSON: for bench/webgpu.ts."""

import json
import statistics

import torch

if not torch.cuda.is_available():
    raise SystemExit("torch sees no CUDA device")


def seconds_of(parameters: int, compiled: bool) -> float:
    weight = torch.nn.Parameter(torch.full((parameters,), 0.5, device="cuda"))
    weight.grad = torch.rand(parameters, device="cuda") - 0.5
    optimizer = torch.optim.Adamax([weight], lr=0.001, betas=(0.9, 0.999), eps=1e-7, foreach=True)
    step = torch.compile(lambda: optimizer.step(), fullgraph=False) if compiled else optimizer.step
    for _ in range(5):
        step()
    steps = max(1, round(2e8 / parameters))
    samples = []
    for _ in range(15):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(steps):
            step()
        end.record()
        torch.cuda.synchronize()
        samples.append(begin.elapsed_time(end) / 1000 / steps)
    return statistics.median(samples)


seconds = {}
for parameters in (10**6, 10**7, 10**8, 10**9):
    for way in ("foreach", "compiled"):
        try:
            seconds[f"{way} {parameters}"] = seconds_of(parameters, way == "compiled")
        except RuntimeError:  # no memory
            pass
        torch.cuda.empty_cache()
print(json.dumps({"version": f"PyTorch {torch.__version__} on {torch.cuda.get_device_name()}", "seconds": seconds}))
