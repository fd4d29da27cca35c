"""Finding image files on disk without one system call a file."""

import os
from collections import defaultdict
from typing import Dict, List, Optional

from mmwsl.utils.images import IMG_SUFFIXES


class FileIndex:
    """Answers which files exist; reads each folder once."""

    def __init__(self) -> None:
        self._folders: Dict[str, Dict[str, List[str]]] = {}

    def exists(self, path: str) -> bool:
        """Whether ``path`` is an entry of its folder."""
        folder, name = os.path.split(path)
        stem = os.path.splitext(name)[0]
        return name in self._listing(folder).get(stem, ())

    def find_image(self, path: str) -> Optional[str]:
        """Find an image by its path with or without suffix.

        Args:
            path (str): Path of an image, or without its suffix.

        Returns:
            str | None: The path with suffix. If there are several, the first
            in the order of ``IMG_SUFFIXES``.
        """
        if path.lower().endswith(IMG_SUFFIXES) and self.exists(path):
            return path
        folder, stem = os.path.split(path)
        listing = self._listing(folder)
        # A stem may hold dots itself: its last part is then no suffix.
        names = [n for n in listing.get(stem, ()) if _rank(n) >= 0]
        if not names:
            return None
        return os.path.join(folder, min(names, key=_rank))

    def _listing(self, folder: str) -> Dict[str, List[str]]:
        if folder not in self._folders:
            listing: Dict[str, List[str]] = defaultdict(list)
            if os.path.isdir(folder or '.'):
                for name in os.listdir(folder or '.'):
                    listing[os.path.splitext(name)[0]].append(name)
            self._folders[folder] = dict(listing)
        return self._folders[folder]


def _rank(name: str) -> int:
    suffix = os.path.splitext(name)[1].lower()
    return IMG_SUFFIXES.index(suffix) if suffix in IMG_SUFFIXES else -1


def image_id(img_path: str, folder: str) -> str:
    """The id of an image: its path in ``folder`` without suffix, posix.

    An image that is not under ``folder`` keeps its whole path.
    """
    stem = os.path.splitext(img_path)[0]
    if folder and not os.path.relpath(stem, folder).startswith(os.pardir):
        stem = os.path.relpath(stem, folder)
    return stem.replace(os.sep, '/').lstrip('/')


def read_lines(path: str, what: str) -> List[str]:
    """Read a text file, with or without newline at its end.

    Args:
        path (str): The file.
        what (str): What it is, for the error.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no text.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: {what} does not exist')
    try:
        with open(path, encoding='utf-8-sig') as file:
            return file.read().splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: {what} is not UTF-8 text') from error
