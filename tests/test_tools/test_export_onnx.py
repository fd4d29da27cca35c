"""ONNX files equal torch, and say what a program without torch needs."""

import json
import re

import numpy as np
import onnxruntime
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from PIL import Image

from mmwsl.apis import inference_model, init_model
from mmwsl.registry import MODELS
from stage1_data import read_once
from tool_calls import call, fails
from toy_run import CONFIG

STAGE_1 = (
    'cam/cam_r18_toy.py',
    'prm/prm_r18_toy.py',
    'lc/lc_r18_toy.py',
    'da_wsol/dal_cam_r18_toy.py',
    'da_wsol/wsol_acol_r18_toy.py',
    'da_wsol/wsol_adl_r18_toy.py',
    'ae_psl/erase_r18_toy.py',
    'nsrom/cls_r18_toy.py',
    'nsrom/oa_r18_toy.py',
)
SEGMENTOR = 'nsrom/seg_r18_toy.py'


def save(name, folder):
    """Write a checkpoint of a model with lively statistics."""
    cfg = Config(read_once(name).to_dict())
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for part in model.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    path = folder / 'model.pth'
    classes = ('background', 'ant', 'bee', 'cod', 'doe', 'emu', 'fox')
    number = 7 if hasattr(model, 'decode_head') else 6
    meta = dict(dataset_meta=dict(classes=classes[-number:]))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return path, cfg


def run(path, images):
    session = onnxruntime.InferenceSession(str(path))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {'images': images})))


@pytest.mark.slow
@pytest.mark.parametrize('name', STAGE_1)
def test_stage_1(tool, repo_root, tmp_path, name, capsys):
    checkpoint, cfg = save(name, tmp_path)
    out = tmp_path / 'out/model.onnx'
    assert call(tool, repo_root / 'configs' / name, checkpoint, out) == 0
    assert 'equal to torch within' in capsys.readouterr().out
    about = json.loads(out.with_suffix('.json').read_text())
    assert about['classes'] == ['ant', 'bee', 'cod', 'doe', 'emu', 'fox']
    assert about['input']['free_size']
    model = init_model(cfg, checkpoint)
    # Bytes, as images are.
    images = torch.randint(0, 256, (2, 3, 96, 128)).float()
    packed = dict(inputs=images)
    inputs = model.data_preprocessor(packed)['inputs'].numpy()
    found = run(out, inputs)
    with torch.no_grad():
        maps = model(torch.from_numpy(inputs))
        scores = model.head.scores(maps)
    squash = torch.sigmoid if about['multi_label'] else torch.nn.Softmax(1)
    np.testing.assert_allclose(found['maps'], maps, 1e-4, 1e-4)
    np.testing.assert_allclose(found['scores'], squash(scores), 1e-4, 1e-4)
    assert set(found) == set(about['outputs'])


@pytest.mark.slow
@pytest.mark.parametrize('size', [(112, 112), (90, 130)])
@pytest.mark.parametrize('net', ['vit', 'vit-attention', 'swin'])
def test_transformers(tool, repo_root, tmp_path, net, size, capsys):
    """Their embeddings of positions, or windows, fix the size."""
    pytest.importorskip('timm')
    name = f'cam/cam_{net}_toy.py'
    checkpoint, cfg = save(name, tmp_path)
    out = tmp_path / 'model.onnx'
    given = ['--size', *size]
    path = repo_root / 'configs' / name
    assert call(tool, path, checkpoint, out, *given) == 0
    assert 'one image a batch are fixed' in capsys.readouterr().out
    about = json.loads(out.with_suffix('.json').read_text())
    assert not about['input']['free_size']
    model = init_model(cfg, checkpoint)
    images = torch.randn(1, 3, *size)
    found = run(out, images.numpy())
    with torch.no_grad():
        feats = model.extract_feat(images)
        scores = model.head.scores(model.head(feats)).sigmoid()
        maps = model.head.view_maps(feats)[:, -6:]
    np.testing.assert_allclose(found['maps'], maps, 1e-4, 1e-4)
    np.testing.assert_allclose(found['scores'], scores, 1e-4, 1e-4)


@pytest.mark.slow
def test_counts(tool, repo_root, tmp_path):
    """Densities and counts are those that predictions have."""
    name = 'lc/lc_r18_toy.py'
    checkpoint, cfg = save(name, tmp_path)
    out = tmp_path / 'model.onnx'
    least = [0.1, 0.9, 0.5, 0.1, 0.9, 0.5]
    options = ['--cfg-options', f'model.head.score_threshold={least}']
    options[-1] = options[-1].replace(' ', '')
    path = repo_root / 'configs' / name
    assert call(tool, path, checkpoint, out, *options) == 0
    about = json.loads(out.with_suffix('.json').read_text())
    assert about['thresholds']['score'] == least
    height, width = about['input']['size']
    cfg.model.head.update(instances=False, score_threshold=least)
    model = init_model(cfg, checkpoint)
    image = np.random.default_rng(0).integers(
        0, 256, (height, width, 3), np.uint8
    )
    sample = inference_model(model, image)
    packed = dict(inputs=[torch.from_numpy(image).permute(2, 0, 1)])
    found = run(out, model.data_preprocessor(packed)['inputs'].numpy())
    density = sample.pred_density.data
    np.testing.assert_allclose(found['density'][0], density, 1e-4, 1e-4)
    sums = density.sum((1, 2))
    np.testing.assert_allclose(found['counts'][0], sums, 1e-4)
    present = found['scores'][0] > about['thresholds']['score']
    counts = found['counts'][0].round().clip(0) * present
    assert counts.tolist() == sample.pred_count.tolist()


