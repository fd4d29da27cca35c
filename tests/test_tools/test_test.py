"""The test command: predictions, pictures, and one line for bad input."""

import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.mask import decode

from export_readers import read_coco
from mmwsl.apis import init_model
from mmwsl.registry import MODELS
from mmwsl.utils.checkpoints import read_checkpoint
from stage1_data import small_config, write_data
from tool_calls import call, error, fails, options
from toy_run import CONFIG, SMALL, test_metrics

VOC = 'cam/cam_mobilenet-v2_voc12-2007.py'


@pytest.fixture(scope='module')
def voc_weights(tmp_path_factory):
    """A model for VOC's classes that is not trained."""
    root = tmp_path_factory.mktemp('weights')
    write_data(root)
    model = MODELS.build(small_config(VOC, root).model)
    path = root / 'model.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path


@pytest.fixture
def voc(tmp_path):
    """A folder of four photographs and a config that tests on them."""
    root = tmp_path / 'voc'
    write_data(root)
    path = root / 'config.py'
    cfg = small_config(VOC, root)
    cfg.model.test_cfg.scales = (1.0,)
    cfg.dump(path)
    return path


def test_predictions_and_pictures(tool, toy_checkpoint, tmp_path):
    out, show = tmp_path / 'out.pkl', tmp_path / 'show'
    args = ['--work-dir', tmp_path, '--show-dir', show]
    args += ['--out', out, '--out-maps']
    assert call(tool, CONFIG, toy_checkpoint, *args, *options(*SMALL)) == 0
    assert 0 < test_metrics(tmp_path)['mAP'] <= 100
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == 10
    assert len({entry['img_id'] for entry in predictions}) == 10
    for entry in predictions:
        assert entry['pred_score'].shape == (6,)
        shown = entry['gt_label'].tolist()
        assert entry['pred_map_labels'].tolist() == shown
        assert entry['pred_maps']['data'].shape == (len(shown), 48, 48)
    pictures = sorted(p for p in show.rglob('*') if p.is_file())
    # Ten images and a contact sheet.
    assert len(pictures) == 11
    assert sum('contact_sheet' in p.name for p in pictures) == 1
    with Image.open(pictures[-1]) as picture:
        assert picture.size[0] > 48


def test_out_is_small(tool, toy_checkpoint, tmp_path):
    """Without maps it says the same of scores and label maps."""
    found = []
    for number, more in enumerate([[], ['--out-maps']]):
        out = tmp_path / f'{number}.pkl'
        args = ['--work-dir', tmp_path, '--out', out, *more]
        assert call(tool, CONFIG, toy_checkpoint, *args, *options(*SMALL)) == 0
        found.append(pickle.loads(out.read_bytes()))
    sizes = [(tmp_path / f'{n}.pkl').stat().st_size for n in range(2)]
    assert sizes[0] * 10 < sizes[1]
    assert len(found[0]) == 10
    for entry, sample in zip(*found):
        assert entry['img_id'] == sample['img_id']
        assert entry['scores'] == sample['pred_score'].tolist()
        assert entry['labels'] == sample['pred_label'].tolist()
        label_map = np.zeros((48, 48), np.int64)
        for segment in entry['segments']:
            mask = decode(segment['segmentation']).astype(bool)
            label_map[mask] = segment['label'] + 1
            assert entry['classes'][segment['label']] == segment['name']
        seen = sample['pred_sem_seg']['data'][0].numpy()
        np.testing.assert_array_equal(label_map, seen)
        assert not {'pred_maps', 'palette'} & set(entry)


def test_out_is_a_pickle(tool, toy_checkpoint, capsys):
    assert call(tool, CONFIG, toy_checkpoint, '--out-maps') == 1
    assert '--out-maps needs --out' in error(capsys.readouterr())
    assert call(tool, CONFIG, toy_checkpoint, '--out', 'a.json') == 1
    assert '--out must end in .pkl, got a.json' in error(capsys.readouterr())


