"""The breaks between versions that are known, and what mends each.

Pure functions of a table of versions, so that every break can be tested
without being installed.
"""

from typing import Callable, List, Mapping, NamedTuple, Optional, Tuple

from mmwsl import compat

CLASSIC = ('mmengine', 'mmcv', 'mmdet', 'mmsegmentation')
FORK = (
    'onedl-mmengine',
    'onedl-mmcv',
    'onedl-mmdetection',
    'onedl-mmsegmentation',
)
# The same packages under other names on the index.
LITE = ('mmengine-lite', 'mmcv-lite')
OPS = 'compiled ops of mmcv'
VISION = 'import of torchvision'
PKG_RESOURCES = 'pkg_resources'

Versions = Mapping[str, str]


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


def family(versions: Versions) -> str:
    """Say which OpenMMLab is installed.

    Args:
        versions: Versions by distribution name.

    Returns:
        'OpenMMLab classic', 'onedl fork', 'mixed' or 'none'.
    """
    classic = any(name in versions for name in (*CLASSIC, *LITE))
    fork = any(name in versions for name in FORK)
    if classic and fork:
        return 'mixed'
    if fork:
        return 'onedl fork'
    return 'OpenMMLab classic' if classic else 'none'


def diagnose(versions: Versions) -> List[Finding]:
    """Find the known breaks.

    Args:
        versions: Versions by distribution name, as
            :func:`mmwsl.doctor.collect_versions` returns them. Missing
            packages have no entry.

    Returns:
        The findings, errors first.
    """
    checks: Tuple[Callable[[Versions], List[Finding]], ...] = (
        _check_required,
        _check_family,
        _check_torchvision,
        _check_numpy,
        _check_opencv,
        _check_setuptools,
        _check_mmcv,
        _check_mmseg,
        _check_checkpoints,
    )
    findings = [finding for check in checks for finding in check(versions)]
    order = ('error', 'warning', 'note')
    return sorted(findings, key=lambda finding: order.index(finding.level))


def _version(versions: Versions, *names: str) -> Optional[Tuple[int, ...]]:
    """The release of the first of these distributions that is there."""
    for name in names:
        if name in versions:
            return compat.release(versions[name])
    return None


def _check_required(versions: Versions) -> List[Finding]:
    findings = []
    for requirement in compat.REQUIREMENTS:
        found = [versions.get(name) for name in requirement.distributions]
        version = next(filter(None, found), None)
        error = compat.requirement_error(requirement, version)
        if error is not None:
            text, _, cure = error.partition('; run: ')
            findings.append(Finding('error', text, cure))
    return findings


def _check_family(versions: Versions) -> List[Finding]:
    findings = []
    for classic, fork in zip(CLASSIC, FORK):
        names = [
            name for name in (classic, f'{classic}-lite') if name in versions
        ]
        if names and fork in versions:
            findings.append(
                Finding(
                    'error',
                    f'{names[0]} and {fork} are both installed, and each has '
                    'overwritten files of the other',
                    f'pip uninstall -y {names[0]} {fork}, then install one '
                    'of them again',
                )
            )
    if not findings and family(versions) == 'mixed':
        findings.append(
            Finding(
                'warning',
                'packages of OpenMMLab and of the onedl fork are mixed, '
                'which neither of them tests',
                'take all of one family: docs/install.md has the commands',
            )
        )
    return findings


def _check_torchvision(versions: Versions) -> List[Finding]:
    torch = _version(versions, 'torch')
    vision = _version(versions, 'torchvision')
    if not torch or not vision:
        return []
    # torch 2.N and torchvision 0.(N + 15) are released together.
    released_as_2 = torch[0] == 2 and vision[0] == 0
    if released_as_2 and vision[1] != torch[1] + 15:
        return [
            Finding(
                'error',
                f'torchvision {versions["torchvision"]} was built for torch '
                f'2.{vision[1] - 15}, not for {versions["torch"]}',
                f'pip install "torchvision==0.{torch[1] + 15}.*"',
            )
        ]
    state = versions.get(VISION, 'yes')
    if state == 'yes':
        return []
    return [
        Finding(
            'error',
            f'torchvision cannot be imported ({state}), as when one of torch '
            'and torchvision is a build for the CPU and the other is not',
            'pip install --force-reinstall torch torchvision, both in the '
            'wanted versions and from the same index',
        )
    ]


