"""Describe the installation: ``python -m mmwsl.doctor``.

Prints the versions found, which family of OpenMMLab they are, and each known
break with its cure. Runs where ``import mmwsl`` refuses to, and exits with 1
if what stage 1 needs is broken, with 0 otherwise.
"""

import importlib
import platform
import sys
from collections import defaultdict
from importlib.util import find_spec
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from mmwsl import compat
from mmwsl.version import __version__

CLASSIC = ('mmengine', 'mmcv', 'mmdet', 'mmsegmentation')
FORK = (
    'onedl-mmengine',
    'onedl-mmcv',
    'onedl-mmdetection',
    'onedl-mmsegmentation',
)
# The same packages under other names on the index.
LITE = ('mmengine-lite', 'mmcv-lite')
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
OPS = 'compiled ops of mmcv'
VISION = 'import of torchvision'
PKG_RESOURCES = 'pkg_resources'
LEVELS = ('error', 'warning', 'note')


Row = Tuple[str, Any, str, str]


class Finding(NamedTuple):
    """Something that does not fit together.

    Attributes:
        level: 'error' breaks stage 1 (training, testing and pictures of the
            classifiers), 'warning' breaks something else, 'note' is mended
            already or harms nobody.
        text: What it is.
        cure: What mends it, empty where nothing has to be done.
    """

    level: str
    text: str
    cure: str = ''


def collect_versions() -> Dict[str, str]:
    """Return the versions of everything that :func:`diagnose` looks at.

    By distribution name; missing packages have no entry. ``opencv`` stands
    for any of OpenCV's distributions, and capabilities are 'yes' or the
    reason why not.
    """
    names = {name: (name,) for name in (*OTHERS, *CLASSIC, *LITE, *FORK)}
    versions = {'python': platform.python_version()}
    for name, distributions in {**names, 'opencv': OPENCV}.items():
        version = compat.distribution_version(*distributions)
        if version is not None:
            versions[name] = version
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


def family(versions: Mapping[str, str]) -> str:
    """Say 'OpenMMLab classic', 'onedl fork', 'mixed' or 'none'."""
    classic = any(name in versions for name in (*CLASSIC, *LITE))
    fork = any(name in versions for name in FORK)
    if classic and fork:
        return 'mixed'
    if fork:
        return 'onedl fork'
    return 'OpenMMLab classic' if classic else 'none'


def diagnose(versions: Mapping[str, str]) -> List[Finding]:
    """Find the known breaks, errors first.

    It looks at a table of versions, as of :func:`collect_versions`, so that
    every break can be tested without being installed.
    """
    rows = [*_requirement_rows(versions), *_version_rows(versions)]
    findings = [Finding(level, *said) for level, when, *said in rows if when]
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def _requirement_rows(versions: Mapping[str, str]) -> List[Row]:
    """List what is missing, and what is there twice."""
    rows: List[Row] = []
    for requirement in compat.REQUIREMENTS:
        found = [versions.get(name) for name in requirement.distributions]
        version = next(filter(None, found), None)
        error = compat.requirement_error(requirement, version) or ''
        text, _, cure = error.partition('; run: ')
        rows.append(('error', text, text, cure))
    pairs = [
        (name, fork)
        for classic, fork in zip(CLASSIC, FORK)
        for name in (classic, f'{classic}-lite')
        if name in versions and fork in versions
    ]
    for name, fork in pairs:
        text = (
            f'{name} and {fork} are both installed, and each has overwritten '
            'files of the other'
        )
        cure = (
            f'pip uninstall -y {name} {fork}, then install one of them again'
        )
        rows.append(('error', True, text, cure))
    rows.append(
        (
            'warning',
            family(versions) == 'mixed' and not pairs,
            'packages of OpenMMLab and of the onedl fork are mixed, which '
            'neither of them tests',
            'take all of one family: docs/install.md has the commands',
        )
    )
    return rows


