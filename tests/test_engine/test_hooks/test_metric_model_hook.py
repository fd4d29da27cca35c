"""Runs whose metric asks the model, with every kind of map."""

import json

import pytest
from mmengine.evaluator import Evaluator

from mmwsl.apis import build_runner, load_config
from mmwsl.engine import MetricModelHook
from stage1_data import CONFIG_DIR
from toy_run import SMALL

OPTIONS = {
    **{k: json.loads(v) for k, v in (text.split('=') for text in SMALL)},
    'test_dataloader.dataset.num_images': 3,
    'test_dataloader.num_workers': 0,
    'test_evaluator.0.type': 'FaithfulnessMetric',
    'test_evaluator.0.steps': 3,
    'model.head.score_threshold': 0.0,
}


@pytest.mark.parametrize(
    ('config', 'options'),
    [
        ('cam/cam_r18_toy', {}),
        ('cam/cam_r18_toy', {'model.head.type': 'LayerCAMHead'}),
        ('da_wsol/dal_cam_r18_toy', {}),
        ('prm/prm_r18_toy', {}),
        (
            'prm/prm_r18_toy',
            {'test_evaluator.0.maps': 'peak_response_maps'},
        ),
        ('lc/lc_r18_toy', {}),
    ],
)
def test_asks_about_maps_of_all_heads(config, options, tmp_path):
    options = {**OPTIONS, **options, 'work_dir': str(tmp_path)}
    cfg = load_config(CONFIG_DIR / f'{config}.py', options)
    cfg.test_evaluator = cfg.test_evaluator[:1]
    found = build_runner(cfg).test()
    for name in ('avg_drop', 'increase', 'deletion', 'insertion'):
        assert 0 <= found[name] <= 100
    assert found['deletion'] > 0


def test_another_model_is_one_line():
    class Run:
        model = object()

    run = Run()
    run.test_evaluator = Evaluator(dict(type='FaithfulnessMetric'))
    with pytest.raises(TypeError, match='needs a WSLClassifier, got object'):
        MetricModelHook().before_test(run)
