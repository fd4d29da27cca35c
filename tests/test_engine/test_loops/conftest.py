"""A run of adversarial erasing that several files compare with."""

import pytest

from erasing_run import Recorder, erasing_config, make_runner, write_saliency


@pytest.fixture(scope='session')
def saliency(tmp_path_factory):
    folder = tmp_path_factory.mktemp('saliency')
    write_saliency(folder)
    return folder


@pytest.fixture(scope='session')
def whole(tmp_path_factory, saliency):
    """Folder and recorder of a run that nothing breaks off."""
    work_dir = tmp_path_factory.mktemp('whole')
    cfg = erasing_config(work_dir, saliency_dir=str(saliency))
    runner, recorder = make_runner(cfg), Recorder()
    runner.register_hook(recorder)
    runner.train()
    return work_dir, recorder
