"""Tests of label maps, NSROM's against slow references, and of their files."""

import statistics

import numpy as np
import pytest
import torch
from PIL import Image

from mmwsl.pseudo_labels import (
    ignore_if_small,
    initial_label,
    keep_ignored,
    non_salient_region_masking,
    potential_object_mining,
)
from mmwsl.pseudo_labels.labels import (
    check_classes,
    read_label_map,
    write_label_map,
)
from mmwsl.utils.images import read_index_mask

LABEL = np.array([[0, 1, 15], [20, 255, 2]], np.uint8)


def slow_scale(plane):
    values = [float(v) for row in plane for v in row]
    low, high = min(values), max(values)
    if high == low:
        return [[0.0] * len(row) for row in plane]
    return [[(float(v) - low) / (high - low) for v in row] for row in plane]


def slow_initial_label(
    saliency, maps, fg=0.3, conflict=0.9, attention=0.8, salient=32 / 255
):
    """Decide pixel by pixel."""
    scaled = {c: slow_scale(plane) for c, plane in maps.items()}
    label = np.zeros(saliency.shape, np.uint8)
    for y, x in np.ndindex(*saliency.shape):
        scores = {0: 1 - float(saliency[y, x])}
        scores.update({c + 1: s[y][x] for c, s in scaled.items()})
        shown = max(
            [float(saliency[y, x])]
            + [1 for c, s in scaled.items() if s[y][x] > attention]
        )
        kept = {c: s if s >= fg else 0 for c, s in scores.items()}
        best = max(sorted(kept), key=lambda c: kept[c])
        if sum(s > conflict for s in scores.values()) >= 2 or (
            best == 0 and shown >= salient
        ):
            best = 255
        label[y, x] = best
    return label


def slow_mining(label, cams, threshold=0.3):
    result = label.copy()
    for c, cam in cams.items():
        scaled = slow_scale(cam)
        values = [
            scaled[y][x]
            for y, x in np.ndindex(*label.shape)
            if label[y, x] == c + 1
        ]
        if values:
            limit = statistics.median(values)
        else:
            limit = 1
            values = [v for row in scaled for v in row if v > threshold]
            if values:
                limit = statistics.median(values)
                values = [v for v in values if v > limit]
                limit = statistics.median(values) if values else limit
        for y, x in np.ndindex(*label.shape):
            if label[y, x] == 0 and scaled[y][x] > limit:
                result[y, x] = 255
    return result


def slow_masking(
    prediction, label, saliency, num_classes, dilation, threshold
):
    if num_classes < 2:
        return prediction.copy()
    height, width = label.shape
    filled = prediction.copy()
    for y, x in np.ndindex(height, width):
        if prediction[y, x] == 0 and label[y, x] not in (0, 255):
            filled[y, x] = label[y, x]
    result = filled.copy()
    before = dilation // 2
    for y, x in np.ndindex(height, width):
        rows = slice(max(0, y - before), y - before + dilation)
        columns = slice(max(0, x - before), x - before + dilation)
        salient = max(max(row) for row in saliency[rows, columns].tolist())
        if not (filled[rows, columns].any() or salient > threshold):
            result[y, x] = 255
    return result


