"""A disk of its own for the database, which can become full.

A ``tmpfs``, mounted for the time of a run where that is permitted, which mostly means to root.
Making it as small as what is on it is what a full disk looks like; no memory is needed to fill it.
"""

import contextlib
import os
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Final

ROOMY: Final = 4 * 1024**3
"""Bytes; none of them is taken before something is written."""


class SmallDisk:
    """A folder on a disk of its own.

    Args:
        folder: Where it is mounted; made if missing.

    Attributes:
        mounted: Whether it is; if not, `folder` is on the disk of everything else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounted = False

    @contextlib.contextmanager
    def in_place(self) -> Generator["SmallDisk"]:
        """Mount it if that is permitted; unmount it at the end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mounted = _mount("-t", "tmpfs", "-o", f"size={ROOMY},mode=755", "tmpfs", self.folder)
        try:
            yield self
        finally:
            if self.mounted:
                subprocess.run(["umount", "-l", self.folder], check=True)

    def fill(self) -> None:
        """Leave no room: what is written from now on finds the disk full."""
        disk = os.statvfs(self.folder)
        self._resize((disk.f_blocks - disk.f_bfree) * disk.f_frsize)

    def clear(self) -> None:
        """Give the room back."""
        self._resize(ROOMY)

    def _resize(self, size: int) -> None:
        # What is written between the look and the change needs a page or two.
        while not _mount("-o", f"remount,size={size}", self.folder):
            size += 64 * 1024


def _mount(*words: str | Path) -> bool:
    try:
        return not subprocess.run(["mount", *words], check=False, capture_output=True).returncode
    except FileNotFoundError:
        return False
