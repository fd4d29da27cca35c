"""Any config predicts its training images if it says where to."""

import pytest

from mmwsl.utils.config import load_config
from stage1_data import CONFIG_DIR

OUT = {'predict.out_dir': 'out'}


def predicting(name, **options):
    return load_config(CONFIG_DIR / name, {**OUT, **options})


def names(cfg):
    pipeline = cfg.test_dataloader.dataset.pipeline
    return [step['type'].split('.')[-1] for step in pipeline]


def test_nothing_changes_without_a_folder():
    cfg = load_config(CONFIG_DIR / 'nsrom/cls_vgg16_voc12.py')
    assert 'predict' in cfg
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.test_evaluator == cfg.val_evaluator


@pytest.mark.parametrize(
    'name', ['nsrom/cls_r18_toy.py', 'cam/cam_r18_toy.py']
)
def test_classifier(name):
    cfg = predicting(name)
    plain = load_config(CONFIG_DIR / name)
    # Training images, read without their augmentation and without truth.
    dataset = cfg.test_dataloader.dataset
    assert dataset.type == plain.train_dataloader.dataset.type
    assert not any('Flip' in step or 'Eval' in step for step in names(cfg))
    assert 'eval_keys' not in dataset.pipeline[-1]
    assert cfg.train_dataloader == plain.train_dataloader
    assert cfg.val_dataloader == plain.val_dataloader
    assert cfg.test_evaluator.type == 'mmwsl.PseudoLabelWriter'
    assert cfg.test_evaluator.out_dir == 'out'


def test_transforms_of_its_own():
    cfg = predicting('nsrom/oa_mobilenet-v2_voc12-2007.py', data_root='/d')
    assert names(cfg) == ['LoadWSLImage', 'Resize', 'PackWSLInputs']
    dataset = cfg.test_dataloader.dataset
    assert dataset.pipeline[1].scale == (256, 256)
    assert dataset.data_root == '/d'
    assert cfg.test_evaluator.soft_maps


def test_segmentor():
    pytest.importorskip('mmseg')
    cfg = predicting('nsrom/seg_vgg16_voc12.py', data_root='/d')
    dataset = cfg.test_dataloader.dataset
    assert dataset.data_prefix == dict(img_path='/d/JPEGImages')
    assert dataset.ann_file.endswith('/trainaug.txt')
    assert names(cfg) == ['LoadWSLImage', 'PackSegInputs']
    assert cfg.test_evaluator.img_dir == '/d/JPEGImages'


@pytest.mark.parametrize(
    'name', ['ae_psl/psl_r18_toy.py', 'nsrom/seg_mobilenet-v2_voc12-2007.py']
)
def test_given_classes_alone(name):
    pytest.importorskip('mmseg')
    cfg = predicting(name, data_root='/d')
    pack = cfg.test_dataloader.dataset.pipeline[-1]
    assert pack.type == 'mmwsl.PackLabelledSegInputs'
    assert pack.labels.data_root == '/d'
    assert cfg.custom_hooks[-1].given_only
    assert 'img_dir' not in cfg.test_evaluator
    weighted = cfg.model.decode_head.get('weighted_test', True)
    assert weighted == ('seg_' in name)


def test_settings_of_the_crf_replace_others():
    pytest.importorskip('mmseg')
    cfg = predicting('nsrom/seg_r18_toy.py')
    assert cfg.custom_hooks[-1].crf == dict(bilateral=(4, 20, 10))


def test_labels_that_are_missing(tmp_path):
    pytest.importorskip('mmseg')
    path = tmp_path / 'a.py'
    text = "_base_ = 'mmwsl::nsrom/seg_r18_toy.py'\nimage_labels = None\n"
    path.write_text(text)
    options = {**OUT, 'predict.crf.given_only': True}
    with pytest.raises(ValueError, match=r'a\.py: predict\.crf\.given_only'):
        load_config(path, options)


@pytest.mark.parametrize(
    'name', ['nsrom/cams_r18_toy.py', 'ae_psl/psl-predict_vgg16_voc12.py']
)
def test_configs_that_always_predict(name):
    if name.startswith('ae_psl'):
        pytest.importorskip('mmseg')
    cfg = load_config(CONFIG_DIR / name, dict(out_dir='/made'))
    assert cfg.test_evaluator.out_dir == '/made'
