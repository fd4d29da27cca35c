"""The report of the doctor on what runs this test, and on made-up tables."""

from typing import Dict

import pytest
import torch

from mmwsl import doctor
from mmwsl.known_breaks import OPS, PKG_RESOURCES

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
