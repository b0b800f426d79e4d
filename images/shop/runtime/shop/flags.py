"""Feature flags in flagd's file format. The file is read again when it changes."""

import json
import os


class Flags:
    def __init__(self, path):
        self._path = path
        self._seen = None
        self._flags = {}

    def _refresh(self):
        if not self._path:
            return
        status = os.stat(self._path)
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            with open(self._path, encoding="utf-8") as file:
                self._flags = json.load(file)["flags"]
            self._seen = seen

    def value(self, name, default):
        """The default variant of an enabled flag; `default` for a flag that is disabled or not there."""
        self._refresh()
        flag = self._flags.get(name)
        if flag is None or flag.get("state") != "ENABLED":
            return default
        return flag["variants"][flag["defaultVariant"]]
