"""What a notebook imports: information measures, and what parallel decoding costs by the information curve. In nats."""

from discreteness.core.measures import entropy, jensen_shannon, kl, prompt_information, renormalise_without
from discreteness.curves.step_sizes import expected_kl, optimal_steps

__all__ = [
    "entropy",
    "expected_kl",
    "jensen_shannon",
    "kl",
    "optimal_steps",
    "prompt_information",
    "renormalise_without",
]
