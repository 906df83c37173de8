"""Is nothing lost when workers of a cluster are killed, and are two of them faster than one?

    OMP_NUM_THREADS=1 python -m benchmarks.many kill --runs 20
    OMP_NUM_THREADS=1 python -m benchmarks.many rate --size 2048 --step 7

`kill` maps an image by two workers, again and again, and kills one of them each time at a random
moment; what is written must be, byte by byte, what one process writes. `rate` maps an image by one
process, by one worker and by two, and tells windows a second and the workers' largest memory.
"""

import argparse
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from distributed import Client, LocalCluster

import pyroshift as ps

PATIENCE = 20  # seconds until a killed worker is taken not to come back


def main() -> None:
    """Run a task and print its table."""
    parser = argparse.ArgumentParser("benchmarks.many")
    parser.add_argument("task", choices=("kill", "rate"))
    parser.add_argument("--runs", type=int, default=20, help="how often a worker is killed")
    parser.add_argument("--size", type=int, help="of the image, in pixels")
    parser.add_argument("--step", type=int, help="of the windows, in pixels")
    parser.add_argument("--guide", default="normal", help="of the model: normal or anchor")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of killing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.task == "kill":
        kill(given.runs, given.size or 512, given.step or 4, given.guide, given.seed)
    else:
        rate(given.size or 2048, given.step or 7, given.guide)


@contextmanager
def cluster(count: int) -> Iterator[Client]:
    """A client of so many workers on this machine, of one thread each."""
    with (
        LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield client


def kill(runs: int, size: int, step: int, guide: str, seed: int) -> None:
    """Kill one of two workers in the middle, so many times."""
    image, model = scene(size), ps.ShiftVAE(28, guide=guide)
    chance = random.Random(seed)
    print("| run | killed after, s | of, s | the same bytes |\n|---|---|---|---|")
    whole = 0
    with tempfile.TemporaryDirectory() as folder, cluster(2) as client:

        def seconds(name: str, **options: Any) -> float:
            start = time.perf_counter()
            path = Path(folder) / name
            ps.encode_image(
                model, image, path, step=step, rows=8, progress=False, overwrite=True, **options
            )
            return time.perf_counter() - start

        seconds("alone.zarr")
        expected = contents(Path(folder) / "alone.zarr")
        seconds("maps.zarr", client=client)  # the first imports torch
        usual = seconds("maps.zarr", client=client)
        for run in range(runs):
            moment = chance.uniform(0, 0.9) * usual
            victim = chance.choice(sorted(processes(client)))
            killer = threading.Timer(moment, os.kill, (victim, signal.SIGKILL))
            killer.start()
            took = seconds("maps.zarr", client=client)
            killer.join()
            same = contents(Path(folder) / "maps.zarr") == expected
            whole += same
            print(f"| {run} | {moment:.2f} | {took:.2f} | {same} |", flush=True)
            replace(client, victim)
    print(f"\n{whole} of {runs} are the same; undisturbed {usual:.2f} s")


def replace(client: Client, victim: int) -> None:
    """Wait until there are two workers again.

    Now and then the nanny of one that was killed says that it starts it again, and no process is
    there: then another worker is added.
    """
    waited = 0.0
    while victim in processes(client) or len(client.nthreads()) < 2:
        time.sleep(0.1)
        waited += 0.1
        if waited > PATIENCE:
            client.cluster.scale(len(client.cluster.worker_spec) + 1)
            waited = 0.0


def rate(size: int, step: int, guide: str) -> None:
    """Windows a second by one process, one worker and two."""
    image, model = scene(size), ps.ShiftVAE(28, guide=guide)
    print("| by | s | windows a second | largest memory of a worker, GB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for count in (0, 1, 2):
            path = Path(folder) / f"{count}.zarr"
            if not count:
                report("this process", *timed(model, image, path, step), 0.0)
                continue
            with cluster(count) as client:
                small = Path(folder) / f"small{count}.zarr"
                timed(model, image[:256, :256], small, step, client=client)  # it imports torch
                measured = timed(model, image, path, step, client=client)
                memory = max(client.run(peak).values())
            report(f"{count} workers", *measured, memory)


def timed(model: Any, image: Any, path: Path, step: int, **options: Any) -> tuple[float, int]:
    """How long an image takes, and how many windows it has."""
    start = time.perf_counter()
    maps = ps.encode_image(model, image, path, step=step, progress=False, **options)
    return time.perf_counter() - start, maps.elbo.size


def report(name: str, seconds: float, windows: int, memory: float) -> None:
    """Print a row."""
    print(f"| {name} | {seconds:.1f} | {windows / seconds:.0f} | {memory:.2f} |", flush=True)


def scene(size: int) -> Any:
    """A lattice of two phases."""
    made = ps.synthetic.lattice_image((size, size), period=12, phases=2, noise=0.1, seed=0)
    return made.image


def contents(path: Path) -> dict[str, bytes]:
    """All files of a store."""
    found = (file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in found}


def processes(client: Client) -> set[int]:
    """Numbers of the workers' processes, asked for again where one dies meanwhile."""
    while True:
        with suppress(OSError):
            return set(client.run(os.getpid).values())
        time.sleep(0.1)


def peak() -> float:
    """The largest memory that this process ever had, in GB; not its parent's, as `getrusage`."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024**2


if __name__ == "__main__":
    main()
