"""What a demo shows is what prediction returns at the same settings."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmwsl.apis import WSLInferencer, inference_model, init_model, load_config
from mmwsl.apis.demo import Demo
from untrained import favour_fifth_class, spread_head, write_noise

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = dict(
    cam=('configs/cam/cam_r18_toy.py', {}),
    layer=(
        'configs/cam/cam_r18_toy.py',
        {'model.head.type': 'LayerCAMHead', 'model.head.background_value': 0},
    ),
    prm=('configs/prm/prm_r18_toy.py', {}),
    lc=('configs/lc/lc_r18_toy.py', {}),
)
OPTIONS = dict(
    background='model.head.background_value',
    score='model.head.score_threshold',
    ratio='model.head.peaks.min_ratio',
)


def build(kind, **changes):
    """A model that is not trained, but predicts some classes."""
    path, options = CONFIGS[kind]
    cfg = load_config(ROOT / path, {**options, **changes})
    torch.manual_seed(0)
    model = init_model(cfg)
    spread_head(model)
    return model


@pytest.fixture(scope='module')
def models():
    """A model of each kind."""
    return {kind: build(kind) for kind in CONFIGS}


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    """A picture of smooth noise."""
    return write_noise(tmp_path_factory.mktemp('pictures') / 'photo.png')


def demo_of(model, **kwargs):
    return Demo(WSLInferencer(model, show_progress=False), **kwargs)


def at_settings(model, file, labels, **values):
    """What a model that is built with these settings predicts."""
    options = {OPTIONS[name]: value for name, value in values.items()}
    if labels and model.head.peaks is not None:
        options['model.head.peaks.classes'] = 'given'
    state = dict(state_dict=model.state_dict())
    other = init_model(model.cfg, state, cfg_options=options)
    return inference_model(other, str(file), list(labels) or None)


def assert_equal(sample, expected):
    assert set(sample.keys()) == set(expected.keys())
    for name, value in expected.items():
        own = sample.get(name)
        if isinstance(value, InstanceData):
            assert_equal(own, value)
        elif isinstance(value, torch.Tensor):
            assert torch.equal(own, value), name
        else:
            assert torch.equal(own.data, value.data), name


@pytest.mark.parametrize('labels', [(), ('bee', 'fox')])
@pytest.mark.parametrize('kind', CONFIGS)
def test_equals_prediction(models, file, kind, labels):
    model = models[kind]
    demo = demo_of(model, max_peaks=100)
    picture = demo.look(str(file))
    own = demo.predict(picture, labels)
    assert_equal(own, at_settings(model, file, labels))
    moved = dict(background=0.55, score=0.9, ratio=0.85)
    moved = {name: moved[name] for name in demo.sliders}
    sample = demo.predict(picture, labels, **moved)
    assert_equal(sample, at_settings(model, file, labels, **moved))
    assert not torch.equal(sample.pred_sem_seg.data, own.pred_sem_seg.data)
    # Nothing stays behind.
    assert_equal(demo.predict(picture, labels), own)


def test_sliders_change_what_they_say(models, file):
    demo = demo_of(models['prm'])
    picture = demo.look(str(file))
    own = demo.predict(picture)
    fewer = demo.predict(picture, ratio=1.0)
    assert 0 < len(fewer.pred_peaks) < len(own.pred_peaks)
    assert len(demo.predict(picture, score=1.0).pred_label) == 0
    assert len(demo.predict(picture, score=0.0).pred_label) == 6
    area = [
        int((demo.predict(picture, background=x).pred_sem_seg.data > 0).sum())
        for x in (0.0, 0.3, 0.6, 1.0)
    ]
    assert area == sorted(area, reverse=True)
    assert area[0] > area[-1] == 0


@pytest.mark.parametrize('kind', CONFIGS)
def test_the_network_sees_a_picture_once(models, file, kind):
    demo = demo_of(models[kind])
    passes = []
    handle = demo.model.backbone.register_forward_hook(
        lambda *args: passes.append(1)
    )
    picture = demo.look(str(file))
    demo.predict(picture)
    seen = len(passes)
    assert seen == (1 if kind == 'cam' else 2)
    for value in (0.0, 0.2, 0.7):
        values = dict.fromkeys(demo.sliders, value)
        demo.draw(picture, demo.predict(picture, **values), demo.layers)
    assert len(passes) == seen
    # Peaks of other classes are followed back once.
    for value in (0.2, 0.7):
        demo.predict(picture, ['cod'], background=value)
    assert len(passes) == seen + (kind != 'cam')
    handle.remove()


def test_what_a_model_has(models):
    names = {kind: list(demo_of(m).sliders) for kind, m in models.items()}
    assert names == dict(
        cam=['background', 'score'],
        layer=['background'],
        prm=['background', 'score', 'ratio'],
        lc=['background', 'score', 'ratio'],
    )
    layers = {kind: demo_of(m).layers for kind, m in models.items()}
    assert layers['cam'] == layers['layer'] == ['label map', 'class maps']
    added = ['peaks', 'instances', 'peak responses']
    assert layers['prm'] == layers['cam'] + added
    assert layers['lc'] == [*layers['prm'], 'density']


def test_settings_that_change_nothing_are_not_there():
    single = build('cam', **{'model.head.multi_label': False})
    assert list(demo_of(single).sliders) == ['background']
    salient = build('cam', **{'model.head.background': 'saliency'})
    assert list(demo_of(salient).sliders) == ['score']
    power = build(
        'cam',
        **{'model.head.background': 'power', OPTIONS['background']: 4.0},
    )
    slider = demo_of(power).sliders['background']
    assert (slider.start, slider.high) == (4, 32)


def test_numbers_of_each_class(models, file):
    """They hold until the slider is moved."""
    numbers = [0.2, 0.4, 0.6, 0.8, 0.99, 1.0]
    model = build('cam', **{OPTIONS['score']: numbers})
    demo = demo_of(model)
    picture = demo.look(str(file))
    start = demo.sliders['score'].start
    assert start == round(float(np.mean(numbers)), 2)
    sample = demo.predict(picture, score=start)
    assert_equal(sample, at_settings(model, file, ()))
    sample = demo.predict(picture, score=0.3)
    assert_equal(sample, at_settings(model, file, (), score=0.3))


def test_peaks_that_are_not_followed_back(models, file):
    model = models['prm']
    demo = demo_of(model, max_peaks=2)
    picture = demo.look(str(file))
    sample = demo.predict(picture)
    assert sample.left_out == len(sample.pred_peaks) - 2 > 0
    assert f'(+{sample.left_out} peaks left out)' in demo.describe(sample)
    # The highest of the model's own choice come first.
    highest = sample.pred_peaks[:2].points.tolist()
    found = sample.pred_instances.peaks.tolist()
    assert found
    assert all(point in highest for point in found)
    every = demo.predict(picture, ratio=0.0, score=0.0)
    assert every.left_out == len(every.pred_peaks) - 2 > sample.left_out
    demo = demo_of(model, max_peaks=len(sample.pred_peaks))
    picture = demo.look(str(file))
    assert_equal(demo.predict(picture), at_settings(model, file, ()))


def test_layers(models, file):
    demo = demo_of(models['lc'])
    picture = demo.look(str(file))
    sample = demo.predict(picture, ['ant', 'bee'])

    def titles(*layers):
        return [tile.text for tile in demo.draw(picture, sample, layers)]

    assert titles() == ['photo.png']
    assert titles('label map') == ['photo.png', 'label map']
    number = len(sample.pred_instances)
    peaks = len(sample.pred_peaks)
    assert titles('instances')[1].startswith(f'{number} instance')
    assert 'peak response' in titles('peak responses')[1]
    assert titles('peaks')[1] == f'{peaks} peaks'
    names = {title.split()[0] for title in titles('class maps')[1:]}
    assert names == {'ant', 'bee'}
    counted = titles('density')[1:]
    assert {'ant', 'bee'} <= {title.split(':')[0] for title in counted}
    plain, crossed = (
        demo.draw(picture, sample, ['class maps', *more])[1].image
        for more in ((), ('peaks',))
    )
    assert (plain != crossed).any()
    assert {name for name, _ in demo.legend(sample)} <= {'ant', 'bee'}


def test_large_pictures_are_shown_smaller(models, file, tmp_path):
    large = cv2.resize(cv2.imread(str(file)), (1000, 800))
    path = tmp_path / 'large.png'
    cv2.imwrite(str(path), large)
    demo = demo_of(models['cam'])
    picture = demo.look(str(path))
    assert picture.image.shape == (512, 640, 3)
    sample = demo.predict(picture)
    assert sample.pred_maps.data.shape[1:] == (512, 640)
    full = demo.predict(picture, full=True)
    assert_equal(full, at_settings(models['cam'], path, ()))


@pytest.mark.parametrize('kind', ['cam', 'prm'])
def test_export(models, file, tmp_path, kind):
    demo = demo_of(models[kind])
    picture = demo.look(str(file))
    values = dict(background=0.2)
    out = demo.export(
        picture, ['coco', 'voc'], str(tmp_path / 'out'), ['ant'], **values
    )
    assert out == str(tmp_path / 'out.zip')
    folder = tmp_path / 'expected'
    options = {OPTIONS['background']: 0.2}
    if kind == 'prm':
        options['model.head.peaks.classes'] = 'given'
    state = dict(state_dict=demo.model.state_dict())
    inferencer = WSLInferencer(
        demo.model.cfg, state, 'cpu', options, show_progress=False
    )
    folders = {name: folder / name for name in ('coco', 'voc')}
    inferencer(str(file), labels=['ant'], export=folders)
    with zipfile.ZipFile(out) as archive:
        names = {x for x in archive.namelist() if not x.endswith('/')}
        expected = [p for p in folder.rglob('*') if p.is_file()]
        assert names == {p.relative_to(folder).as_posix() for p in expected}
        for path in expected:
            content = archive.read(path.relative_to(folder).as_posix())
            assert path.suffix == '.xml' or content == path.read_bytes()
        coco = json.loads(archive.read('coco/annotations.json'))
    assert coco['annotations']


def test_no_picture(models, tmp_path):
    path = tmp_path / 'notes.png'
    path.write_text('no picture')
    demo = demo_of(models['cam'])
    with pytest.raises(ValueError, match='notes.png'):
        demo.look(str(path))
    with pytest.raises(FileNotFoundError, match='none.png'):
        demo.look(str(tmp_path / 'none.png'))


def test_all_kinds_of_pictures(models, file, tmp_path, monkeypatch):
    color = cv2.imread(str(file))
    grey = cv2.cvtColor(color, cv2.COLOR_BGR2GRAY)
    kinds = dict(
        grey=grey,
        alpha=cv2.cvtColor(color, cv2.COLOR_BGR2BGRA),
        deep=grey.astype(np.uint16) * 257,
    )
    demo = demo_of(models['cam'])
    shapes = set()
    for name, pixels in kinds.items():
        path = str(tmp_path / f'{name}.png')
        cv2.imwrite(path, pixels)
        picture = demo.look(path)
        shapes.add(picture.image.shape)
        assert_equal(
            demo.predict(picture), inference_model(models['cam'], path)
        )
    assert shapes == {(240, 300, 3)}
    monkeypatch.setenv('MMWSL_MAX_PIXELS', '5000')
    with pytest.raises(ValueError, match='photo.png'):
        demo.look(str(file))


@pytest.mark.slow
def test_segmentor(file):
    options = {'model.backbone.init_cfg': None}
    model = init_model(
        ROOT / 'configs/ae_psl/psl_r18_toy.py', cfg_options=options
    )
    favour_fifth_class(model)
    demo = demo_of(model)
    assert demo.layers == ['label map']
    assert demo.sliders == {}
    picture = demo.look(str(file))
    sample = demo.predict(picture)
    expected = inference_model(model, str(file))
    label_map = expected.pred_sem_seg.data
    assert torch.equal(sample.pred_sem_seg.data, label_map)
    texts = [tile.text for tile in demo.draw(picture, sample, demo.layers)]
    assert texts == ['photo.png', 'label map']
    assert [name for name, _ in demo.legend(sample)] == ['emu']
    assert demo.describe(sample) == 'emu 100 %'
