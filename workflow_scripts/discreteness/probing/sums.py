"""Sums over prompts from which prompt information follows: those of shards add up."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from discreteness.core import measures
from discreteness.core.io import atomic

GROUPS = 10  # prompt groups of the jackknife


@dataclass
class Sums:
    """Sums over the prompts of each group."""

    probability: torch.Tensor  # (GROUPS, span, V) float32, where the model's predictions are
    entropy: np.ndarray  # (GROUPS, span) float64, nats
    prompts: np.ndarray  # (GROUPS,) int64

    @classmethod
    def empty(cls, span: int, vocab_size: int, device: torch.device | str = "cpu") -> "Sums":
        """All zero."""
        probability = torch.zeros(GROUPS, span, vocab_size, device=device)
        return cls(probability, np.zeros((GROUPS, span)), np.zeros(GROUPS, int))

    def add(self, group: int, probability: torch.Tensor, entropy: np.ndarray) -> None:
        """Count one prompt's predictions: probability (span, V), entropy (span,)."""
        self.probability[group] += probability
        self.entropy[group] += entropy
        self.prompts[group] += 1

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.probability + other.probability, self.entropy + other.entropy, self.prompts + other.prompts)

    def information(self) -> pd.DataFrame:
        """Prompt information by position, for all prompts (left_out = −1) and without each group in turn.

        Columns left_out, position, prompt_information (nats), prompts.
        """
        probability, entropy, prompts = self.probability.sum(0), self.entropy.sum(0), int(self.prompts.sum())
        frames = [_information(-1, probability, entropy, prompts)]
        for group in np.flatnonzero((self.prompts > 0) & (self.prompts < prompts)):
            frames.append(
                _information(
                    left_out=int(group),
                    probability=probability - self.probability[group],
                    entropy=entropy - self.entropy[group],
                    prompts=prompts - int(self.prompts[group]),
                )
            )
        return pd.concat(frames, ignore_index=True)


def _information(left_out: int, probability: torch.Tensor, entropy: np.ndarray, prompts: int) -> pd.DataFrame:
    value = measures.prompt_information(probability, torch.from_numpy(entropy), prompts).numpy()
    position = np.arange(len(value))
    columns = {"left_out": left_out, "position": position, "prompt_information": value, "prompts": prompts}
    return pd.DataFrame(columns)


def write_sums(sums: Sums, path: str | Path) -> None:
    """Write sums as plain arrays (npz, no pickle)."""
    with atomic(path) as temporary:
        np.savez(temporary, probability=sums.probability, entropy=sums.entropy, prompts=sums.prompts)


def read_sums(path: str | Path) -> Sums:
    """Read what `write_sums` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return Sums(torch.from_numpy(arrays["probability"]), arrays["entropy"], arrays["prompts"])
