"""Tests of k-means against a loop over pixels and against scikit-learn."""

import numpy as np
import pytest
import torch

from mmwsl.models.task_modules.kmeans import k_means


def slow_k_means(points, centers, max_rounds=300, tolerance=1e-4):
    """One image, pixel by pixel: points (P, d), centers (K, d)."""
    points = np.asarray(points, np.float64)
    centers = np.asarray(centers, np.float64).copy()
    limit = tolerance * points.var(axis=0).mean()
    labels = None
    for _ in range(max_rounds):
        new_labels = _nearest(points, centers)
        members = [list(np.flatnonzero(new_labels == k)) for k in range(3)]
        gaps = [
            ((x - centers[k]) ** 2).sum() for x, k in zip(points, new_labels)
        ]
        for k in range(3):
            if not (new_labels == k).any() and max(gaps) > 1e-20:
                far = int(np.argmax(gaps))
                members[new_labels[far]].remove(far)
                members[k] = [far]
                gaps[far] = -1
        new_centers = np.stack(
            [
                points[rows].mean(axis=0) if rows else center
                for rows, center in zip(members, centers)
            ]
        )
        shift = ((new_centers - centers) ** 2).sum()
        centers = new_centers
        if labels is not None and (new_labels == labels).all():
            return labels, centers
        labels = new_labels
        if shift <= limit:
            break
    return _nearest(points, centers), centers


def _nearest(points, centers):
    return np.array(
        [((x - centers) ** 2).sum(axis=1).argmin() for x in points]
    )


def draw(images, pixels, features, dtype=torch.float32):
    torch.manual_seed(images + pixels + features)
    points = torch.randn(images, features, pixels, dtype=dtype).relu()
    start = torch.randn(images, 3, features, dtype=dtype).relu()
    # As at first sight of a class, and as at the very beginning.
    start[::2, 2] = start[::2, 1]
    start[0, 0] = 0
    return points, start


@pytest.mark.parametrize('shape', [(5, 49, 4), (3, 60, 16), (7, 30, 2)])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_equals_the_loop(shape, dtype):
    points, start = draw(*shape, dtype)
    found = k_means(points, start)
    assert found.labels.dtype == torch.long
    assert found.centers.dtype == dtype
    for index in range(shape[0]):
        labels, centers = slow_k_means(points[index].T, start[index])
        assert found.labels[index].tolist() == labels.tolist()
        assert np.allclose(found.centers[index], centers, atol=1e-6)
        assert len(set(labels)) == 3


@pytest.mark.parametrize('tolerance', [1e-4, 0.05])
def test_equals_scikit_learn(tolerance):
    module = pytest.importorskip('sklearn.cluster')
    points, start = draw(4, 100, 24)
    found = k_means(points, start, tolerance=tolerance)
    for index in range(4):
        centers, labels, _ = module.k_means(
            points[index].T.numpy(),
            3,
            init=start[index].numpy(),
            n_init=1,
            tol=tolerance,
        )
        assert found.labels[index].tolist() == labels.tolist()
        assert np.allclose(found.centers[index], centers, atol=1e-5)


def test_stops_at_the_limit_of_rounds():
    points, start = draw(3, 60, 4)
    found = k_means(points, start, max_rounds=2)
    for index in range(3):
        labels, centers = slow_k_means(points[index].T, start[index], 2)
        assert found.labels[index].tolist() == labels.tolist()
        assert np.allclose(found.centers[index], centers, atol=1e-6)


def test_ties_go_to_the_first():
    # 0 is as far from 1 as from -1, and 3 as from 3 twice.
    points = torch.tensor([[[0.0, 3.0, 1.0, -1.0]]])
    start = torch.tensor([[[1.0], [-1.0], [3.0]]])
    found = k_means(points, start, max_rounds=1)
    assert found.centers.flatten().tolist() == [0.5, -1.0, 3.0]
    assert found.labels.tolist() == [[0, 2, 0, 1]]
    start = torch.tensor([[[3.0], [3.0], [-1.0]]])
    found = k_means(points, start, max_rounds=1, tolerance=1e9)
    # Cluster 1 is empty and takes the first of the two pixels at distance
    # 2 and 1 from their centres: 1, which leaves cluster 0.
    assert found.centers.flatten().tolist() == [3.0, 1.0, -0.5]
    assert found.labels.tolist() == [[2, 0, 1, 2]]


def assert_equals_loop(points, start):
    found = k_means(points, start)
    for index in range(len(points)):
        labels, centers = slow_k_means(points[index].T, start[index])
        assert found.labels[index].tolist() == labels.tolist()
        assert np.allclose(found.centers[index], centers, atol=1e-4)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('offset', [0, 64])
