import numpy as np
import pytest

from mmwsl.datasets.transforms import RandomCrop


def test_parts_of_the_image():
    img = np.arange(6 * 8 * 3).reshape(6, 8, 3)
    seen = set()
    for _ in range(100):
        results = RandomCrop((7, 5))(dict(img=img))
        part = results['img']
        assert part.shape == (5, 7, 3)
        assert results['img_shape'] == (5, 7)
        row, column = divmod(int(part[0, 0, 0]) // 3, 8)
        assert np.array_equal(part, img[row : row + 5, column : column + 7])
        seen.add((row, column))
    assert seen == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_the_whole_image():
    img = np.ones((4, 4, 3))
    assert np.array_equal(RandomCrop(4)(dict(img=img))['img'], img)


def test_image_that_is_too_small():
    with pytest.raises(
        ValueError, match=r'image is 4 x 5 .* for a part of 4 x 6'
    ):
        RandomCrop((4, 6))(dict(img=np.ones((5, 4, 3))))


def test_repr():
    assert repr(RandomCrop(224)) == 'RandomCrop(size=(224, 224))'
