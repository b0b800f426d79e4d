"""Settings come from the environment; secrets may come from a file that NAME_FILE names."""

import os


class MissingSetting(Exception):
    """A setting that the service cannot start without."""


def text(name, default=None):
    value = os.environ.get(name, default)
    if value is None:
        raise MissingSetting(f"{name} is not set")
    return value


def number(name, default):
    return int(os.environ.get(name) or default)


def secret(name):
    """The value of NAME, or the content of the file that NAME_FILE names, or nothing."""
    path = os.environ.get(f"{name}_FILE")
    if path:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    return os.environ.get(name, "")
