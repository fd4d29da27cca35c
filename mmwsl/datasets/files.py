"""Finding image files on disk, and reading lists of text."""

import os
from collections import Counter, defaultdict
from typing import Dict, Iterator, List, Optional, Sequence, Set, Tuple

from mmwsl.utils.files import join_inside, naming, need_file, say_once
from mmwsl.utils.images import IMG_SUFFIXES

# By archives of macOS, network drives and Windows.
_LEFT_BEHIND = ('__MACOSX', '@eaDir', '$RECYCLE.BIN')


def find_files(
    folder: str, suffixes: Sequence[str] = IMG_SUFFIXES, silent: bool = False
) -> List[str]:
    """Find the files of a folder and its sub-folders, sorted.

    Names that begin with a dot, what archives and drives leave behind, and
    links to folders that are walked anyway are passed over. Files may have
    the ``suffixes`` in capitals; a warning counts the others, unless
    ``silent``.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not os.path.isdir(folder):
        raise FileNotFoundError(f'{folder}: folder does not exist')
    found: List[str] = []
    others: Counter = Counter()
    root = os.path.realpath(folder)
    for place, names in _walk(folder, root, set()):
        for name in names:
            suffix = os.path.splitext(name)[1].lower()
            if suffix in suffixes:
                found.append(os.path.join(place, name))
            else:
                others[suffix or 'no suffix'] += 1
    if others and not silent:
        kinds = ', '.join(f'{others[key]} {key}' for key in sorted(others))
        say_once(f'{folder}: files of other kinds are passed over: {kinds}')
    return sorted(found)


def files_by_id(
    folder: str, suffixes: Sequence[str] = IMG_SUFFIXES, silent: bool = False
) -> Dict[str, str]:
    """Find the file of each image id as :func:`find_files` does.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no such file, or two of one id.
    """
    found: Dict[str, str] = {}
    for path in find_files(folder, suffixes, silent):
        img_id = image_id(path, folder)
        if img_id in found:
            raise ValueError(
                f'{path}: has the same image id as {found[img_id]}, {img_id!r}'
            )
        found[img_id] = path
    if not found:
        images = suffixes == IMG_SUFFIXES
        kind = 'image' if images else f'{", ".join(suffixes)} file'
        raise ValueError(f'{folder}: holds no {kind}')
    return found


def _walk(
    folder: str, root: str, seen: Set[str]
) -> Iterator[Tuple[str, List[str]]]:
    """Yield folders and their files; links only lead out of the root."""
    for place, folders, names in os.walk(folder):
        seen.add(os.path.realpath(place))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield place, [name for name in names if not is_hidden(name)]
        for path in (os.path.join(place, name) for name in folders):
            target = os.path.realpath(path)
            if not os.path.islink(path) or target in seen:
                continue
            if os.path.commonpath([root, target]) != root:
                yield from _walk(path, root, seen)


def is_hidden(name: str) -> bool:
    """Whether a name is what notebooks, archives and systems leave behind."""
    return name.startswith('.') or name in _LEFT_BEHIND


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

        Of several it is the first in the order of ``IMG_SUFFIXES``. Capitals
        in a suffix make no difference.
        """
        folder, name = os.path.split(path)
        listing = self._listing(folder)
        stem, suffix = os.path.splitext(name)
        if suffix.lower() in IMG_SUFFIXES:
            same = listing.get(stem, ())
            for other in (name, *same):
                if other in same and other.lower().endswith(suffix.lower()):
                    return os.path.join(folder, other)
        # A stem may hold dots itself: its last part is then no suffix.
        names = [n for n in listing.get(name, ()) if _rank(n) >= 0]
        if not names:
            return None
        return os.path.join(folder, min(names, key=_rank))

    def need_image(self, path: str, place: str) -> str:
        """Find an image as :meth:`find_image` does.

        Raises:
            FileNotFoundError: If there is none; begins with ``place``.
        """
        found = self.find_image(path)
        if found is None:
            raise FileNotFoundError(f'{place} {self.why_missing(path)}')
        return found

    def why_missing(self, path: str) -> str:
        """Say in half a sentence why no image is found."""
        if not self.exists(path):
            return f'names the image {path}, which does not exist'
        return (
            f'names {path}, whose suffix is none of images '
            f'({", ".join(IMG_SUFFIXES)})'
        )

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


def path_inside(place: str, folder: str, name: str) -> str:
    """Join a name of a list to its folder.

    Raises:
        ValueError: If it leaves the folder; begins with ``place``.
    """
    with naming(place):
        return join_inside(folder, name, links=True)


def image_id(img_path: str, folder: str) -> str:
    """The id of an image: its path in ``folder`` without suffix, posix.

    An image that is not under ``folder`` keeps its whole path.
    """
    stem = os.path.normpath(os.path.splitext(img_path)[0])
    if stem.startswith(os.pardir):
        stem = os.path.abspath(stem)
    if folder and not os.path.relpath(stem, folder).startswith(os.pardir):
        stem = os.path.relpath(stem, folder)
    return stem.replace(os.sep, '/').lstrip('/')


def without_suffix(path: str) -> str:
    """Drop the suffix of an image or array from a name, but no other dot."""
    stem, suffix = os.path.splitext(path)
    known = suffix.lower() in (*IMG_SUFFIXES, '.npz', '.npy')
    return (stem if known else path).replace('\\', '/')


def read_lines(path: str, what: str) -> List[str]:
    """Read a text file, with or without newline at its end.

    Raises:
        FileNotFoundError: If there is no such file; says ``what`` it is.
        ValueError: If it is no text.
    """
    need_file(path, what)
    try:
        with open(path, encoding='utf-8-sig') as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path}: {what} is not UTF-8 text; save it as UTF-8 (of '
            "spreadsheets, as 'CSV UTF-8')"
        ) from error
    if '\0' in text:
        raise ValueError(f'{path}: {what} is no text, it holds zero bytes')
    lines = text.split('\n')
    return lines if lines[-1] else lines[:-1]


def read_rows(path: str, what: str) -> List[Tuple[str, str]]:
    """Read the lines that are not blank, stripped, with file and line."""
    return [
        (f'{path}: line {number}', line.strip())
        for number, line in enumerate(read_lines(path, what), 1)
        if line.strip()
    ]


def read_names(path: str, what: str, gaps: bool = True) -> List[str]:
    """Read names, one a line, without the white space around them.

    Raises:
        FileNotFoundError: If there is no such file; says ``what`` it is.
        ValueError: If it is no text, is empty or names something twice, or,
            without ``gaps``, has blank lines between names.
    """
    rows = read_rows(path, what)
    names = [name for _, name in rows]
    if not names:
        raise ValueError(f'{path}: {what} is empty')
    for number, (place, _) in enumerate(rows, 1):
        blank = f'{path}: line {number}'
        if not gaps and place != blank:
            raise ValueError(f'{blank}: {what} has a blank line')
    for name, number in Counter(names).items():
        if number > 1:
            raise ValueError(f'{path}: {what} holds {name!r} {number} times')
    return names
