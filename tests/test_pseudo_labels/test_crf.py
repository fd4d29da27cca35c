"""Tests of the dense conditional random field."""

import time

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmwsl.pseudo_labels import crf as module
from mmwsl.pseudo_labels import dense_crf


def slow_crf(image, probs, iterations, gaussian, bilateral):
    """Mean field with written-out kernels in double precision."""
    labels, height, width = probs.shape
    rows, columns = np.mgrid[:height, :width].reshape(2, -1)
    colour = image.reshape(-1, 3).astype(np.float64)
    distance = (rows[:, None] - rows) ** 2 + (columns[:, None] - columns) ** 2
    contrast = ((colour[:, None] - colour) ** 2).sum(-1)
    kernels = [
        (gaussian[0], np.exp(-distance / (2 * gaussian[1] ** 2))),
        (
            bilateral[0],
            np.exp(
                -distance / (2 * bilateral[1] ** 2)
                - contrast / (2 * bilateral[2] ** 2)
            ),
        ),
    ]
    unary = np.log(np.maximum(probs.reshape(labels, -1).T, 1e-5))
    field = np.exp(unary)
    field /= field.sum(1, keepdims=True)
    for _ in range(iterations):
        total = unary.copy()
        for weight, kernel in kernels:
            norm = 1 / np.sqrt(kernel.sum(1))
            total += (
                weight * norm[:, None] * (kernel @ (norm[:, None] * field))
            )
        field = np.exp(total - total.max(1, keepdims=True))
        field /= field.sum(1, keepdims=True)
    return field.T.reshape(probs.shape)