def test_whole_numbers_tie_as_in_the_loop(dtype, offset):
    torch.manual_seed(offset)
    points = torch.randint(-2, 3, (60, 3, 25)).to(dtype) / 4 + offset
    start = points[:, :, torch.randperm(25)[:3]].transpose(1, 2)
    # Means are rounded, and with them ties of later rounds.
    found = k_means(points, start, max_rounds=1)
    for index in range(60):
        centers = slow_k_means(points[index].T, start[index], 1)[1]
        assert np.allclose(found.centers[index], centers, atol=1e-5)


def test_nearly_the_same_distance_is_no_tie():
    # The neighbours of 20.5 in single precision.
    middle = torch.tensor(20.5)
    below = torch.nextafter(middle, torch.tensor(20.0))
    above = torch.nextafter(middle, torch.tensor(21.0))
    points = torch.stack([below, middle, above])[None, None]
    start = torch.tensor([[[20.0], [21.0], [90.0]]])
    found = k_means(points, start, max_rounds=1, tolerance=0)
    expected = [slow_k_means(points[0].T, start[0], 1)[1]]
    assert np.allclose(found.centers, expected, atol=1e-7)
    assert found.centers.flatten().tolist()[1] == above


def test_far_pixels_of_the_same_distance():
    # Four corners are as far from the only centre that has pixels; rounding
    # of the mean pixel, which is no whole number, may not choose.
    corners = torch.tensor([[3.0, 3], [-3, 3], [3, -3], [-3, -3]])
    inside = torch.tensor([[1.0, 0], [0, 1], [1, 1]])
    points = torch.cat([inside, corners]).T[None]
    start = torch.tensor([[[0.0, 0], [50, 50], [50, 50]]])
    found = k_means(points, start, max_rounds=1)
    assert found.centers[0, 1:].tolist() == [[3, 3], [-3, 3]]
    assert_equals_loop(points, start)


@pytest.mark.parametrize('value', [0.1, 0.7717722654342651])
def test_means_of_equal_pixels_are_rounded(value):
    torch.manual_seed(0)
    points = torch.full((20, 4, 23), value)
    # Two kinds of pixels for three clusters.
    points[10:, :, ::2] = torch.rand(10, 4, 1)
    assert_equals_loop(points, torch.rand(20, 3, 4))


def test_two_empty_clusters():
    points = torch.tensor([[[0.0, 5.0, -5.0, 1.0]]])
    start = torch.full((1, 3, 1), 0.0)
    found = k_means(points, start, max_rounds=1)
    # Both are 5 away: the first goes to cluster 1, the other to 2.
    assert found.centers.flatten().tolist() == [0.5, 5.0, -5.0]
    assert found.labels.tolist() == [[0, 1, 2, 0]]


@pytest.mark.parametrize('value', [0.0, 0.1, 7.3])
def test_a_constant_map_leaves_empty_clusters_alone(value):
    points = torch.full((2, 5, 9), value)
    start = torch.stack([torch.full((3, 5), 9.0), torch.zeros(3, 5)])
    start[:, 1:] = value
    found = k_means(points, start)
    assert found.labels[0].unique().tolist() == [1]
    assert torch.allclose(found.centers, start)


def test_fewer_values_than_clusters():
    points = torch.tensor([[[0.1, 0.7] * 7, [0.3, 0.9] * 7]])
    start = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]])
    found = k_means(points, start)
    assert found.labels.tolist() == [[0, 1] * 7]


def test_single_pixel_and_no_image():
    points = torch.ones(1, 2, 1)
    found = k_means(points, torch.zeros(1, 3, 2))
    assert found.labels.shape == (1, 1)
    assert found.centers.isfinite().all()
    none = k_means(torch.ones(0, 2, 4), torch.zeros(0, 3, 2))
    assert none.labels.shape == (0, 4)
    assert none.centers.shape == (0, 3, 2)


def test_memory_layout_changes_nothing():
    points, start = draw(3, 60, 16)
    rows = points.transpose(1, 2).contiguous().transpose(1, 2)
    for one, other in zip(k_means(points, start), k_means(rows, start)):
        assert torch.allclose(one, other, atol=1e-6)


def test_far_from_the_origin():
    """Digits are not lost where features have a large mean."""
    points, start = draw(3, 60, 16, torch.float64)
    found = k_means((points + 100).float(), (start + 100).float())
    assert torch.equal(found.labels, k_means(points, start).labels)
