"""Snapshots of a training, from which an interrupted one continues. Safetensors with a JSON header, no pickle."""

import hashlib
import json
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from discreteness.core.io import atomic

logger = logging.getLogger("discreteness")


@dataclass(frozen=True)
class Pace:
    """A snapshot is saved every `seconds`, less often where saving would take more than `share` of the time."""

    seconds: float = 30.0
    share: float = 0.01


PACE = Pace()


def identity(rows: pd.DataFrame, settings: dict, seed: int) -> str:
    """Hash of rows, settings, seed, torch version and number of threads: a snapshot with another hash is not used."""
    inputs = [settings, seed, torch.__version__, torch.get_num_threads(), list(rows["prompt"]), list(rows["answer"])]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


class Snapshot:
    """The only file of a folder, `state.safetensors`: weights, optimiser moments and the record of the steps.

    Batches are functions of seed and step (`batches.draw`), so no random number generator is saved.
    """

    def __init__(self, folder: Path, identity: str, pace: Pace):
        self.folder, self.path = folder, folder / "state.safetensors"
        self.identity, self.pace = identity, pace
        self._last, self._cost = time.monotonic(), 0.0

    def due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() - self._last >= max(self.pace.seconds, self._cost / self.pace.share)

    def save(self, network: torch.nn.Module, optimiser: torch.optim.Optimizer, record: dict) -> None:
        """Save all that the next step needs, completely or not at all."""
        start = time.monotonic()
        tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
        for index, moments in optimiser.state_dict()["state"].items():
            tensors.update({f"optimiser.{index}.{name}": tensor for name, tensor in moments.items()})
        header = {"record": json.dumps(record), "identity": self.identity, "sha256": _digest(tensors)}
        with atomic(self.path) as temporary:
            save_file(tensors, temporary, metadata=header)
        self._last = time.monotonic()
        self._cost = self._last - start

    def load(self, network: torch.nn.Module, optimiser: torch.optim.Optimizer) -> dict | None:
        """Restore network and optimiser and return the record; None where there is no usable snapshot."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                header = file.metadata()
            if header["identity"] != self.identity:
                logger.info("%s is of another training; starting afresh", self.path)
                return None
            tensors, record = load_file(self.path), json.loads(header["record"])
            if _digest(tensors) != header["sha256"]:
                raise ValueError("its content does not have the hash in its header")
        except (SafetensorError, TypeError, KeyError, ValueError) as error:
            logger.warning("%s cannot be read (%s); starting afresh", self.path, error)
            return None
        own = {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
        network.load_state_dict(own, strict=True)
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimiser."):
                _, index, moment = name.split(".")
                moments.setdefault(int(index), {})[moment] = tensor
        optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
        logger.info("going on from step %d", record["steps"])
        return record

    def remove(self) -> None:
        """Remove the folder, when the training is done."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 of the tensors' bytes in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