def noisy_probs(shape, labels, rng):
    coarse = rng.random((shape[0] // 6 + 1, shape[1] // 6 + 1, labels)) ** 3
    probs = cv2.resize(coarse, shape[::-1]).reshape(*shape, labels) + 0.05
    return (probs / probs.sum(-1, keepdims=True)).transpose(2, 0, 1)


def smooth_image(shape, rng):
    """Two smooth surfaces with an edge between and noise on them."""
    image = cv2.resize(rng.random((3, 3, 3)) * 60, shape[::-1])
    image[:, shape[1] // 2 :] += 70
    return (
        (image + rng.normal(0, 2, (*shape, 3))).clip(0, 255).astype(np.uint8)
    )


@pytest.mark.parametrize(
    ('gaussian', 'bilateral'),
    [((3, 1), (4, 67, 3)), ((3, 3), (10, 80, 13)), ((1, 0.5), (0, 5, 5))],
)
def test_exact_equals_brute_force(gaussian, bilateral):
    rng = np.random.default_rng(0)
    shape = (24, 31)
    image, probs = smooth_image(shape, rng), noisy_probs(shape, 4, rng)
    want = slow_crf(image, probs, 10, gaussian, bilateral)
    got = dense_crf(image, probs, 10, gaussian, bilateral)
    np.testing.assert_allclose(got, want, atol=2e-4)


def test_exact_equals_brute_force_on_a_photograph(shared_dir):
    folder = shared_dir / 'data/voc12_2007/JPEGImages'
    image = cv2.imread(str(folder / '2007_000033.jpg'))[150:180, 200:230]
    probs = noisy_probs((30, 30), 5, np.random.default_rng(0))
    want = slow_crf(image, probs, 10, (3, 1), (4, 67, 3))
    np.testing.assert_allclose(dense_crf(image, probs), want, atol=1e-3)


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    image, probs = smooth_image((12, 13), rng), noisy_probs((12, 13), 3, rng)
    want = dense_crf(image, probs)
    monkeypatch.setattr(module, '_EXACT_PIXELS', 10)
    monkeypatch.setattr(module, '_EXACT_BLOCK', 25)
    got = dense_crf(image, probs, method='exact')
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_lattice_comes_close_to_brute_force(shared_dir):
    """Close on average, and in the labels of all but a few pixels."""
    folder = shared_dir / 'data/voc12_2007'
    path = folder / 'JPEGImages/2007_000061.jpg'
    image = cv2.imread(str(path))[200:250, 250:300]
    path = folder / 'SegmentationClass/2007_000061.png'
    mask = np.array(Image.open(path))[200:250, 250:300]
    objects = (mask > 0).astype(np.float64)
    assert 0.1 < objects.mean() < 0.9
    rng = np.random.default_rng(0)
    coarse = cv2.resize(objects, (6, 6), interpolation=cv2.INTER_AREA)
    coarse = 0.1 + 0.5 * coarse + 0.3 * rng.random((6, 6))
    probs = cv2.resize(coarse, (50, 50))
    probs = np.stack([1 - probs, probs])
    want = dense_crf(image, probs, method='exact')
    got = dense_crf(image, probs, method='lattice')
    assert abs(got - want).mean() < 1e-2
    assert (got.argmax(0) == want.argmax(0)).mean() > 0.99


def test_auto_takes_the_lattice_for_large_images():
    rng = np.random.default_rng(2)
    shape = (60, 70)
    image, probs = smooth_image(shape, rng), noisy_probs(shape, 2, rng)
    auto = dense_crf(image, probs, 3)
    np.testing.assert_array_equal(
        auto, dense_crf(image, probs, 3, method='lattice')
    )
    np.testing.assert_allclose(auto.sum(0), 1, atol=1e-5)


def test_large_images_are_refined_on_a_grid(monkeypatch):
    """With the same kernels, whose sigmas are in pixels of the image."""
    rng = np.random.default_rng(4)
    shape = (120, 160)
    image, probs = smooth_image(shape, rng), noisy_probs(shape, 3, rng)
    settings = dict(gaussian=(3, 4), bilateral=(4, 67, 13), method='lattice')
    want = dense_crf(image, probs, 4, **settings)
    monkeypatch.setattr(module, '_WHOLE_PIXELS', 120 * 160 - 1)
    monkeypatch.setattr(module, '_GRID_PIXELS', 60 * 90)
    got = dense_crf(image, probs, 4, **settings)
    assert got.shape == probs.shape
    np.testing.assert_allclose(got.sum(0), 1, atol=1e-5)
    assert (got.argmax(0) == want.argmax(0)).mean() > 0.97
    assert abs(got - want).mean() < 0.03


@pytest.mark.slow
def test_twelve_megapixels_are_bounded():
    rng = np.random.default_rng(0)
    image = cv2.resize(smooth_image((300, 400), rng), (4000, 3000))
    probs = cv2.resize(rng.random((3, 4), np.float32), (4000, 3000))
    start = time.process_time()
    got = dense_crf(image, np.stack([probs, 1 - probs]))
    assert time.process_time() - start < 20
    assert got.shape == (2, 3000, 4000)


def test_many_labels():
    """More than OpenCV filters at once."""
    rng = np.random.default_rng(5)
    image, probs = smooth_image((9, 8), rng), rng.random((600, 9, 8)) + 1
    probs /= probs.sum(0)
    want = slow_crf(image, probs, 2, (3, 1), (4, 67, 3))
    np.testing.assert_allclose(dense_crf(image, probs, 2), want, atol=1e-5)


@pytest.mark.parametrize('dims', [1, 2, 3, 5])
def test_lattice_sums_a_gaussian(dims):
    points = np.random.default_rng(dims).normal(size=(300, dims)) * 1.5
    values = np.random.default_rng(1).random((len(points), 3))
    kernel = np.exp(-((points[:, None] - points) ** 2).sum(-1) / 2)
    want = kernel @ values / kernel.sum(1, keepdims=True)
    total = module._lattice_sum(points)
    got = total(values.astype(np.float32))
    got /= total(np.ones((len(points), 1), np.float32))
    assert np.sqrt(np.mean((got - want) ** 2)) < 0.06


def test_points_far_apart_do_not_meet():
    points = np.array([[0.0] * 5, [0.0] * 5, [40.0] * 5])
    out = module._lattice_sum(points)(np.eye(3, dtype=np.float32))
    assert out[0, 1] == out[0, 0] == out[1, 1] > 0
    assert out[0, 2] == out[2, 0] == 0
    np.testing.assert_allclose(out, out.T)


def test_absent_labels_stay_out():
    rng = np.random.default_rng(3)
    image, probs = smooth_image((9, 9), rng), noisy_probs((9, 9), 2, rng)
    more = np.zeros((5, 9, 9))
    more[[1, 3]] = probs
    got = dense_crf(torch.from_numpy(image), torch.from_numpy(more))
    np.testing.assert_allclose(got[[1, 3]], dense_crf(image, probs))
    assert not got[[0, 2, 4]].any()


def test_no_iteration_gives_the_probabilities_back():
    probs = np.array([[[0.2, 0.9]], [[0.8, 0.1]]])
    got = dense_crf(np.zeros((1, 2, 3), np.uint8), probs, iterations=0)
    np.testing.assert_allclose(got, probs, rtol=1e-6)
    empty = dense_crf(np.zeros((0, 2, 3), np.uint8), probs[:, :0])
    assert empty.shape == (2, 0, 2)


def test_package_gives_nearly_the_same():
    pytest.importorskip('pydensecrf')
    rng = np.random.default_rng(0)
    image, probs = smooth_image((50, 60), rng), noisy_probs((50, 60), 3, rng)
    package = dense_crf(image, probs, method='pydensecrf')
    agree = package.argmax(0) == dense_crf(image, probs).argmax(0)
    assert agree.mean() > 0.97


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (dict(image=np.zeros((3, 3))), r'\(H, W, 3\)'),
        (dict(probs=np.ones((2, 4, 3))), r'\(2, 4, 3\)'),
        (dict(probs=np.zeros((2, 3, 3))), 'no value above'),
        (dict(probs=np.full((2, 3, 3), np.nan)), 'not finite'),
        (dict(probs=np.full((2, 3, 3), -np.inf)), 'not finite'),
        (dict(bilateral=(4, 67, 0)), 'positive'),
        (
            dict(bilateral=(4, 1e-9, 1e-9), method='lattice'),
            'too small',
        ),
        (dict(method='magic'), "'magic'"),
    ],
)
def test_bad_input(change, match):
    fine = dict(
        image=np.zeros((3, 3, 3), np.uint8), probs=np.full((2, 3, 3), 0.5)
    )
    fine['image'][0, 0] = 255
    with pytest.raises(ValueError, match=match):
        dense_crf(**{**fine, **change})