def random_case(seed):
    """Smooth and noisy maps, with zeros, ties and conflicts."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 12, 2))
    saliency = rng.random(shape)
    saliency[rng.random(shape) < 0.4] = 0
    maps = {}
    for c in rng.permutation(20)[: rng.integers(0, 4)]:
        plane = rng.random(shape) ** 0.3
        if rng.random() < 0.5:
            plane = np.round(plane * 4) / 4
        if rng.random() < 0.1:
            plane[:] = 0.7
        maps[int(c)] = plane * rng.uniform(0.1, 9)
    return saliency, maps


@pytest.mark.parametrize('seed', range(40))
def test_initial_label_equals_the_slow_one(seed):
    saliency, maps = random_case(seed)
    label = initial_label(saliency, maps)
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, slow_initial_label(saliency, maps))
    tensors = {c: torch.from_numpy(plane) for c, plane in maps.items()}
    again = initial_label(torch.from_numpy(saliency), tensors)
    np.testing.assert_array_equal(again, label)


def test_initial_label_by_hand():
    saliency = np.array([[0.0, 1.0, 0.1, 0.1, 1.0, 0.8, 0.2]], np.float32)
    maps = {
        4: np.array([[0.0, 0.5, 1.0, 0.85, 0.2, 0.4, 0.0]], np.float32),
        1: np.array([[0.0, 0.5, 0.0, 0.0, 0.25, 0.1, 0.0]], np.float32) * 2,
    }
    # 0: nothing seen. 1: class 1 scaled is 1. 2: background 0.9 is not above
    # 0.9. 3: background that a map above 0.8 claims. 4: 0.5 against 0.2.
    # 5: 0.4 against 0.2 each, which count as 0. 6: salient background.
    label = initial_label(saliency, maps)
    assert label.tolist() == [[0, 2, 5, 255, 2, 5, 255]]
    conflict = initial_label(np.zeros((1, 2), np.float32), {0: maps[4][:, :2]})
    assert conflict.tolist() == [[0, 255]]


def test_initial_label_of_nothing():
    assert initial_label(np.zeros((2, 0)), {}).shape == (2, 0)
    label = initial_label(np.array([[0.0, 0.5]]), {})
    assert label.tolist() == [[0, 255]]
    flat = initial_label(np.ones((1, 2)), {3: np.full((1, 2), 5.0)})
    assert flat.tolist() == [[255, 255]]


def test_initial_label_leaves_its_input_alone():
    saliency, maps = random_case(1)
    copies = saliency.copy(), {c: m.copy() for c, m in maps.items()}
    initial_label(saliency, maps)
    np.testing.assert_array_equal(saliency, copies[0])
    for c, plane in maps.items():
        np.testing.assert_array_equal(plane, copies[1][c])


@pytest.mark.parametrize('seed', range(40))
def test_mining_equals_the_slow_one(seed):
    saliency, maps = random_case(seed)
    label = initial_label(saliency, maps)
    rng = np.random.default_rng(seed)
    cams = {c: rng.normal(size=label.shape) for c in [*maps, 19]}
    mined = potential_object_mining(label, cams)
    np.testing.assert_array_equal(mined, slow_mining(label, cams))
    as_tensors = potential_object_mining(
        torch.from_numpy(label),
        {c: torch.from_numpy(cam) for c, cam in cams.items()},
    )
    np.testing.assert_array_equal(as_tensors, mined)


def test_mining_by_hand():
    label = np.array([[3, 3, 0, 0, 255, 0]], np.uint8)
    cams = {2: np.array([[0.0, 0.5, 0.25, 0.3, 1.0, 0.2]])}
    # The median of 0 and 0.5 is 0.25, which the third pixel only reaches.
    mined = potential_object_mining(label, cams)
    assert mined.tolist() == [[3, 3, 0, 255, 255, 0]]
    # Above 0.3: 0.4, 0.6, 0.8, 1; above their median: 0.8 and 1.
    cams = {7: np.array([[0.0, 0.4, 0.6, 0.8, 1.0, 0.1]])}
    background = np.zeros((1, 6), np.uint8)
    mined = potential_object_mining(background, cams)
    assert mined.tolist() == [[0, 0, 0, 0, 255, 0]]
    nothing = {7: np.full((1, 6), 0.5)}
    assert not potential_object_mining(background, nothing).any()
    assert not background.any()


@pytest.mark.parametrize('seed', range(30))
def test_masking_equals_the_slow_one(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 25, 2))
    prediction, label = rng.choice(
        np.array([0, 1, 2, 21], np.uint8), (2, *shape), p=[0.97, *[0.01] * 3]
    )
    label[rng.random(shape) < 0.1] = 255
    saliency = (rng.random(shape) < 0.01).astype(np.float32)
    soft = saliency * 0.7 + rng.random(shape) * 0.3
    for num_classes in (1, 2, 3):
        dilation = int(rng.integers(1, 9))
        args = (prediction, label, saliency, num_classes, dilation)
        want = slow_masking(*args, threshold=0)
        np.testing.assert_array_equal(non_salient_region_masking(*args), want)
        args = (prediction, label, soft, num_classes, dilation, 0.3)
        np.testing.assert_array_equal(non_salient_region_masking(*args), want)
        want = slow_masking(*args[:5], threshold=0.29)
        masked = non_salient_region_masking(*args[:5], 0.29)
        np.testing.assert_array_equal(masked, want)


def test_masking_by_hand():
    prediction = np.zeros((1, 80), np.uint8)
    prediction[0, 40] = 5
    label = np.full((1, 80), 255, np.uint8)
    label[0, 0] = 9
    masked = non_salient_region_masking(
        prediction, label, np.zeros((1, 80)), num_classes_in_image=2
    )
    # The square of 30 reaches 14 pixels to the left and 15 to the right.
    want = np.full(80, 255)
    want[:16], want[26:56] = 0, 0
    want[0], want[40] = 9, 5
    assert masked[0].tolist() == want.tolist()
    empty = np.zeros((0, 4), np.uint8)
    assert non_salient_region_masking(empty, empty, empty, 2).shape == (0, 4)


def test_what_was_ignored_stays_so():
    label = np.array([[0, 0, 3, 255, 0]], np.uint8)
    earlier = np.array([[0, 255, 255, 4, 4]], np.uint8)
    got = keep_ignored(label, torch.from_numpy(earlier))
    assert got.tolist() == [[0, 255, 3, 255, 0]]
    assert label.tolist() == [[0, 0, 3, 255, 0]]
    with pytest.raises(ValueError, match='earlier is 4 x 1 pixels'):
        keep_ignored(label, earlier[:, :4])


def test_small_objects():
    label = np.zeros((10, 10), np.uint8)
    label[0, :7] = 3
    label[1:] = 255
    np.testing.assert_array_equal(ignore_if_small(label, 0.07), label)
    label[0, 0] = 0
    assert (ignore_if_small(label, 0.07) == 255).all()
    assert (label == 255).sum() == 90
    assert (ignore_if_small(torch.zeros(3, 3).byte()) == 255).all()
    assert ignore_if_small(np.zeros((0, 3), np.uint8)).shape == (0, 3)


@pytest.mark.parametrize(
    ('call', 'error', 'match'),
    [
        (lambda f, u: initial_label(u, {}), TypeError, 'saliency'),
        (lambda f, u: initial_label(9 * f, {}), ValueError, 'from 9 to 9'),
        (lambda f, u: initial_label(f, {0: f[:1]}), ValueError, '3 x 1'),
        (lambda f, u: initial_label(f, {2: f / 0}), ValueError, 'class 2'),
        (lambda f, u: initial_label(f, {254: f}), ValueError, '254'),
        (lambda f, u: initial_label(f[0], {}), ValueError, r'\(3,\)'),
        (lambda f, u: potential_object_mining(f, {}), TypeError, 'label'),
        (lambda f, u: potential_object_mining(u, {0: u}), TypeError, 'floats'),
        (
            lambda f, u: non_salient_region_masking(u, u, f[:1], 2),
            ValueError,
            'saliency is 3 x 1',
        ),
        (
            lambda f, u: non_salient_region_masking(u, u, f, 2, 0),
            ValueError,
            'dilation',
        ),
        (lambda f, u: ignore_if_small(f), TypeError, 'integers'),
        (
            lambda f, u: ignore_if_small(u.astype(int) * 300),
            ValueError,
            'label .* from 300 to 300',
        ),
        (
            lambda f, u: potential_object_mining(u.astype(int) * 300, {}),
            ValueError,
            'from 300 to 300',
        ),
        (
            lambda f, u: non_salient_region_masking(
                u.astype(int) - 2, u, f, 2
            ),
            ValueError,
            'prediction .* from -1 to -1',
        ),
        (
            lambda f, u: non_salient_region_masking(
                u, u.astype(int) - 2, f, 2
            ),
            ValueError,
            'label must be in',
        ),
    ],
)
@pytest.mark.filterwarnings('ignore:divide by zero')
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call(np.ones((2, 3)), np.ones((2, 3), np.uint8))


def test_other_integers_within_the_range():
    label = np.array([[0, 255, 3]])
    assert potential_object_mining(label, {}).tolist() == label.tolist()
    empty = np.zeros((0, 3), np.int64)
    assert ignore_if_small(empty).shape == (0, 3)


GOOD = np.array([[0.2, 0.5, 1.0]])
CALLS = {
    'initial saliency': lambda x: initial_label(x, {0: GOOD}),
    'initial map': lambda x: initial_label(GOOD, {0: x}),
    'mining': lambda x: potential_object_mining(LABEL[:1], {0: x}),
    'masking': lambda x: non_salient_region_masking(
        LABEL[:1], LABEL[:1], x, 2
    ),
}
# Maps are logits, or of any scale.
ANY_SIGN = {'initial map', 'mining'}


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, -0.1])
@pytest.mark.parametrize('name', CALLS)
def test_only_numbers_become_labels(name, value):
    CALLS[name](GOOD)
    bad = np.array([[0.2, value, 1.0]])
    if value == -0.1 and name in ANY_SIGN:
        CALLS[name](bad)
        return
    with pytest.raises(ValueError, match='finite|in \\[0, 1\\]|>= 0'):
        CALLS[name](bad)


@pytest.mark.parametrize('value', [256, 300, -1, 65535])
def test_labels_do_not_wrap(value):
    label = LABEL.astype(np.int64)
    label[0, 1] = value
    for call in (
        ignore_if_small,
        lambda x: keep_ignored(x, LABEL),
        lambda x: keep_ignored(LABEL, x),
        lambda x: potential_object_mining(x, {}),
    ):
        with pytest.raises(ValueError, match=str(value)):
            call(label)


def test_indices_and_colours_of_voc(tmp_path):
    path = tmp_path / 'a' / 'b.png'
    write_label_map(str(path), LABEL)
    np.testing.assert_array_equal(read_index_mask(str(path)), LABEL)
    colours = np.array(Image.open(path).convert('RGB'))
    assert colours[0, 1].tolist() == [128, 0, 0]
    assert colours[0, 2].tolist() == [192, 128, 128]
    assert colours[1, 1].tolist() == [224, 224, 192]
    assert [p.name for p in path.parent.iterdir()] == ['b.png']


def test_own_colours(tmp_path):
    path = tmp_path / 'b.png'
    label = np.array([[0, 1, 2], [3, 255, 1]], np.uint8)
    write_label_map(str(path), label, [(1, 2, 3), [4, 5, 6]])
    colours = np.array(Image.open(path).convert('RGB'))
    assert colours.tolist() == [
        [[0, 0, 0], [1, 2, 3], [4, 5, 6]],
        # VOC's beyond the palette.
        [[128, 128, 0], [224, 224, 192], [1, 2, 3]],
    ]
    assert read_index_mask(str(path)).tolist() == label.tolist()


@pytest.mark.parametrize('label', [LABEL.astype(np.int64), LABEL[None]])
def test_something_else(tmp_path, label):
    with pytest.raises(ValueError, match=r'a\.png: a label map is uint8'):
        write_label_map(str(tmp_path / 'a.png'), label)


@pytest.mark.parametrize('dtype', [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize('value', [2, 255, 300])
def test_label_maps_of_other_types(tmp_path, dtype, value):
    path = str(tmp_path / 'picture.tif')
    Image.fromarray(np.array([[0, value]], dtype)).save(path)
    if dtype != np.float32 and value <= 255:
        found = read_label_map(path)
        assert found.dtype == np.uint8
        assert found.tolist() == [[0, value]]
        return
    with pytest.raises(ValueError, match='label map') as error:
        read_label_map(path)
    assert str(error.value).startswith(path)


@pytest.mark.parametrize(
    'labels', [[254], [-1], [0, 1], [0.5], [[0]], [np.nan], ['0']]
)
def test_classes_of_label_maps(labels):
    with pytest.raises(ValueError, match='labels'):
        check_classes(np.array(labels), 'labels', 1)
    assert check_classes(torch.tensor([3.0]), 'labels', 1).tolist() == [3]
