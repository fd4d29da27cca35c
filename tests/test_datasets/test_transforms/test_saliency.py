import numpy as np
import pytest
from PIL import Image

from mmwsl.datasets.transforms import LoadSaliency, PackWSLInputs


def load(folder, shape=(2, 3), **kwargs):
    transform = LoadSaliency(str(folder), **kwargs)
    return transform(dict(img_id='x/a', img_path='a.jpg', ori_shape=shape))


@pytest.fixture
def write(tmp_path):
    (tmp_path / 'x').mkdir()

    def save(array):
        Image.fromarray(array).save(tmp_path / 'x' / 'a.png')
        return tmp_path

    return save


def test_values_become_shares(write):
    grey = np.array([[0, 51, 255], [102, 0, 0]], dtype=np.uint8)
    saliency = load(write(grey))['saliency']
    assert saliency.dtype == np.float32
    expected = [[0, 0.2, 1], [0.4, 0, 0]]
    np.testing.assert_allclose(saliency, expected, atol=1e-6)


@pytest.mark.parametrize(('dtype', 'largest'), [(np.uint16, 65535), (bool, 1)])
def test_other_depths(write, dtype, largest):
    array = np.zeros((2, 3), dtype=dtype)
    array[0, 1] = largest
    saliency = load(write(array))['saliency']
    assert saliency.tolist() == [[0, 1, 0], [0, 0, 0]]


@pytest.fixture
def tiff(tmp_path):
    (tmp_path / 'x').mkdir()

    def save(values, dtype):
        picture = Image.fromarray(np.array([values, values], dtype))
        picture.save(tmp_path / 'x' / 'a.tif')
        return tmp_path

    return save


def test_floats_are_shares_already(tiff):
    folder = tiff([0, 0.25, 1], np.float32)
    saliency = load(folder, suffix='.tif')['saliency']
    assert saliency.tolist() == [[0, 0.25, 1]] * 2


def test_32_bits_with_values_of_16(tiff):
    folder = tiff([0, 13107, 65535], np.int32)
    saliency = load(folder, suffix='.tif')['saliency']
    assert saliency[0].tolist() == pytest.approx([0, 0.2, 1])


@pytest.mark.parametrize(
    ('values', 'dtype'),
    [
        ([0, 128, 255], np.float32),
        ([0, np.nan, 1], np.float32),
        ([0, -0.5, 1], np.float32),
        ([0, np.inf, 1], np.float32),
        ([0, 128, 255], np.int32),
        ([0, 128, 255], np.uint16),
        ([-5, 0, 60000], np.int32),
        ([0, 1, 2**31 - 1], np.int32),
    ],
)
def test_scales_that_are_not_known(tiff, values, dtype):
    folder = tiff(values, dtype)
    with pytest.raises(ValueError, match=r'x/a\.tif'):
        load(folder, suffix='.tif')


def test_palettes(write, tmp_path):
    """A grey one is read by its colours; one of a mask is refused."""
    folder = write(np.zeros((2, 3), dtype=np.uint8))
    picture = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], np.uint8))
    for palette in ([255] * 3 + [51] * 3 + [0] * 3, [0] * 3 + [128, 0, 0]):
        picture.putpalette(palette)
        picture.save(tmp_path / 'x' / 'a.png')
        if palette[0]:
            saliency = load(folder)['saliency']
            assert saliency[0].tolist() == pytest.approx([1, 0.2, 0])
            continue
        with pytest.raises(ValueError, match='map is a colour picture .P.'):
            load(folder)


def test_missing_map(tmp_path):
    with pytest.raises(
        FileNotFoundError, match='x/a.png: saliency map does not exist'
    ):
        load(tmp_path)


def test_another_size_names_both(write):
    folder = write(np.zeros((3, 2), dtype=np.uint8))
    with pytest.raises(
        ValueError, match=r'x/a.png: saliency map is 2 x 3 .* a.jpg is 3 x 2'
    ):
        load(folder)


def test_packed_at_the_size_of_the_original(write):
    results = load(write(np.full((2, 3), 255, dtype=np.uint8)))
    results.update(
        img=np.zeros((8, 8, 3), np.uint8), gt_label=[0], num_classes=1
    )
    sample = PackWSLInputs()(results)['data_samples']
    assert sample.saliency.data.shape == (1, 2, 3)
    assert sample.saliency.data.min() == 1
