"""Predictions for own images, from Python."""

import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from pycocotools.mask import decode

from mmwsl.apis import (
    WSLInferencer,
    inference_model,
    init_model,
    load_config,
)
from mmwsl.apis.inference import (
    _test_set,
    label_indices,
    list_images,
    output_names,
)
from mmwsl.utils.checkpoints import read_checkpoint

CONFIG = Path(__file__).resolve().parents[2] / 'configs/cam/cam_r18_toy.py'
CLASSES = ('ant', 'bee', 'cod', 'doe', 'emu', 'fox')


@pytest.fixture(scope='module')
def cfg():
    return load_config(CONFIG)


@pytest.fixture(scope='module')
def checkpoint(cfg, tmp_path_factory):
    """A model that is not trained, with names that the config lacks."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('checkpoint') / 'toy.pth'
    state = init_model(cfg).state_dict()
    meta = dict(dataset_meta=dict(classes=list('abcdef'), palette=None))
    torch.save(dict(state_dict=state, meta=meta), path)
    return path


@pytest.fixture(scope='module')
def model(cfg, checkpoint):
    return init_model(cfg, checkpoint)


@pytest.fixture(scope='module')
def image():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (40, 56, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def file(image, tmp_path_factory):
    path = tmp_path_factory.mktemp('images') / 'photo.png'
    cv2.imwrite(str(path), image)
    return path


def save(path, cfg, **changes):
    """Write a checkpoint with some tensors replaced, or removed by None."""
    state = init_model(cfg).state_dict()
    state.update(changes)
    state = {key: v for key, v in state.items() if v is not None}
    torch.save(dict(state_dict=state), path)
    return path


def test_config_may_be_a_path(checkpoint):
    model = init_model(
        CONFIG, cfg_options={'model.head.score_threshold': 0.25}
    )
    assert not model.training
    assert isinstance(model.cfg, Config)
    assert model.head.score_threshold == 0.25
    assert model.dataset_meta['classes'] == CLASSES
    assert len(model.dataset_meta['palette']) == 6


def test_options_leave_a_given_config_alone(cfg):
    model = init_model(cfg, cfg_options={'model.head.score_threshold': 0.25})
    assert model.cfg.model.head.score_threshold == 0.25
    assert 'score_threshold' not in cfg.model.head


def test_weights_and_names_of_the_checkpoint(model, checkpoint):
    assert model.dataset_meta['classes'] == list('abcdef')
    for key, value in read_checkpoint(checkpoint)['state_dict'].items():
        assert torch.equal(model.state_dict()[key], value), key


def test_weights_of_a_wrapped_model(cfg, checkpoint, tmp_path):
    loaded = read_checkpoint(checkpoint)['state_dict']
    path = tmp_path / 'wrapped.pth'
    torch.save({f'module.{k}': v for k, v in loaded.items()}, path)
    model = init_model(cfg, path)
    key = 'head.classifier.weight'
    assert torch.equal(model.state_dict()[key], loaded[key])
    # A plain dict of weights names no classes: the config does.
    assert model.dataset_meta['classes'] == CLASSES


def test_scope_of_the_program_is_left_alone(cfg, model, image):
    with DefaultScope.overwrite_default_scope('mmengine'):
        init_model(cfg)
        inference_model(model, image)
        current = DefaultScope.get_current_instance()
        assert current.scope_name == 'mmengine'


def test_images_of_twelve_bits(checkpoint, tmp_path):
    deep = np.arange(0, 4096, 2, np.uint16)[:1600].reshape(40, 40)
    Image.fromarray(deep).save(tmp_path / 'a.png')
    cfg = load_config(CONFIG)
    pipeline = cfg.test_dataloader.dataset.pipeline
    inferencer = WSLInferencer(cfg, checkpoint, show_progress=False)
    with pytest.raises(ValueError, match='max_value=4095'):
        inferencer(tmp_path / 'a.png')
    pipeline.insert(0, dict(type='LoadWSLImage', max_value=4095))
    inferencer = WSLInferencer(cfg, checkpoint, show_progress=False)
    file, picture, array = inferencer(
        [
            tmp_path / 'a.png',
            Image.fromarray(deep),
            np.repeat((deep >> 4).astype(np.uint8)[..., None], 3, axis=2),
        ],
        return_datasamples=True,
    )['predictions']
    assert torch.equal(file.pred_score, array.pred_score)
    assert torch.equal(picture.pred_score, array.pred_score)


@pytest.mark.parametrize('kind', [str, Path, 'array'])
def test_one_image(model, image, file, kind):
    sample = inference_model(
        model, image if kind == 'array' else kind(file), [1]
    )
    assert sample.pred_score.shape == (6,)
    assert sample.pred_map_labels.tolist() == [1]
    assert sample.pred_maps.data.shape == (1, 40, 56)
    assert sample.pred_sem_seg.data.shape == (1, 40, 56)
    assert sample.ori_shape == (40, 56)
    assert sample.gt_label.tolist() == [1]
    # The same image in every form gives the same numbers.
    other = inference_model(model, file, [1])
    assert torch.equal(sample.pred_score, other.pred_score)


def test_same_as_the_model_by_hand(model, image):
    sample = inference_model(model, image)
    mean = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
    std = torch.tensor([58.395, 57.12, 57.375])[:, None, None]
    rgb = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
    with torch.no_grad():
        maps = model(((rgb - mean) / std)[None])
    expected = maps.mean(dim=(2, 3)).sigmoid()[0]
    assert torch.allclose(sample.pred_score, expected, atol=1e-5)


def test_several_images_of_any_sizes(model, image, file):
    samples = inference_model(model, [file, image[:32, :33], image])
    assert [s.ori_shape for s in samples] == [(40, 56), (32, 33), (40, 56)]
    assert [s.img_id.split('/')[-1] for s in samples] == [
        'photo',
        'image_1',
        'image_2',
    ]
    assert torch.equal(samples[0].pred_score, samples[2].pred_score)
    assert inference_model(model, []) == []


def test_views_of_the_config(cfg, checkpoint, image):
    options = {'model.test_cfg': dict(scales=(0.5, 1.0), flip=True)}
    model = init_model(cfg, checkpoint, cfg_options=options)
    sizes = []
    model.backbone.register_forward_pre_hook(
        lambda module, args: sizes.append(tuple(args[0].shape[-2:]))
    )
    inference_model(model, image)
    assert sizes == [(20, 28), (20, 28), (40, 56), (40, 56)]


def test_without_labels_predicted_classes_are_kept(model, image):
    with torch.no_grad():
        model.head.classifier.bias.copy_(torch.tensor([9.0] * 2 + [-9.0] * 4))
    try:
        sample = inference_model(model, image)
    finally:
        model.head.classifier.bias.data.zero_()
    assert sample.pred_label.tolist() == [0, 1]
    assert sample.pred_map_labels.tolist() == [0, 1]
    assert 'gt_label' not in sample
    assert 'gt_score' not in sample


def test_labels_by_name_and_index(model, image):
    sample = inference_model(model, image, ['e', 1, np.int64(1)])
    assert sample.pred_map_labels.tolist() == [1, 4]
    assert label_indices(model, 'c') == [2]
    empty, none = (inference_model(model, image, x) for x in ([], None))
    assert empty.pred_map_labels.equal(none.pred_map_labels)


@pytest.mark.parametrize('keep', ['given', 'predicted', 'all'])
def test_choice_of_maps_is_restored(model, image, tmp_path, keep):
    model.head.keep = keep
    try:
        inference_model(model, image)
        assert model.head.keep == keep
        with pytest.raises(FileNotFoundError):
            inference_model(model, [image, tmp_path / 'none.jpg'], [0])
        assert model.head.keep == keep
    finally:
        model.head.keep = 'given'


def test_pipeline_loads_no_ground_truth(cfg, model, image, file):
    names = [t.type for t in cfg.test_dataloader.dataset.pipeline]
    assert 'LoadEvalAnnotations' in names
    sample = inference_model(model, image, [0])
    assert 'gt_sem_seg' not in sample
    # The toy pipeline has no loader of files, so one is put in front.
    assert np.array_equal(WSLInferencer(model).load_image(file), image)


def test_pipeline_inside_wrappers(cfg, checkpoint, image):
    inner = cfg.test_dataloader.dataset
    wrapped = dict(
        type='RepeatDataset',
        times=1,
        dataset=dict(type='ConcatDataset', datasets=[inner, inner]),
    )
    changed = cfg.copy()
    changed.test_dataloader.dataset = wrapped
    model = init_model(changed)
    assert model.dataset_meta['classes'] == CLASSES
    assert inference_model(model, image).ori_shape == (40, 56)


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        (['a', 'zebra'], "'zebra' is not among the model's classes: a, b"),
        ([6], 'no class 6: the model has 6'),
        ([-1], 'no class -1'),
    ],
)
def test_unknown_labels(model, image, labels, message):
    with pytest.raises(ValueError, match=message):
        inference_model(model, image, labels)


@pytest.mark.parametrize(
    ('array', 'kind', 'message'),
    [
        (np.zeros((9, 9, 3)), TypeError, 'image 0: .* float64'),
        (np.zeros((9, 9), np.uint8), ValueError, r'image 0: .* \(9, 9\)'),
        (np.zeros((0, 9, 3), np.uint8), ValueError, r'\(0, 9, 3\)'),
        (np.zeros((9, 9, 4), np.uint8), ValueError, r'\(9, 9, 4\)'),
    ],
)
def test_bad_arrays(model, array, kind, message):
    with pytest.raises(kind, match=message):
        inference_model(model, array)


def test_bad_files(model, tmp_path):
    empty = tmp_path / 'empty.jpg'
    empty.write_bytes(b'')
    with pytest.raises(ValueError, match=r'empty\.jpg: image file is empty'):
        inference_model(model, empty)


def test_bad_checkpoints(cfg, tmp_path):
    path = tmp_path / 'a.pth'
    with pytest.raises(FileNotFoundError, match=r'a\.pth'):
        init_model(cfg, path)
    path.write_bytes(b'no checkpoint at all')
    with pytest.raises(ValueError, match=r'a\.pth'):
        init_model(cfg, path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match=r'a\.pth'):
        init_model(cfg, path)
    torch.save(dict(state_dict=dict(x=torch.ones(1))), path)
    with pytest.raises(ValueError, match='lacks [0-9]+ of the tensors'):
        init_model(cfg, path)


def test_checkpoints_of_other_models(cfg, tmp_path):
    path, key = tmp_path / 'a.pth', 'head.classifier.'
    channels = cfg.model.head.in_channels
    weight = torch.zeros(9, channels, 1, 1)
    save(path, cfg, **{f'{key}weight': weight, f'{key}bias': torch.zeros(9)})
    with pytest.raises(ValueError, match=r'a\.pth: .* trained for 9 classes'):
        init_model(cfg, path)
    save(path, cfg, **{f'{key}weight': torch.zeros(6, channels + 1, 1, 1)})
    with pytest.raises(ValueError, match='size mismatch for head') as error:
        init_model(cfg, path)
    assert '\n' not in str(error.value)
    save(path, cfg, **{f'{key}bias': None})
    with pytest.raises(ValueError, match='lacks 1 .* head.classifier.bias'):
        init_model(cfg, path)


def test_config_without_test_set(cfg):
    changed = cfg.copy()
    changed.pop('test_dataloader')
    with pytest.raises(ValueError, match='test_dataloader.dataset.pipeline'):
        init_model(changed)


def test_pictures_of_pillow(model, image, tmp_path):
    """They give what their files give, whatever their mode and turn."""
    path = tmp_path / 'turned.png'
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image[..., ::-1]).save(path, exif=exif)
    for place, mode in ((path, None), (tmp_path / 'grey.png', 'L')):
        picture = Image.open(path)
        if mode:
            picture = picture.convert(mode)
            picture.save(place, exif=exif)
        found = inference_model(model, picture, [1])
        want = inference_model(model, place, [1])
        assert found.ori_shape == want.ori_shape
        assert found.pred_score.equal(want.pred_score)
        assert found.pred_maps.data.equal(want.pred_maps.data)


def test_broken_picture_of_pillow(model, image, tmp_path):
    path = tmp_path / 'cut.jpg'
    cv2.imwrite(str(path), image)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises((OSError, ValueError), match='image_0'):
        inference_model(model, Image.open(path))


@pytest.mark.parametrize(
    'wrong', [torch.zeros(3, 40, 56), b'\xff\xd8', None, 3, {}]
)
def test_what_is_no_image(model, image, wrong):
    batch = [image, wrong]
    with pytest.raises(TypeError, match=f'image 1.*{type(wrong).__name__}'):
        inference_model(model, batch)
    if isinstance(wrong, (bytes, torch.Tensor)):
        with pytest.raises(TypeError, match='image 0'):
            inference_model(model, wrong)


def test_labels_of_numpy_and_others(model):
    assert label_indices(model, np.int64(1)) == [1]
    assert label_indices(model, np.array([2, 0])) == [0, 2]
    for wrong in (1.0, [None], [0.5]):
        with pytest.raises(TypeError, match='label'):
            label_indices(model, wrong)


def test_training_mode_is_set_back(model, image):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    want = inference_model(model, image)
    model.train()
    model.backbone.net.bn1.eval()
    try:
        found = inference_model(model, image)
        assert model.training
        assert model.head.training
        assert not model.backbone.net.bn1.training
    finally:
        model.eval()
    assert found.pred_score.equal(want.pred_score)
    assert all(v.equal(before[k]) for k, v in model.state_dict().items())


def test_proposals_are_made_of_new_images(cfg, model, image, file):
    cfg = copy.deepcopy(cfg)
    pipeline = _test_set(cfg)['pipeline']
    loading = dict(type='LoadProposals', folder='elsewhere', max_proposals=7)
    pipeline.insert(len(pipeline) - 1, loading)
    before, model.cfg = model.cfg, cfg
    try:
        for source in (image, file):
            sample = inference_model(model, source)
            assert sample.proposals.size == image.shape[:2]
            assert 0 < len(sample.proposals) <= 7
    finally:
        model.cfg = before


@pytest.mark.slow
def test_segmentor(image, file):
    config = CONFIG.parents[1] / 'ae_psl/psl_r18_toy.py'
    options = {'model.backbone.init_cfg': None}
    model = init_model(config, cfg_options=options)
    for source in (image, file):
        sample = inference_model(model, source)
        assert sample.pred_sem_seg.data.shape == (1, *image.shape[:2])
        assert sample.seg_logits.data.shape == (7, *image.shape[:2])
    with pytest.raises(ValueError, match='labels'):
        inference_model(model, image, [1])


def test_models_of_another_kind(model, image):
    other = torch.nn.Module()
    other.cfg = model.cfg
    with pytest.raises(TypeError, match='Module'):
        inference_model(other, image)


@pytest.fixture
def folder(tmp_path, image):
    """Three images of two sizes, two of one stem, and a file of text."""
    root = tmp_path / 'images'
    (root / 'sub').mkdir(parents=True)
    for name, size in (('b.png', 40), ('b.bmp', 40), ('sub/a.png', 32)):
        cv2.imwrite(str(root / name), image[:size])
    (root / 'notes.txt').write_text('no image')
    return root


def same(first, second):
    assert torch.equal(first.pred_score, second.pred_score)
    assert torch.equal(first.pred_maps.data, second.pred_maps.data)
    assert torch.equal(first.pred_sem_seg.data, second.pred_sem_seg.data)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['path', 'config', 'name', 'scope'])
def test_inferencer(cfg, checkpoint, image, file, kind):
    """Every way to name a model gives the same predictions."""
    model = dict(
        path=str(CONFIG),
        config=cfg,
        name='CAM_R18_toy',
        scope='mmwsl::cam/cam_r18_toy.py',
    )[kind]
    inferencer = WSLInferencer(model, checkpoint, 'cpu')
    inputs = [str(file), file, image, Image.fromarray(image[..., ::-1])]
    found = inferencer(inputs, return_datasamples=True)
    assert found['visualization'] is None
    expected = inference_model(init_model(cfg, checkpoint), image)
    assert len(found['predictions']) == 4
    for sample in found['predictions']:
        same(sample, expected)


@pytest.mark.slow
def test_dicts_fit_into_json(cfg, checkpoint, image, folder, tmp_path):
    """What is written is what is returned, and masks are those of samples."""
    inferencer = WSLInferencer(cfg, checkpoint, 'cpu')
    out, show = folder / 'out', folder / 'show'
    options = dict(labels=['a', 'c'], out_dir=out, show_dir=str(show))
    for _ in range(2):
        # The second time, pictures of the first are not taken as images.
        found = inferencer(folder, return_vis=True, **options)
    names = ['b_bmp', 'b_png', 'sub/a']
    assert output_names(list_images(folder, [out, show])) == names
    assert len(found['predictions']) == len(found['visualization']) == 3
    samples = inferencer(folder, True, **options)
    parts = zip(names, found['predictions'], found['visualization'])
    for sample, (name, content, picture) in zip(samples['predictions'], parts):
        assert content == json.loads((out / f'{name}.json').read_text())
        written = np.array(Image.open(out / f'{name}.png'))
        label_map = sample.pred_sem_seg.data[0].numpy()
        assert np.array_equal(written, label_map)
        shown = cv2.imread(str(show / f'{name}.jpg'))
        assert shown.shape == picture.shape
        assert picture.shape[1] > 2 * picture.shape[0] > 400
        assert content['scores'] == pytest.approx(sample.pred_score.tolist())
        assert content['names'] == ['abcdef'[i] for i in content['labels']]
        segments = content['segments']
        assert {x['name'] for x in segments} <= {'a', 'c'}
        for segment in segments:
            mask = decode(segment['segmentation']) > 0
            assert np.array_equal(mask, label_map == segment['label'] + 1)
            assert segment['area'] == mask.sum()
    assert segments


def test_more_classes_than_label_maps_hold(
    model, image, tmp_path, monkeypatch
):
    inferencer = WSLInferencer(model, show_progress=False)
    sample = inferencer(image, True)['predictions'][0]
    sample.pred_sem_seg.data[:, :4] = 255
    sample.pred_sem_seg.data[:, 4:] = 0
    many = dict(classes=[*map(str, range(300))])
    monkeypatch.setattr(model, 'dataset_meta', many)
    inferencer.postprocess([sample], [], names=['a'], out_dir=tmp_path)
    content = json.loads((tmp_path / 'a.json').read_text())
    assert [x['name'] for x in content['segments']] == ['254']
    assert not (tmp_path / 'a.png').exists()


@pytest.mark.slow
def test_batches(cfg, checkpoint, folder, image):
    """Images of one size are predicted as they are alone."""
    inferencer = WSLInferencer(cfg, checkpoint, 'cpu', show_progress=False)
    images = [image, image[:, ::-1].copy(), image[::-1].copy()]
    labels = [['a'], ['b', 'c'], [5]]
    alone = inferencer(images, True, labels=labels)['predictions']
    batch = inferencer(images, True, 2, labels=labels)['predictions']
    assert [s.pred_map_labels.tolist() for s in batch] == [[0], [1, 2], [5]]
    for one, other in zip(alone, batch):
        torch.testing.assert_close(one.pred_score, other.pred_score)
        torch.testing.assert_close(
            one.pred_maps.data, other.pred_maps.data, rtol=0, atol=1e-4
        )


@pytest.mark.slow
def test_one_broken_image_stops_no_other(cfg, checkpoint, image, tmp_path):
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(b'no image')
    inferencer = WSLInferencer(cfg, checkpoint, 'cpu')
    found = list(inferencer.predict([image, broken, image], batch_size=3))
    assert [done.error is None for done in found] == [True, False, True]
    assert 'broken.jpg' in str(found[1].error)
    with pytest.raises(ValueError, match=r'broken\.jpg'):
        inferencer([image, broken])


def test_models_of_metafiles():
    names = WSLInferencer.list_models()
    assert 'prm_r18_toy' in names
    assert WSLInferencer.list_models(patterns='cam_r18') == ['cam_r18_toy']


@pytest.mark.parametrize(
    ('call', 'kind', 'named'),
    [
        (lambda i: WSLInferencer('no_such_model'), FileNotFoundError, 'no_su'),
        (lambda i: WSLInferencer(3), TypeError, 'int'),
        (lambda i: i('http://x.y/z.jpg'), ValueError, 'z.jpg'),
        (lambda i: i('no/such.jpg'), FileNotFoundError, 'such.jpg'),
        (lambda i: i(np.zeros((4, 4), np.uint8)), ValueError, 'image 0'),
        (lambda i: i([np.zeros((4, 4, 3))]), TypeError, 'image 0'),
        (lambda i: i([], labels=[['a']]), ValueError, '1 lists for 0'),
        (lambda i: i([], labels=['emu']), ValueError, 'emu'),
        (lambda i: i([], batch_size=0), ValueError, 'batch_size'),
        (lambda i: i([], no_such=0), ValueError, 'no_such'),
    ],
)
def test_errors_of_the_inferencer(model, call, kind, named):
    inferencer = WSLInferencer(model)
    with pytest.raises(kind, match=named):
        call(inferencer)


def test_untrained_models_say_so(cfg, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmwsl.apis.inference.print_log', lambda text, *_: said.append(text)
    )
    WSLInferencer(cfg, device='cpu')
    assert len(said) == 1


def test_results_never_replace_images(cfg, checkpoint, folder):
    inferencer = WSLInferencer(cfg, checkpoint, 'cpu')
    before = (folder / 'b.png').read_bytes()
    for key in ('out_dir', 'show_dir'):
        with pytest.raises(ValueError, match='replace'):
            inferencer(folder, **{key: folder})
    assert (folder / 'b.png').read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize('net', ['vit', 'vit-attention', 'swin'])
def test_transformers_of_any_size(net, tmp_path):
    """Maps and exported labels have the sizes of the images."""
    pytest.importorskip('timm')
    config = CONFIG.with_name(f'cam_{net}_toy.py')
    torch.manual_seed(0)
    checkpoint = save(tmp_path / 'net.pth', load_config(config))
    rng = np.random.default_rng(0)
    sizes = {'a.png': (41, 57), 'b.png': (113, 30), 'c.png': (35, 33)}
    for name, size in sizes.items():
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / name), image)
    inferencer = WSLInferencer(config, checkpoint, 'cpu', show_progress=False)
    found = inferencer(
        [tmp_path / name for name in sizes],
        labels=['ant', 'fox'],
        return_datasamples=True,
        batch_size=1,
        export={'coco': tmp_path / 'coco'},
    )
    for sample, size in zip(found['predictions'], sizes.values()):
        assert sample.pred_maps.data.shape == (2, *size)
        assert sample.pred_sem_seg.data.shape == (1, *size)
        assert sample.pred_score.isfinite().all()
    content = json.loads((tmp_path / 'coco/annotations.json').read_text())
    assert {
        entry['file_name']: (entry['height'], entry['width'])
        for entry in content['images']
    } == sizes
