"""What mmwsl stands on, and what it mends there.

Nothing here imports torch, mmengine or mmcv before it is called, so that a
broken environment can still be described.
"""

import importlib
import os
import re
import signal
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

TORCH = 'pip install torch==2.11.0 torchvision==0.26.0'
MMCV = (
    'CFLAGS=-g0 MMCV_WITH_OPS=1 pip install --no-cache-dir '
    '--no-build-isolation mmcv==2.1.0'
)


class Requirement(NamedTuple):
    """A package that mmwsl cannot do without.

    Attributes:
        module: The import name.
        distributions: Its names on package indices; the maintained fork of
            OpenMMLab prefixes them with ``onedl-``.
        minimum: The first version that works.
        below: The first version that is no longer accepted.
        cure: The command that installs the tested version.
    """

    module: str
    distributions: Tuple[str, ...]
    minimum: str
    below: str
    cure: str


REQUIREMENTS: Tuple[Requirement, ...] = (
    Requirement('torch', ('torch',), '2.1.0', '3', TORCH),
    Requirement('torchvision', ('torchvision',), '0.16.0', '1', TORCH),
    Requirement(
        'mmengine',
        ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
        '0.10.0',
        '1',
        'pip install mmengine==0.10.7',
    ),
    Requirement(
        'mmcv', ('mmcv', 'mmcv-lite', 'onedl-mmcv'), '2.0.0', '3', MMCV
    ),
)


def release(version: str) -> Tuple[int, ...]:
    """Return the numbers at the start of a version, (2, 11, 0) of 2.11.0+cpu.

    A nightly build counts as its release.
    """
    match = re.match(r'\d+(\.\d+)*', version)
    return tuple(map(int, match.group().split('.'))) if match else ()


def distribution_version(*names: str) -> Optional[str]:
    """Return the version of the first installed distribution, or None."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def installed_versions() -> Dict[str, str]:
    """Return the versions of the required packages by import name.

    A package that was put on the path without metadata (a source checkout)
    is imported for its ``__version__``; missing packages have no entry.
    """
    found = {}
    for requirement in REQUIREMENTS:
        version = distribution_version(*requirement.distributions)
        if version is None and find_spec(requirement.module) is not None:
            module = importlib.import_module(requirement.module)
            version = getattr(module, '__version__', None)
        if version is not None:
            found[requirement.module] = version
    return found


def requirement_error(
    requirement: Requirement, version: Optional[str]
) -> Optional[str]:
    """Say in one sentence what is wrong with a version, or a missing one."""
    if version is not None:
        lower, upper = map(release, (requirement.minimum, requirement.below))
        if lower <= release(version) < upper:
            return None
    found = 'is not installed' if version is None else f'{version} was found'
    return (
        f'mmwsl needs {requirement.module} >= {requirement.minimum}, '
        f'< {requirement.below}, but {requirement.module} {found}; '
        f'run: {requirement.cure}'
    )


def check_requirements(versions: Optional[Mapping[str, str]] = None) -> None:
    """Check the packages that mmwsl cannot do without.

    Args:
        versions: Versions by import name; by default what is installed.

    Raises:
        ImportError: If one is missing or of a version that does not fit.
    """
    found = installed_versions() if versions is None else versions
    for requirement in REQUIREMENTS:
        error = requirement_error(requirement, found.get(requirement.module))
        if error is not None:
            raise ImportError(error)


def runs_doctor() -> bool:
    """Whether this import is the first step of ``python -m mmwsl.doctor``.

    While Python looks for the module that ``-m`` names, it imports the
    packages around it with ``sys.argv[0] == '-m'``. ``sys.orig_argv`` is
    new in Python 3.10; before that, any module of mmwsl counts.
    """
    if getattr(sys, 'argv', [''])[:1] != ['-m']:
        return False
    return 'mmwsl.doctor' in getattr(sys, 'orig_argv', ['mmwsl.doctor'])


def stop_tools_quietly() -> None:
    """Let Ctrl-C end a tool in one line while its imports still run.

    Only where this import is that of a script in ``tools``; there
    ``friendly_errors`` takes over.
    """
    script = os.path.realpath(getattr(sys, 'argv', [''])[0])
    package = os.path.dirname(os.path.realpath(__file__))
    folders = [
        os.path.realpath(os.path.join(package, *place, 'tools', ''))
        for place in (('.mim',), (os.pardir,))
    ]
    ours = any(script.startswith(os.path.join(x, '')) for x in folders)
    # In the background it may be ignored.
    if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)


def raise_interrupts() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop(*_: Any) -> None:
    # An exception could be caught, or be printed by half-imported packages.
    os.write(2, b'stopped\n')
    os._exit(130)


def register_config_scope() -> None:
    """Make ``_base_ = 'mmwsl::...'`` known to mmengine.

    mmengine keeps a table of the packages whose configs may be inherited.
    The entry names a module, not the distribution: mmengine then finds the
    package by the import system, which is right for every kind of install,
    while ``pkg_resources`` misplaces editable ones. In the same way mmseg of
    the fork is found, whose distribution has a name that the table lacks.
    """
    utils = importlib.import_module('mmengine.config.utils')
    utils.MODULE2PACKAGE.setdefault('mmwsl', 'mmwsl.version')
    if distribution_version('onedl-mmsegmentation') is not None:
        utils.MODULE2PACKAGE['mmseg'] = 'mmseg'
