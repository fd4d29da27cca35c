import numpy as np
import pytest
from PIL import Image

from mmwsl.datasets.transforms.masks import (
    class_masks_of_instances,
    decode_segmentation,
    fill_polygon,
    read_index_mask,
)


def test_fill_polygon_known_answers():
    square = np.array([[1, 1], [4, 1], [4, 3], [1, 3]], dtype=float)
    mask = fill_polygon(square, (4, 6))
    assert mask.sum() == 6
    assert mask[1:3, 1:4].all()
    # Pixel centres below the diagonal, those on it not doubled or lost.
    triangle = np.array([[0, 0], [4, 4], [0, 4]], dtype=float)
    other = np.array([[0, 0], [4, 0], [4, 4]], dtype=float)
    lower, upper = (fill_polygon(p, (4, 4)) for p in (triangle, other))
    assert not (lower & upper).any()
    assert (lower | upper).all()
    assert np.array_equal(lower, fill_polygon(triangle[::-1], (4, 4)))


def test_fill_polygon_outside_and_half_pixels():
    large = np.array([[-9, -9], [99, -9], [99, 99], [-9, 99]], dtype=float)
    assert fill_polygon(large, (3, 5)).all()
    # Covers the centres of columns 1 and 2 only.
    part = np.array([[0.6, 0], [2.6, 0], [2.6, 1], [0.6, 1]])
    assert fill_polygon(part, (1, 4)).tolist() == [[False, True, True, False]]
    hole = [[0, 0, 4, 0, 4, 4, 0, 4], [0, 0, 1, 0, 1, 1, 0, 1]]
    assert decode_segmentation(hole, (4, 4), 'a').all()


def test_fill_polygon_agrees_with_pycocotools():
    coco_mask = pytest.importorskip('pycocotools.mask')
    rng = np.random.default_rng(0)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
    radius = rng.uniform(20, 45, 12)
    points = 50 + radius[:, None] * np.stack(
        [np.cos(angles), np.sin(angles)], axis=1
    )
    runs = coco_mask.frPyObjects([points.ravel().tolist()], 100, 100)
    theirs = coco_mask.decode(runs)[..., 0].astype(bool)
    ours = fill_polygon(points, (100, 100))
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.98
    packed = decode_segmentation(runs[0], (100, 100), 'a')
    assert np.array_equal(packed, theirs)


def test_run_lengths_go_down_the_columns():
    runs = dict(size=[2, 3], counts=[1, 2, 3])
    mask = decode_segmentation(runs, (2, 3), 'a')
    assert mask.tolist() == [[False, True, False], [True, False, False]]


def test_run_lengths_that_do_not_fit():
    with pytest.raises(ValueError, match='a: run lengths do not fill'):
        decode_segmentation(dict(size=[2, 3], counts=[1, 2]), (2, 3), 'a')
    with pytest.raises(ValueError, match='a: mask is 3 x 2 .* is 2 x 3'):
        decode_segmentation(dict(size=[2, 3], counts=[6]), (3, 2), 'a')


def test_compressed_run_lengths():
    # '1' is a run of one pixel.
    mask = decode_segmentation(dict(size=[2, 1], counts='11'), (2, 1), 'a')
    assert mask.tolist() == [[False], [True]]


def test_small_objects_lie_on_large_ones():
    annotation = dict(
        segmentations=[
            [[0, 0, 2, 0, 2, 2, 0, 2]],
            [[0, 0, 4, 0, 4, 4, 0, 4]],
        ],
        labels=np.array([0, 1]),
    )
    seg_map = class_masks_of_instances(annotation, (4, 5), 'a')
    assert seg_map[:2, :2].tolist() == [[1, 1], [1, 1]]
    assert (seg_map == 2).sum() == 12
    assert (seg_map[:, 4] == 0).all()
    annotation['labels'] = np.array([0, 254])
    with pytest.raises(ValueError, match='a: class masks hold at most 254'):
        class_masks_of_instances(annotation, (4, 5), 'a')


def test_read_index_mask(tmp_path):
    path = str(tmp_path / 'm.png')
    Image.fromarray(np.eye(3, dtype=bool)).save(path)
    assert read_index_mask(path).tolist() == np.eye(3).tolist()
    colours = np.eye(3, dtype=np.uint8)[..., None] * np.uint8([1, 2, 3])
    Image.fromarray(colours).save(path)
    with pytest.raises(ValueError, match=r'm.png: mask is a colour picture'):
        read_index_mask(path)
    with open(path, 'wb') as file:
        file.write(b'nothing')
    with pytest.raises(ValueError, match='m.png: '):
        read_index_mask(path)


def test_truncated_mask(tmp_path):
    path = tmp_path / 'm.png'
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (40, 40), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match='m.png: '):
        read_index_mask(str(path))
