"""A Slurm cluster of three pretended nodes on this machine: `cpu1`; `gpu1` and `gpu2` with two pretended GPUs each."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

CONFIG = Path("/etc/slurm")  # jobs' steps look nowhere else: SLURM_CONF is taken from their environment
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
NODES = {"cpu1": "", "gpu1": "Gres=gpu:fake:2", "gpu2": "Gres=gpu:fake:2"}
PREFIX = "discreteness-slurm-"
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}

SLURM_CONF = """
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=100000
PropagateResourceLimits=NONE
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=3
MinJobAge=36000
GresTypes=gpu
{nodes}
PartitionName=cpu Nodes=cpu1 Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=gpu1,gpu2 MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Why no cluster can be started here; nothing where one can."""
    absent = [name for name in PROGRAMS if _program(name) is None]
    if absent:
        return f"no {', '.join(absent)} (Debian: apt-get install slurmctld slurmd slurm-client munge)"
    if os.geteuid() != 0:
        return "a Slurm cluster can only be started by root"
    found = CONFIG / "slurm.conf"
    if found.is_symlink() and found.readlink().parent.name.startswith(PREFIX):
        if _processes(found.readlink().parent):
            return f"another test run uses {found}"
    elif found.exists():
        return f"{found} belongs to a cluster of this machine, which is left alone"
    return None


class SlurmCluster:
    """Started by `with`; stopped at its end, whatever happened, with all its jobs."""

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.folder.chmod(0o755)
        self.made_config, self.daemons = not CONFIG.exists(), []
        try:
            self._configure()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if _answers(["squeue"]):
            self.cancel()
        for process in _processes(self.folder):
            process.kill()
        for daemon in self.daemons:
            daemon.wait()
        for name in ("slurm.conf", "gres.conf"):
            link = CONFIG / name
            if link.is_symlink() and link.readlink().parent == self.folder:
                link.unlink()
        if self.made_config:
            CONFIG.rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _configure(self):
        host, ports = socket.gethostname().split(".")[0], _free_ports(1 + len(NODES))
        nodes = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=64000 {extra}"
            for (name, extra), port in zip(NODES.items(), ports[1:], strict=True)
        ]
        text = SLURM_CONF.format(
            name=self.folder.name, folder=self.folder, host=host, ports=ports, nodes="\n".join(nodes)
        )
        (self.folder / "slurm.conf").write_text(text)
        devices = [self.folder / f"gpu{number}" for number in range(2)]
        for device in devices:  # only a character device makes Slurm set CUDA_VISIBLE_DEVICES
            os.mknod(device, 0o666 | 0o020000, os.makedev(1, 3))
        lines = [f"NodeName={node} Name=gpu Type=fake File={device}" for node in ("gpu1", "gpu2") for device in devices]
        (self.folder / "gres.conf").write_text("\n".join(["AutoDetect=off", *lines, ""]))
        CONFIG.mkdir(exist_ok=True)
        for name in ("slurm.conf", "gres.conf"):
            (CONFIG / name).unlink(missing_ok=True)
            (CONFIG / name).symlink_to(self.folder / name)
        for name in ("state", "munge", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)

    def _start(self):
        munge = self.folder / "munge"
        (munge / "key").write_bytes(os.urandom(1024))
        (munge / "key").chmod(0o600)
        for path in (munge, munge / "key"):
            shutil.chown(path, "munge", "munge")
        options = [f"--{name}={munge}/{name}" for name in ("socket", "key-file", "pid-file", "log-file", "seed-file")]
        options[1] = f"--key-file={munge}/key"
        subprocess.run([_program("munged"), "--force", *options], check=True, user="munge", group="munge", cwd=munge)
        self.start_controller("-c")
        for node in NODES:
            self.start_node(node)
        self.wait(lambda: set(self.nodes().values()) == {"idle"}, 30, "nodes to be idle")

    def start_controller(self, *options: str):
        """Start slurmctld, with the state it had saved."""
        self._daemon("slurmctld", *options)

    def start_node(self, node: str):
        """Start a node's slurmd."""
        self._daemon("slurmd", "-N", node)

    def _daemon(self, name: str, *options: str):
        log = open(self.folder / f"{name}.out", "ab")  # noqa: SIM115
        with log:
            command = [_program(name), "-D", *options]
            daemon = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.daemons.append(daemon)

    def kill_controller(self):
        """slurmctld dies."""
        _kill(int((self.folder / "slurmctld.pid").read_text()))

    def kill_node(self, node: str):
        """A node dies: its slurmd and everything its jobs run."""
        _kill(int((self.folder / f"slurmd.{node}.pid").read_text()))
        tasks = [p for p in _processes(self.folder) if _variables(p).get("SLURMD_NODENAME") == node]
        steps = [step for task in tasks for step in task.parents() if step.name() == "slurmstepd"]
        for process in [*steps, *tasks]:
            _kill(process.pid)

    def nodes(self) -> dict[str, str]:
        """Node -> state (`idle`, `down*`, …)."""
        return dict(line.split() for line in _run("sinfo", "-h", "-N", "-o", "%N %t").splitlines())

    def jobs(self) -> list[dict[str, str]]:
        """Every job that Slurm knows, ended ones of the last minutes too; keys as `scontrol show job` names them."""
        lines = _run("scontrol", "show", "job", "--detail", "--oneliner").splitlines()
        found = [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]
        return [job for job in found if "JobId" in job]

    def running(self) -> list[dict[str, str]]:
        """The jobs that have not ended."""
        return [job for job in self.jobs() if job["JobState"] not in ENDED]

    def cancel(self):
        """Cancel all jobs and wait until they are gone."""
        for job in self.running():
            _run("scancel", job["JobId"])
        self.wait(lambda: not self.running(), 60, "jobs to end")

    def job_processes(self, folder: Path) -> list[psutil.Process]:
        """What jobs (and anything else) still run in a folder."""
        return [process for process in psutil.process_iter() if _cwd(process) == str(folder)]

    def wait(self, condition, seconds: float, what: str):
        """Poll until a condition holds; an AssertionError that says what was waited for, and how things stand."""
        wait(condition, seconds, lambda: f"{what}\n{_run('squeue')}\n{_run('sinfo', '-N')}")


def wait(condition, seconds: float, what):
    """Poll until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what() if callable(what) else what}"
        time.sleep(0.2)


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _run(*command: str) -> str:
    """A client's output; tried again while the controller is away."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _answers(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _cwd(process: psutil.Process) -> str | None:
    try:
        return process.cwd()
    except psutil.Error:
        return None


def _variables(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


def _processes(folder: Path) -> list[psutil.Process]:
    """Daemons, steps and jobs of the cluster in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            told = " ".join([*process.cmdline(), process.cwd(), process.environ().get("SLURM_CLUSTER_NAME", "")])
        except psutil.Error:
            continue
        if folder.name in told:
            found.append(process)
    return found


def _kill(pid: int):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
