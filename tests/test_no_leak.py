"""Training never sees boxes or masks, in no config."""

import pytest
from mmengine.registry import init_default_scope

from mmwsl.registry import DATASETS
from stage1_data import config_files, read_once, small_config, write_data

# All that supervision by image labels and counts consists of.
SUPERVISION = {'gt_label', 'gt_score', 'gt_count', 'gt_label_difficult'}
# What a classifier that learned from them has attended to, where a config
# names the file.
LEARNED = {'attention'}
ENTRY_KEYS = {
    'img_id',
    'img_path',
    'sample_idx',
    'num_classes',
    'gt_label',
    'gt_label_difficult',
    'gt_count',
    # Of own data: 'train'.
    'split',
    # Toy data draw the picture in the data set.
    'img',
    'img_shape',
    'ori_shape',
}


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    write_data(root)
    return root


@pytest.mark.slow
@pytest.mark.parametrize('name', config_files())
def test_training_samples_hold_labels_and_counts_only(name, data_root):
    cfg = small_config(name, data_root)
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert not dataset.test_mode
    assert set(dataset.get_data_info(0)) <= ENTRY_KEYS
    packed = dataset[0]
    assert set(packed) == {'inputs', 'data_samples'}
    allowed = SUPERVISION | (LEARNED if 'attention' in cfg else set())
    assert set(packed['data_samples'].keys()) <= allowed


def configs_with_ground_truth():
    """Configs whose evaluation has more than labels."""
    return [
        name
        for name in config_files()
        if any(
            transform.type == 'LoadEvalAnnotations'
            for transform in read_once(name).test_dataloader.dataset.pipeline
        )
    ]


@pytest.mark.parametrize('name', configs_with_ground_truth())
def test_the_evaluation_pipeline_fails_on_a_training_set(name, data_root):
    """Naming ground truth in a training pipeline is refused, not ignored."""
    cfg = small_config(name, data_root)
    pipeline = cfg.test_dataloader.dataset.pipeline
    init_default_scope(cfg.default_scope)
    config = dict(cfg.train_dataloader.dataset, pipeline=pipeline)
    with pytest.raises(ValueError, match='evaluation'):
        DATASETS.build(config)[0]


def test_packing_drops_what_is_not_named(data_root):
    """Even loaded ground truth stays out of a sample unless it is named."""
    cfg = small_config('cam/cam_r50_voc12-448.py', data_root)
    config = cfg.test_dataloader.dataset
    init_default_scope(cfg.default_scope)
    assert 'gt_sem_seg' in DATASETS.build(config)[0]['data_samples']
    config.pipeline[-1].pop('eval_keys')
    sample = DATASETS.build(config)[0]['data_samples']
    assert set(sample.keys()) <= SUPERVISION
