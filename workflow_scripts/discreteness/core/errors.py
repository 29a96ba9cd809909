"""The one exception for things the user can put right."""


class InputError(Exception):
    """Bad configuration, data or checkpoint. The message is one line: where, what was found, what was expected."""