def _version_rows(versions: Mapping[str, str]) -> List[Row]:
    """List the breaks between versions as (level, when, text, cure)."""
    found = defaultdict(lambda: 'missing', versions)
    release = {name: compat.release(text) for name, text in versions.items()}

    def at(*names: str) -> Tuple[int, ...]:
        return next((release[n] for n in names if n in versions), ())

    def listed(*names: str) -> str:
        return ' and '.join(name for name in names if name in versions)

    torch, vision, numpy = at('torch'), at('torchvision'), at('numpy')
    mmcv = at('mmcv', 'mmcv-lite', 'onedl-mmcv')
    # torch 2.N and torchvision 0.(N + 15) are released together.
    pair = torch[:1] == (2,) and vision[:1] == (0,)
    built, wanted = (vision[1] - 15, torch[1] + 15) if pair else (0, 0)
    # The fork does without pkg_resources.
    packaged = found.get(PKG_RESOURCES, 'yes') == 'yes'
    unpackaged = '' if packaged else listed('mmengine', 'openmim')
    segments = listed(CLASSIC[-1], FORK[-1])
    texts = ' '.join(
        name for name in ('ftfy', 'regex') if name not in versions
    )
    ops, vision_state = found.get(OPS, 'yes'), found.get(VISION, 'yes')
    strict, cure = listed('mmdet', 'mmsegmentation'), compat.MMCV
    fits = not pair or built == torch[1]
    return [
        (
            'error',
            not fits,
            f'torchvision {found["torchvision"]} was built for torch '
            f'2.{built}, not for {found["torch"]}',
            f'pip install "torchvision==0.{wanted}.*"',
        ),
        (
            'error',
            torch and vision and fits and vision_state != 'yes',
            f'torchvision cannot be imported ({vision_state}), as when one '
            'of torch and torchvision is a build for the CPU and the other '
            'is not',
            'pip install --force-reinstall torch torchvision, both in the '
            'wanted versions and from the same index',
        ),
        (
            'error',
            torch and torch < (2, 3) and numpy >= (2,),
            f'torch {found["torch"]} was built for numpy 1, and numpy '
            f'{found["numpy"]} is installed',
            'pip install "numpy<2" "opencv-python<4.12"',
        ),
        (
            'error',
            'opencv' not in versions,
            'OpenCV is not installed, and mmcv needs it',
            'pip install opencv-python',
        ),
        (
            'warning',
            at('opencv') >= (4, 12) and numpy and numpy < (2,),
            f'OpenCV {found["opencv"]} asks for numpy 2, and numpy '
            f'{found["numpy"]} is installed',
            'pip install "opencv-python<4.12"',
        ),
        (
            'warning',
            unpackaged,
            'pkg_resources is missing, which left setuptools in version 82: '
            f'{unpackaged} cannot find installed packages without it, bases '
            "of configs such as 'mmseg::' among them, and mmcv cannot be "
            'built',
            'pip install setuptools==79.0.1',
        ),
        (
            'warning',
            not unpackaged and at('setuptools') >= (80,) and at('openmim'),
            f'setuptools {found["setuptools"]} installs editable packages '
            'where openmim does not find the configs of most',
            'pip install setuptools==79.0.1, then install again',
        ),
        (
            'warning',
            strict and mmcv >= (2, 2),
            f'{strict} refuse to be imported with mmcv >= 2.2 (an assertion)',
            cure,
        ),
        (
            'warning',
            mmcv and ops != 'yes',
            f'mmcv has no working compiled ops ({ops}); stage 1 does '
            'without, many models of mmdet and mmseg do not',
            cure,
        ),
        (
            'warning',
            segments and texts,
            f'mmseg imports {texts.replace(" ", " and ")} without asking for '
            'it',
            f'pip install {texts}',
        ),
        (
            'note',
            torch >= (2, 6) and 'mmengine' in versions,
            f'torch {found["torch"]} refuses the checkpoints of mmengine '
            f'{found["mmengine"]}; where mmwsl is imported mmengine reads '
            'them with a stricter reader, and torch.load stays as it is',
            '',
        ),
    ]


def report(versions: Mapping[str, str]) -> str:
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
    """Print the report; return 1 if stage 1 is broken, else 0."""
    text = report(collect_versions())
    print(text)
    return int(text.endswith('broken'))


if __name__ == '__main__':
    raise SystemExit(main())
