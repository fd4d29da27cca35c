"""Builds mmwsl; what it is made of stands in ``setup.cfg``.

This file only places ``configs``, ``tools`` and ``model-index.yml`` in
``mmwsl/.mim``, where ``mim`` and mmengine's ``mmwsl::`` bases look for them:
as links for editable installs, as copies for everything that leaves this
folder.
"""

import shutil
import sys
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent
MIM_FOLDER = ROOT / 'mmwsl' / '.mim'
MIM_ITEMS = ('configs', 'tools', 'model-index.yml')
EDITABLE_COMMANDS = ('develop', 'editable_wheel')
COPYING_COMMANDS = ('sdist', 'bdist_wheel', 'install', 'build', 'build_py')


def remove(path: Path) -> None:
    """Remove a link (a dangling one too), a file or a folder."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def place(source: Path, target: Path, link: bool) -> None:
    """Put ``source`` at ``target``, whatever an earlier build left there."""
    remove(target)
    if link:
        # Relative, so that the links survive a move of the whole folder.
        target.symlink_to(Path('..', '..', source.name))
    elif source.is_dir():
        ignore = shutil.ignore_patterns('__pycache__', '*.pyc')
        shutil.copytree(source, target, ignore=ignore)
    else:
        shutil.copy2(source, target)


def fill_mim_folder(link: bool) -> None:
    """Place everything that ``mim`` looks for.

    Args:
        link: Whether to link instead of to copy. Where the file system has
            no links the items are copied.
    """
    MIM_FOLDER.mkdir(exist_ok=True)
    for name in MIM_ITEMS:
        source, target = ROOT / name, MIM_FOLDER / name
        if not source.exists():
            raise FileNotFoundError(f'{source} is missing')
        try:
            place(source, target, link)
        except OSError:
            if not link:
                raise
            place(source, target, link=False)


def main() -> None:
    """Fill ``mmwsl/.mim`` as the command asks for, then run the command."""
    editable = any(command in sys.argv for command in EDITABLE_COMMANDS)
    copying = any(command in sys.argv for command in COPYING_COMMANDS)
    # A build from the folder of an editable install must not leave that
    # install with copies, which would not follow later edits.
    linked = (MIM_FOLDER / 'configs').is_symlink()
    if editable or copying:
        fill_mim_folder(link=editable)
    try:
        setup()
    finally:
        if copying and linked:
            fill_mim_folder(link=True)


if __name__ == '__main__':
    main()
