"""A module that is imported when something of it is first asked for."""

from importlib import import_module
from typing import Any


class LazyModule:
    """Stands for a module whose import takes seconds, in files that are also read for what they declare.

    `torch = LazyModule("torch")` lets functions say `torch.where(…)` while importing their module needs no torch.
    """

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