def _check_numpy(versions: Versions) -> List[Finding]:
    torch, numpy = _version(versions, 'torch'), _version(versions, 'numpy')
    if not torch or not numpy or torch >= (2, 3) or numpy < (2,):
        return []
    return [
        Finding(
            'error',
            f'torch {versions["torch"]} was built for numpy 1, and numpy '
            f'{versions["numpy"]} is installed',
            'pip install "numpy<2" "opencv-python<4.12"',
        )
    ]


def _check_opencv(versions: Versions) -> List[Finding]:
    opencv, numpy = _version(versions, 'opencv'), _version(versions, 'numpy')
    if opencv is None:
        return [
            Finding(
                'error',
                'OpenCV is not installed, and mmcv needs it',
                'pip install opencv-python',
            )
        ]
    if opencv < (4, 12) or not numpy or numpy >= (2,):
        return []
    return [
        Finding(
            'warning',
            f'OpenCV {versions["opencv"]} asks for numpy 2, and numpy '
            f'{versions["numpy"]} is installed',
            'pip install "opencv-python<4.12"',
        )
    ]


def _check_setuptools(versions: Versions) -> List[Finding]:
    setuptools = _version(versions, 'setuptools')
    # The fork does without pkg_resources.
    needed_by = [n for n in ('mmengine', 'openmim') if n in versions]
    if versions.get(PKG_RESOURCES, 'yes') != 'yes' and needed_by:
        return [
            Finding(
                'warning',
                'pkg_resources is missing, which left setuptools in version '
                f'82: {" and ".join(needed_by)} cannot find installed '
                "packages without it, bases of configs such as 'mmseg::' "
                'among them, and mmcv cannot be built',
                'pip install setuptools==79.0.1',
            )
        ]
    if setuptools and setuptools >= (80,) and 'openmim' in versions:
        return [
            Finding(
                'warning',
                f'setuptools {versions["setuptools"]} installs editable '
                'packages where openmim does not find the configs of most',
                'pip install setuptools==79.0.1, then install again',
            )
        ]
    return []


def _check_mmcv(versions: Versions) -> List[Finding]:
    findings = []
    mmcv = _version(versions, 'mmcv', 'mmcv-lite', 'onedl-mmcv')
    strict = [name for name in ('mmdet', 'mmsegmentation') if name in versions]
    if mmcv and mmcv >= (2, 2) and strict:
        findings.append(
            Finding(
                'warning',
                f'{" and ".join(strict)} refuse to be imported with mmcv '
                '>= 2.2 (an assertion)',
                compat.REQUIREMENTS[-1].cure,
            )
        )
    state = versions.get(OPS, 'yes')
    if mmcv and state != 'yes':
        findings.append(
            Finding(
                'warning',
                f'mmcv has no working compiled ops ({state}); stage 1 does '
                'without, many models of mmdet and mmseg do not',
                compat.REQUIREMENTS[-1].cure,
            )
        )
    return findings


def _check_mmseg(versions: Versions) -> List[Finding]:
    if not any(name in versions for name in (CLASSIC[-1], FORK[-1])):
        return []
    missing = [name for name in ('ftfy', 'regex') if name not in versions]
    if not missing:
        return []
    return [
        Finding(
            'warning',
            f'mmseg imports {" and ".join(missing)} without asking for it',
            f'pip install {" ".join(missing)}',
        )
    ]


def _check_checkpoints(versions: Versions) -> List[Finding]:
    torch = _version(versions, 'torch')
    if not torch or torch < (2, 6) or 'mmengine' not in versions:
        return []
    return [
        Finding(
            'note',
            f'torch {versions["torch"]} refuses the checkpoints of mmengine '
            f'{versions["mmengine"]}; where mmwsl is imported mmengine reads '
            'them with a stricter reader, and torch.load stays as it is',
        )
    ]
