"""Every known break, from tables of versions, and the report of them."""

from typing import Dict, List, Optional

import pytest
import torch

from mmwsl import doctor
from mmwsl.doctor import (
    OPS,
    PKG_RESOURCES,
    VISION,
    Finding,
    diagnose,
    family,
)

BROKEN = {
    'torch': '2.1.2',
    'torchvision': '0.16.2',
    'numpy': '2.0.0',
    'opencv': '4.10.0.84',
    'mmengine': '0.10.7',
    'mmcv-lite': '2.1.0',
    PKG_RESOURCES: 'yes',
    OPS: "No module named 'mmcv._ext'",
}
CLASSIC = {
    'python': '3.11.7',
    'torch': '2.11.0',
    'torchvision': '0.26.0',
    'numpy': '2.4.6',
    'opencv': '5.0.0.93',
    'setuptools': '79.0.1',
    'openmim': '0.3.9',
    'mmengine': '0.10.7',
    'mmcv': '2.1.0',
    'mmdet': '3.3.0',
    'mmsegmentation': '1.2.2',
    'ftfy': '6.3.1',
    'regex': '2026.11.15',
    PKG_RESOURCES: 'yes',
    OPS: 'yes',
}
OLD = {
    **CLASSIC,
    'torch': '2.1.2',
    'torchvision': '0.16.2',
    'numpy': '1.26.4',
    'opencv': '4.11.0.86',
}
FORK = {
    'torch': '2.13.0+cpu',
    'torchvision': '0.28.0',
    'numpy': '2.4.6',
    'opencv': '5.0.0.93',
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmdetection': '3.5.1',
    'onedl-mmsegmentation': '1.4.2',
    'ftfy': '6.3.1',
    'regex': '2026.11.15',
}


def changed(base: Dict[str, str], **changes: Optional[str]) -> Dict[str, str]:
    """The table with some entries replaced, or removed where None."""
    table: Dict[str, Optional[str]] = {**base}
    table.update({k.replace('_', '-'): v for k, v in changes.items()})
    return {k: v for k, v in table.items() if v is not None}


def faults(versions: Dict[str, str]) -> List[Finding]:
    """The findings that ask for something to be done."""
    return [item for item in diagnose(versions) if item.level != 'note']


@pytest.mark.parametrize(
    'versions', [CLASSIC, OLD, FORK, {**FORK, PKG_RESOURCES: 'missing'}]
)
def test_supported_stacks_are_sound(versions: Dict[str, str]) -> None:
    assert faults(versions) == []


def test_family() -> None:
    assert family(CLASSIC) == 'OpenMMLab classic'
    assert family({'mmcv-lite': '2.1.0'}) == 'OpenMMLab classic'
    assert family(FORK) == 'onedl fork'
    assert family({**FORK, 'mmdet': '3.3.0'}) == 'mixed'
    assert family({'torch': '2.11.0'}) == 'none'


@pytest.mark.parametrize(
    ('versions', 'level', 'text', 'cure'),
    [
        (
            changed(CLASSIC, mmcv='2.2.0'),
            'warning',
            'mmdet and mmsegmentation refuse',
            'mmcv==2.1.0',
        ),
        (
            {**CLASSIC, OPS: "No module named 'mmcv._ext'"},
            'warning',
            "no working compiled ops (No module named 'mmcv._ext')",
            'MMCV_WITH_OPS=1',
        ),
        (
            {**CLASSIC, PKG_RESOURCES: 'missing'},
            'warning',
            'pkg_resources is missing',
            'setuptools==79.0.1',
        ),
        (
            changed(CLASSIC, setuptools='80.0.0'),
            'warning',
            'setuptools 80.0.0 installs editable',
            'setuptools==79.0.1',
        ),
        (changed(OLD, numpy='2.0.0'), 'error', 'built for numpy 1', 'numpy<2'),
        (
            changed(OLD, opencv='5.0.0.93'),
            'warning',
            'asks for numpy 2',
            'opencv-python<4.12',
        ),
        (
            changed(CLASSIC, opencv=None),
            'error',
            'OpenCV is not installed',
            'pip install opencv-python',
        ),
        (
            changed(CLASSIC, torchvision='0.25.0'),
            'error',
            'was built for torch 2.10',
            'torchvision==0.26.*',
        ),
        (
            {**FORK, VISION: 'operator torchvision::nms does not exist'},
            'error',
            'cannot be imported (operator torchvision::nms does not exist)',
            'from the same index',
        ),
        (
            changed(CLASSIC, ftfy=None, regex=None),
            'warning',
            'mmseg imports ftfy and regex',
            'pip install ftfy regex',
        ),
        (
            changed(FORK, regex=None),
            'warning',
            'mmseg imports regex',
            'pip install regex',
        ),
        (
            changed(CLASSIC, onedl_mmcv='2.3.6'),
            'error',
            'mmcv and onedl-mmcv are both installed',
            'pip uninstall -y mmcv onedl-mmcv',
        ),
        (
            changed(FORK, onedl_mmdetection=None, mmdet='3.3.0'),
            'warning',
            'are mixed',
            'docs/install.md',
        ),
        (
            changed(CLASSIC, torch=None),
            'error',
            'torch is not installed',
            'pip install torch==2.11.0',
        ),
        (
            changed(CLASSIC, mmcv='1.7.2'),
            'error',
            'mmcv 1.7.2 was found',
            'mmcv==2.1.0',
        ),
    ],
)
def test_break(
    versions: Dict[str, str], level: str, text: str, cure: str
) -> None:
    matching = [item for item in faults(versions) if text in item.text]
    assert len(matching) == 1
    assert matching[0].level == level
    assert cure in matching[0].cure


def test_checkpoint_note_depends_on_torch() -> None:
    notes = [item for item in diagnose(CLASSIC) if item.level == 'note']
    assert len(notes) == 1
    assert 'refuses the checkpoints' in notes[0].text
    assert diagnose(OLD) == []


def test_errors_come_first() -> None:
    versions = changed(OLD, numpy='2.0.0', mmcv='2.2.0')
    levels = [item.level for item in diagnose(versions)]
    assert levels == ['error', 'warning']


def test_collects_what_is_installed() -> None:
    versions = doctor.collect_versions()
    assert versions['torch'].split('+')[0] == torch.__version__.split('+')[0]
    assert {'python', 'torchvision', 'numpy', 'opencv'} <= set(versions)
    assert OPS in versions
    assert PKG_RESOURCES in versions


def test_report_names_break_and_cure() -> None:
    text = doctor.report(BROKEN)
    assert 'family: OpenMMLab classic' in text
    assert 'error: torch 2.1.2 was built for numpy 1' in text
    assert '    cure: pip install "numpy<2"' in text
    assert 'warning: mmcv has no working compiled ops' in text
    assert text.endswith('stage 1: broken')


@pytest.mark.parametrize(
    ('changes', 'status'), [({}, 1), ({'numpy': '1.26.4'}, 0)]
)
def test_exit_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    changes: Dict[str, str],
    status: int,
) -> None:
    table = {**BROKEN, **changes}
    monkeypatch.setattr(doctor, 'collect_versions', lambda: table)
    assert doctor.main() == status
    expected = 'stage 1: broken' if status else 'stage 1: works'
    assert expected in capsys.readouterr().out
