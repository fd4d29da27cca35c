"""Predictions are refined in test runs only."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from PIL import Image

from mmwsl.datasets.transforms import LoadWSLImage
from mmwsl.engine.hooks.dense_crf_hook import _image
from mmwsl.pseudo_labels import dense_crf
from mmwsl.registry import HOOKS
from mmwsl.structures import WSLDataSample

SHAPE = (8, 10)


class Model:
    """Gives its samples out as they are."""

    def test_step(self, data):
        return data['data_samples']


def refine(sample, image, **kwargs):
    hook = HOOKS.build(dict(type='DenseCRFHook', **kwargs))
    runner = SimpleNamespace(model=Model())
    hook.before_test(runner)
    inputs = torch.from_numpy(image).permute(2, 0, 1)
    data = dict(inputs=[inputs], data_samples=[sample])
    (result,) = runner.model.test_step(data)
    hook.after_test(runner)
    assert runner.model.test_step.__func__ is Model.test_step
    return result.pred_sem_seg.data


@pytest.fixture
def image():
    image = np.full((*SHAPE, 3), 30, np.uint8)
    image[:, 5:] = 210
    return image


def logits():
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.normal(0, 2, (4, *SHAPE))).float()


def make_sample(**metainfo):
    metainfo = dict(ori_shape=SHAPE, img_shape=SHAPE, **metainfo)
    return WSLDataSample(metainfo=metainfo)


def test_segmentors(image, tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    sample = make_sample(img_path=str(tmp_path / 'a.png'))
    sample.seg_logits = PixelData(data=logits())
    crf = dict(iterations=3, gaussian=(2, 1))
    found = refine(sample, np.zeros_like(image), crf=crf)
    want = dense_crf(image, logits().softmax(0), **crf).argmax(0)
    assert found.tolist() == want[None].tolist()
    assert len(found.unique()) > 1


def test_given_classes_only(image):
    sample = make_sample().set_gt_label([2], 3)
    sample.seg_logits = PixelData(data=logits())
    found = refine(sample, image, given_only=True)
    probs = logits().softmax(0)[[0, 3]]
    want = np.array([0, 3])[dense_crf(image, probs).argmax(0)]
    assert found.tolist() == want[None].tolist()
    bare = make_sample()
    bare.seg_logits = PixelData(data=logits())
    with pytest.raises(ValueError, match='gt_label'):
        refine(bare, image, given_only=True)


def test_undecided_pixels_are_ignored(image):
    sample = make_sample()
    sample.seg_logits = PixelData(data=logits())
    crf = dict(iterations=1)
    found = refine(sample, image, crf=crf, min_probability=0.9)
    refined = dense_crf(image, logits().softmax(0), **crf)
    want = np.where(refined.max(0) < 0.9, 255, refined.argmax(0))
    assert found.tolist() == want[None].tolist()
    assert 0 < (found == 255).sum() < found.numel()


def test_class_maps_on_a_mirrored_image(image):
    """The map claims a part of the bright half, and gets all of it."""
    sample = make_sample(flip_direction='horizontal')
    maps = torch.zeros(1, *SHAPE)
    maps[0, :, 5:] = 0.28
    maps[0, 2:6, 6:9] = 1
    sample.pred_maps = PixelData(data=maps)
    sample.pred_map_labels = torch.tensor([6])
    mirrored = np.ascontiguousarray(image[:, ::-1])
    found = refine(sample, mirrored)
    assert (found[0, :, 5:] == 7).all()
    assert (found[0, :, :5] == 0).all()


def test_bad_input(image, tmp_path):
    with pytest.raises(ValueError, match="'sky'"):
        HOOKS.build(dict(type='DenseCRFHook', background='sky'))
    with pytest.raises(ValueError, match=r'\[0, 1\], got 2'):
        HOOKS.build(dict(type='DenseCRFHook', min_probability=2))
    with pytest.raises(ValueError, match='neither'):
        refine(make_sample(), image)
    cv2.imwrite(str(tmp_path / 'a.png'), image[:4])
    sample = make_sample(img_path=str(tmp_path / 'a.png'))
    sample.seg_logits = PixelData(data=logits())
    with pytest.raises(ValueError, match='10 x 8 pixels.* 10 x 4'):
        refine(sample, image)


@pytest.mark.parametrize('turn', [False, True])
@pytest.mark.parametrize('orientation', [1, 3, 6])
@pytest.mark.parametrize('scale', [0.5, 1])
def test_image_is_turned_as_the_input_is(tmp_path, orientation, turn, scale):
    path = str(tmp_path / 'a.jpg')
    stored = np.full((48, 64, 3), 30, np.uint8)
    stored[5:25, 30:60] = 220, 40, 40
    exif = Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(stored).save(path, exif=exif)
    expected = LoadWSLImage(exif_orientation=turn)(dict(img_path=path))['img']
    size = expected.shape[:2]
    seen = cv2.resize(expected, None, fx=scale, fy=scale)
    sample = WSLDataSample(
        metainfo=dict(img_path=path, img_shape=seen.shape[:2], ori_shape=size)
    )
    inputs = torch.from_numpy(seen).permute(2, 0, 1)
    assert np.array_equal(_image(sample, inputs, size), expected)


def test_scores_that_are_not_finite(image):
    sample = make_sample(img_id='a/7')
    sample.seg_logits = PixelData(data=logits().fill_(float('nan')))
    with pytest.raises(ValueError, match=r'^a/7: .*finite'):
        refine(sample, image)
