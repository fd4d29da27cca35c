"""Builds mmwsl; what it is made of stands in ``setup.cfg``.

This file only places ``configs``, ``tools`` and ``model-index.yml`` in
``mmwsl/.mim``, where ``mim`` and mmengine's ``mmwsl::`` bases look for them:
as links for editable installs, as copies for everything that leaves this
folder.
"""

import shutil
import sys
from pathlib import Path
from typing import Dict, Type

from setuptools import Command, setup

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


def commands() -> Dict[str, Type[Command]]:
    """Return what replaces commands of setuptools.

    ``mim`` and mmengine look for a package beside its metadata, under the
    name in ``top_level.txt``. An editable install of today's kind leaves
    nothing there; joined to any folder, an absolute path stays what it is.
    """
    try:
        from setuptools.command.editable_wheel import editable_wheel
    except ImportError:  # older than such installs
        return {}

    class EditableWheel(editable_wheel):
        """An editable install that ``mim`` finds."""

        def run(self) -> None:
            """Say where the package is, then build."""
            if self.dist_info_dir is None:
                self.dist_dir.mkdir(exist_ok=True)
                dist_info = self.reinitialize_command('dist_info')
                dist_info.output_dir = self.dist_dir
                dist_info.ensure_finalized()
                dist_info.run()
                self.dist_info_dir = dist_info.dist_info_dir
            path = Path(self.dist_info_dir, 'top_level.txt')
            path.write_text(f'{MIM_FOLDER.parent}\n', encoding='utf-8')
            super().run()

    return {'editable_wheel': EditableWheel}


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
        setup(cmdclass=commands())
    finally:
        if copying and linked:
            fill_mim_folder(link=True)


if __name__ == '__main__':
    main()