@pytest.mark.slow
def test_segmentor(tool, repo_root, tmp_path):
    checkpoint, cfg = save(SEGMENTOR, tmp_path)
    out = tmp_path / 'model.onnx'
    options = ['--cfg-options', 'model.backbone.init_cfg=None']
    path = repo_root / 'configs' / SEGMENTOR
    assert call(tool, path, checkpoint, out, *options) == 0
    about = json.loads(out.with_suffix('.json').read_text())
    assert about['classes'][0] == 'background'
    model = init_model(cfg, checkpoint)
    images = torch.randn(1, 3, 64, 96)
    meta = dict(ori_shape=(64, 96), img_shape=(64, 96), pad_shape=(64, 96))
    with torch.no_grad():
        logits = model.encode_decode(images, [meta])
    found = run(out, images.numpy())['seg_logits']
    np.testing.assert_allclose(found, logits, 1e-4, 1e-4)


def test_script_of_the_docs(tool, repo_root, tmp_path, monkeypatch, capsys):
    """It predicts what mmwsl predicts."""
    checkpoint, cfg = save('cam/cam_r18_toy.py', tmp_path)
    out = tmp_path / 'model.onnx'
    assert call(tool, CONFIG, checkpoint, out) == 0
    text = (repo_root / 'docs/deployment.md').read_text()
    (script,) = re.findall('```python\n(.*?)```', text, re.S)
    about = json.loads(out.with_suffix('.json').read_text())
    height, width = about['input']['size']
    pixels = np.random.default_rng(0).integers(
        0, 256, (height, width, 3), np.uint8
    )
    Image.fromarray(pixels).save(tmp_path / 'photo.png')
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(script.replace('photo.jpg', 'photo.png'), {})
    printed = capsys.readouterr().out
    model = init_model(cfg, checkpoint)
    scores = inference_model(model, tmp_path / 'photo.png').pred_score
    assert re.findall(r'(\d\.\d\d),', printed) == [f'{s:.2f}' for s in scores]


@pytest.mark.parametrize(
    ('resize', 'expected'),
    [
        (dict(scale=(64, 48)), ((48, 64), False)),
        (dict(scale=96), ((96, 96), False)),
        (dict(scale=(1280, 256), keep_ratio=True), ((256, 256), True)),
        (None, ((224, 224), False)),
    ],
)
def test_size_of_the_test_pipeline(tool, resize, expected):
    pipeline = [dict(type='Resize', **resize)] if resize else []
    dataset = dict(type='ToyDataset', pipeline=pipeline)
    cfg = Config(dict(test_dataloader=dict(dataset=dataset)))
    assert tool.input_size(cfg) == expected


class OneSize(BaseModel):
    """A neck whose parameters fit one size of maps."""

    def __init__(self):
        super().__init__()
        self.places = torch.nn.Parameter(torch.ones(14, 14))

    def forward(self, feats):
        return (feats[-1] * self.places,)


def test_models_of_one_size(tool, tmp_path, capsys):
    MODELS.register_module(module=OneSize, force=True)
    try:
        cfg = Config(read_once('cam/cam_r18_toy.py').to_dict())
        cfg.model.neck = dict(type='OneSize')
        model = MODELS.build(cfg.model)
        checkpoint = tmp_path / 'model.pth'
        torch.save(dict(state_dict=model.state_dict()), checkpoint)
        path = tmp_path / 'one_size.py'
        cfg.dump(str(path))
        out = tmp_path / 'model.onnx'
        assert call(tool, path, checkpoint, out, '--size', 224, 224) == 0
    finally:
        MODELS.module_dict.pop('OneSize')
    assert 'are fixed' in capsys.readouterr().out
    about = json.loads(out.with_suffix('.json').read_text())
    assert not about['input']['free_size']


def test_wrong_files_are_found(tool):
    """The comparison is no formality."""
    first = torch.nn.Conv2d(3, 4, 1)
    module = torch.nn.Sequential(first)
    module.names = ['maps']
    content = tool.write_onnx(module, torch.randn(1, 3, 8, 8), True, 17)
    wrap = torch.nn.Module()
    wrap.names = ['maps']
    wrap.forward = lambda images: (first(images),)
    assert tool.check(content, wrap, (64, 64), True) < 1e-4
    with torch.no_grad():
        first.bias += 1e-3
    with pytest.raises(ValueError, match='differs'):
        tool.check(content, wrap, (64, 64), True)


@pytest.mark.parametrize(
    ('args', 'named'),
    [
        (['model.pt'], 'model.pt'),
        (['model.onnx', '--size', '0', '3'], '--size'),
    ],
)
def test_errors(tool, toy_checkpoint, tmp_path, capsys, args, named):
    first, *rest = args
    line = [CONFIG, toy_checkpoint, tmp_path / first, *rest]
    assert named in fails(tool, capsys, *line)