def test_export(tool, toy_checkpoint, tmp_path, capsys):
    args = ['--work-dir', tmp_path, '--min-area', 2]
    for kind in ('coco', 'counts'):
        args += ['--export', kind, tmp_path / kind]
    assert call(tool, CONFIG, toy_checkpoint, *args, *options(*SMALL)) == 0
    metrics = test_metrics(tmp_path)
    found = read_coco(tmp_path / 'coco')
    assert metrics['exported'] == len(found) == 10
    objects = [x for items in found.values() for x in items]
    assert metrics['objects'] == len(objects) > 0
    assert all(file.startswith('toy/') for file in found)
    for _, mask, item in objects:
        assert mask.shape == (48, 48)
        assert mask.sum() >= 2
        assert 0 <= item['score'] <= 1
    lines = (tmp_path / 'counts/counts.csv').read_text().splitlines()
    assert lines[0] == 'image,ant,bee,cod,doe,emu,fox'
    assert len(lines) == 11
    # What is there is not replaced, and that is said at once.
    capsys.readouterr()
    assert call(tool, CONFIG, toy_checkpoint, *args, *options(*SMALL)) == 1
    message = error(capsys.readouterr())
    assert f'{tmp_path / "coco"}: is there already' in message


@pytest.mark.parametrize('own', ["[dict(type='A')]", "dict(type='A')"])
def test_out_joins_the_evaluator(tool, toy_checkpoint, tmp_path, own):
    path = tmp_path / 'config.py'
    path.write_text(f'model = dict(type="B")\ntest_evaluator = {own}\n')
    args = [str(path), str(toy_checkpoint), '--out', 'a.pkl']
    for more, kind in ([], 'mmwsl.PredictionDump'), (['--out-maps'], 'Dump'):
        cfg = tool.build_config(tool.parser.parse_args([*args, *more]))
        assert kind in cfg.test_evaluator[-1].type
        assert cfg.test_evaluator[0].type == 'A'


def test_missing_checkpoint(tool, capsys):
    message = fails(tool, capsys, CONFIG, 'none.pth')
    assert message == 'error: none.pth: there is no such checkpoint.'


def test_pictures_need_a_hook(tool, toy_checkpoint, capsys):
    args = ['--show-dir', 'show', *options('default_hooks.visualization=None')]
    message = fails(tool, capsys, CONFIG, toy_checkpoint, *args)
    assert 'cam_r18_toy.py' in message
    assert 'default_hooks.visualization' in message


def test_show_options(tool, toy_checkpoint):
    args = ['--show', '--wait-time', '0.5', '--show-dir', 'pictures']
    parsed = tool.parser.parse_args([CONFIG, str(toy_checkpoint), *args])
    hook = tool.build_config(parsed).default_hooks.visualization
    assert (hook.draw, hook.show) == (True, True)
    assert (hook.wait_time, hook.out_dir) == (0.5, 'pictures')


def test_checkpoint_of_another_number_of_classes(
    tool, toy_checkpoint, capsys, tmp_path
):
    args = ['--work-dir', tmp_path]
    args += options(*SMALL, 'model.head.num_classes=8')
    message = fails(tool, capsys, CONFIG, toy_checkpoint, *args)
    assert 'trained for 6 classes' in message
    assert 'num_classes=8 (head.classifier.weight)' in message


def test_data_of_another_number_of_classes(
    tool, toy_checkpoint, capsys, tmp_path
):
    args = ['--work-dir', tmp_path]
    args += options(*SMALL, 'test_dataloader.dataset.num_classes=8')
    message = fails(tool, capsys, CONFIG, toy_checkpoint, *args)
    assert str(toy_checkpoint) in message
    assert 'emu, fox here' not in message
    assert 'gnu, hen here' in message


