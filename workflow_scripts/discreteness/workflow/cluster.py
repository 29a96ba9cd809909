"""A folder's run on a Slurm cluster: its jobs, and `python -m discreteness.workflow.cluster`, which stops all of it.

Jobs are known by the prefix of their name (profiles/slurm) and by their working folder, so that other runs and other
jobs of the same user are left alone.
"""

import argparse
import getpass
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil

from discreteness.core.command_line import entry_point
from discreteness.core.errors import InputError

PREFIX = "discreteness"  # slurm-jobname-prefix of profiles/slurm
RUN = re.compile(r"(^|/)snakemake$|/\.snakemake/scripts/")  # in a command line: Snakemake, or a script it runs
PATIENCE = 60  # seconds until Snakemake, which cancels its jobs, must have ended; until no new job may have appeared


def queued(folder: Path) -> list[str]:
    """Ids of the jobs of a folder's run that wait, run or are ending. Raises InputError where no scheduler answers."""
    if shutil.which("squeue") is None:
        raise InputError("squeue: not found, so no Slurm cluster can be used from this machine")
    command = ["squeue", "--noheader", "--user", getpass.getuser(), "--format", "%i|%j|%Z"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        raise InputError("squeue: no answer from the scheduler within a minute") from None
    if result.returncode:
        raise InputError(f"squeue: {' '.join(result.stderr.split())}")
    jobs = [line.split("|", 2) for line in result.stdout.splitlines()]
    return [id_ for id_, name, where in jobs if name.startswith(f"{PREFIX}_") and _same(where, folder)]


def check_none_left(folder: Path) -> None:
    """Raise InputError where jobs of an earlier run would write the same files as those of the one that starts."""
    if left := queued(folder):
        raise InputError(
            f"jobs {', '.join(left)} of an earlier run in this folder have not ended: wait for them, or stop them with "
            "`make cluster-stop`"
        )


def stop(folder: Path) -> None:
    """End the Snakemake of a folder where it runs on this machine, cancel its jobs, wait until all are gone, unlock.

    Raises InputError when jobs keep appearing: a Snakemake on another machine submits them.
    """
    _end(_snakemakes(folder))
    end, empty = time.monotonic() + PATIENCE, 0
    while empty < 2:  # a submission under way when Snakemake ended shows up a moment later
        if left := queued(folder):
            print(f"cancelling {', '.join(left)}", flush=True)
            subprocess.run(["scancel", *left], check=False)  # those that have just ended are no error
            if time.monotonic() > end:
                raise InputError(
                    f"jobs {', '.join(left)} do not end, or new ones appear: is a Snakemake running in this folder on "
                    "another machine? Stop it there first"
                )
        empty = 0 if left else empty + 1
        time.sleep(2)
    # What `snakemake --unlock` does, without its check that the configuration of this command line can be run
    shutil.rmtree(folder / ".snakemake" / "locks", ignore_errors=True)
    print("nothing runs any more; the same snakemake command goes on from here")


def _same(where: str, folder: Path) -> bool:
    return os.path.realpath(where) == os.path.realpath(folder)


def _snakemakes(folder: Path) -> list[psutil.Process]:
    """Snakemake in a folder and what it runs beside itself; jobs of the cluster apart, which `scancel` ends."""
    processes = []
    for process in psutil.process_iter():
        try:
            here = _same(process.cwd(), folder) and "SLURM_JOB_ID" not in process.environ()
            if here and any(RUN.search(part) for part in process.cmdline()):
                processes.append(process)
        except psutil.Error:  # not ours, or gone
            continue
    return processes


def _end(processes: list[psutil.Process]) -> None:
    """Interrupt what nothing else of the list has started, as Ctrl-C does; kill what is still there later."""
    ids = {process.pid for process in processes}
    for process in processes:
        if process.ppid() not in ids:
            print(f"interrupting {process.pid}: {' '.join(process.cmdline())}", flush=True)
            process.send_signal(signal.SIGINT)
    for process in psutil.wait_procs(processes, timeout=PATIENCE)[1]:
        process.kill()


@entry_point()
def main() -> None:
    """Stop the run of the folder that this is called in."""
    description = "Stops the run of this folder: its Snakemake, and its jobs on the Slurm cluster."
    argparse.ArgumentParser(prog="python -m discreteness.workflow.cluster", description=description).parse_args()
    stop(Path.cwd())


if __name__ == "__main__":
    main()
