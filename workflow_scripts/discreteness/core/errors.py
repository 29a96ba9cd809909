"""The one exception for user errors."""


class InputError(Exception):
    """Invalid configuration, data or checkpoint. The message is one line: place, value, expected value."""