def test_classes_that_no_image_shows(tool, voc, voc_weights):
    # Cats and dogs: eighteen of VOC's classes are never present.
    assert call(tool, voc, voc_weights, *options()) == 0
    metrics = test_metrics(voc.parent / 'work')
    assert np.isfinite(metrics['mAP'])
    assert np.isfinite(metrics['mIoU'])


def test_mask_of_another_size(tool, voc, voc_weights, capsys):
    mask = Image.fromarray(np.zeros((9, 7), np.uint8))
    mask.save(voc.parent / 'SegmentationClass/c.png')
    assert call(tool, voc, voc_weights, *options()) == 1
    assert 'c.png: mask is 7 x 9 pixels' in error(capsys.readouterr())


def test_missing_mask(tool, voc, voc_weights, capsys):
    (voc.parent / 'SegmentationClass/a.png').unlink()
    assert call(tool, voc, voc_weights, *options()) == 1
    assert 'SegmentationClass/a.png: ' in error(capsys.readouterr())


@pytest.mark.slow
def test_broken_and_incomplete_checkpoints(
    tool, toy_checkpoint, capsys, tmp_path
):
    path = tmp_path / 'half.pth'
    path.write_bytes(toy_checkpoint.read_bytes()[:1000])
    args = ['--work-dir', str(tmp_path), *options(*SMALL)]
    assert call(tool, CONFIG, path, *args) == 1
    assert f'error: {path}: ' in capsys.readouterr().err

    state = read_checkpoint(toy_checkpoint)['state_dict']
    del state['head.classifier.bias']
    torch.save(dict(state_dict=state), path)
    assert call(tool, CONFIG, path, *args) == 1
    message = capsys.readouterr().err
    assert f'{path}: the checkpoint lacks 1 of the tensors' in message


@pytest.mark.slow
def test_classes_in_another_order(tool, tmp_path, capsys):
    """Of two classes the score in the wrong order is the other share."""
    for name in ('cat/1', 'cat/2', 'dog/3'):
        path = tmp_path / 'val' / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = np.full((32, 32, 3), 60 * int(name[-1]), np.uint8)
        Image.fromarray(shade).save(path)
    config = tmp_path / 'config.py'
    config.write_text(f"""
_base_ = ['mmwsl::_base_/models/cam_r18_scratch.py',
          'mmwsl::_base_/datasets/own_folder.py',
          'mmwsl::_base_/schedules/adamw_4e.py',
          'mmwsl::_base_/default_runtime.py']
test_dataloader = dict(dataset=dict(
    data_root={str(tmp_path)!r}, metainfo=dict(classes=('dog', 'cat')),
    pipeline=[dict(type='LoadWSLImage'), dict(type='PackWSLInputs')]))
model = dict(head=dict(num_classes=2, multi_label=False, keep='predicted'))
""")
    torch.manual_seed(0)
    model = init_model(config)
    path = tmp_path / 'weights.pth'
    scores = []
    for names, classes in (
        (['dog', 'cat'], 'same'),
        (['cat', 'dog'], 'any'),
        (['cat', 'dog'], 'by_name'),
    ):
        state = model.state_dict()
        if classes == 'by_name':
            # The same model, trained with the classes in another order.
            state = dict(state)
            for part in ('weight', 'bias'):
                key = f'head.classifier.{part}'
                state[key] = state[key].flip(0)
        meta = dict(dataset_meta=dict(classes=names))
        torch.save(dict(state_dict=state, meta=meta), path)
        work_dir = tmp_path / classes
        check = f'default_hooks.checks.classes={classes}'
        command = [config, path, '--work-dir', work_dir, *options(check)]
        assert call(tool, *command) == 0
        (found,) = work_dir.glob('*/*.json')
        scores.append(json.loads(found.read_text())['top1'])
    assert scores[2] == scores[0] == scores[1]
    check = 'default_hooks.checks.classes=same'
    command = [config, path, '--work-dir', tmp_path / 'x', *options(check)]
    assert call(tool, *command) == 1
    assert 'weights.pth' in capsys.readouterr().err
