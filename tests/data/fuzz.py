"""Damaged files, read in a process of their own, so that crashes and memory are measured.

`python fuzz.py FOLDER COUNT SEED NAME ...` damages each named file of FOLDER/intact so many times
and prints a line for whatever gives neither a result nor an error of ours.
"""

import os
import random
import resource
import shutil
import signal
import sys
import warnings
from pathlib import Path

from pyroshift.data.readers import load_image, load_spectra
from pyroshift.errors import ModelFileError, ReaderError

PATIENCE = 10  # seconds of the processor
MOST_MEMORY = 10**9  # bytes beyond those of the imports
SPECTRA = "spectra"  # the name of a file of spectra


def truncated(content, rng):
    return content[: rng.randrange(1, len(content))]


def swapped(content, rng):
    """Two blocks in each other's place."""
    size = rng.choice([1, 2, 4, 8, rng.randrange(1, len(content) // 2)])
    one, other = sorted(rng.randrange(len(content) - size) for _ in range(2))
    other = max(other, one + size)
    first, second = content[one : one + size], content[other : other + size]
    return content[:one] + second + content[one + size : other] + first + content[other + size :]


def random_bytes(content, rng):
    """Some bytes, or the four of a number, by chance; half of them in the header."""
    damaged = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        place = rng.randrange(len(content) if rng.random() < 0.5 else min(512, len(content)))
        chosen = rng.choice([rng.randbytes(1), rng.randbytes(4), b"\0", b"\xff" * 4, b"\x7f"])
        damaged[place : place + len(chosen)] = chosen
    return bytes(damaged)


DAMAGE = (truncated, swapped, random_bytes)


def read(path):
    if path.suffix == ".pt":
        from pyroshift import load

        return load(path)
    return load_spectra(path) if path.stem == SPECTRA else load_image(path)


def target(path):
    """What is damaged where a format is a folder or several files."""
    return {".zspy": path / "Experiments/lattice/data/.zarray", ".emi": path}.get(path.suffix, path)


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def prepare(folder, name):
    """Copies what is damaged in part, or lies beside what is damaged."""
    intact, path = folder / "intact" / name, folder / "damaged" / name
    read(intact)
    for companion in intact.parent.glob(f"{intact.stem}_[0-9].ser"):
        shutil.copy(companion, path.parent)
    if intact.is_dir():
        shutil.copytree(intact, path)


def attempt(folder, name, number, seed):
    """Reads one damaged file; what was wrong about that, or nothing."""
    kind = DAMAGE[number % len(DAMAGE)]
    content = target(folder / "intact" / name).read_bytes()
    path = folder / "damaged" / name
    target(path).write_bytes(kind(content, random.Random(f"{seed} {name} {number}")))
    try:
        read(path)
    except (ReaderError, ModelFileError):
        pass
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return ""


def named(case):
    """A case as it is told, and found again."""
    name, number = case
    return f"{name}, {DAMAGE[number % len(DAMAGE)].__name__}, {number}"


def run(folder, cases, seed, start):
    """Attempts the cases from this one on; ends with 1 after one that took too much memory."""
    before = memory()
    for at in range(start, len(cases)):
        (folder / "case").write_text(str(at))
        signal.setitimer(signal.ITIMER_PROF, PATIENCE)
        wrong = attempt(folder, *cases[at], seed)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if wrong:
            print(f"{named(cases[at])}: {wrong}", flush=True)
        if memory() - before > MOST_MEMORY:
            return 1
    return 0


def main(folder, count, seed, names):
    """Attempts all cases, in a process that a fresh one follows where it came to an end."""
    folder = Path(folder)
    for name in names:
        prepare(folder, name)
    cases = [(name, number) for name in names for number in range(int(count))]
    start = 0
    while start < len(cases):
        child = os.fork()
        if not child:
            os._exit(run(folder, cases, seed, start))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if not status:
            return
        at = int((folder / "case").read_text())
        ends = {1: f"more than {MOST_MEMORY / 1e9} GB", -signal.SIGPROF: f"{PATIENCE} s"}
        print(f"{named(cases[at])}: {ends.get(status, f'ended with {status}')}", flush=True)
        start = at + 1


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (2**35, 2**35))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
