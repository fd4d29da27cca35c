"""Describe the installation: ``python -m mmwsl.doctor``.

Prints the versions found, which family of OpenMMLab they are, and each known
break with its cure. Runs where ``import mmwsl`` refuses to, and exits with 1
if what stage 1 needs is broken, with 0 otherwise.
"""

import importlib
import platform
import sys
from importlib.util import find_spec
from typing import Dict

from mmwsl import compat
from mmwsl.known_breaks import (
    CLASSIC,
    FORK,
    LITE,
    OPS,
    PKG_RESOURCES,
    VISION,
    Versions,
    diagnose,
    family,
)
from mmwsl.version import __version__

OTHERS = (
    'torch',
    'torchvision',
    'timm',
    'numpy',
    'setuptools',
    'openmim',
    'onedl-mim',
    'ftfy',
    'regex',
)
OPENCV = (
    'opencv-python',
    'opencv-python-headless',
    'opencv-contrib-python',
    'opencv-contrib-python-headless',
)


def collect_versions() -> Dict[str, str]:
    """Return the versions of everything that :func:`diagnose` looks at.

    Returns:
        Versions by distribution name; missing packages have no entry.
        ``opencv`` stands for any of OpenCV's distributions, and
        capabilities are 'yes' or the reason why not.
    """
    versions = {'python': platform.python_version()}
    for name in (*OTHERS, *CLASSIC, *LITE, *FORK):
        version = compat.distribution_version(name)
        if version is not None:
            versions[name] = version
    opencv = compat.distribution_version(*OPENCV)
    if opencv is not None:
        versions['opencv'] = opencv
    versions[PKG_RESOURCES] = 'yes' if find_spec(PKG_RESOURCES) else 'missing'
    versions[VISION] = _import_state('torchvision')
    versions[OPS] = _import_state('mmcv._ext')
    return versions


def _import_state(module: str) -> str:
    """Return 'yes' if a module can be imported, else the reason."""
    try:
        importlib.import_module(module)
    # A library built for another torch may raise anything.
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        return lines[0]
    return 'yes'


def report(versions: Versions) -> str:
    """Write the versions and findings as text."""
    width = max(map(len, versions), default=0)
    lines = [f'mmwsl {__version__} in {sys.prefix}', '']
    lines += [f'{name:<{width}}  {versions[name]}' for name in versions]
    lines += ['', f'family: {family(versions)}']
    findings = diagnose(versions)
    for finding in findings:
        lines.append(f'{finding.level}: {finding.text}')
        if finding.cure:
            lines.append(f'    cure: {finding.cure}')
    broken = any(finding.level == 'error' for finding in findings)
    lines.append('stage 1: ' + ('broken' if broken else 'works'))
    return '\n'.join(lines)


def main() -> int:
    """Print the report.

    Returns:
        1 if something that stage 1 needs is broken, else 0.
    """
    versions = collect_versions()
    print(report(versions))
    return int(any(item.level == 'error' for item in diagnose(versions)))


if __name__ == '__main__':
    raise SystemExit(main())
