import numpy as np
import pytest
from PIL import Image

from mmwsl.datasets.transforms import LoadSaliency
from mmwsl.saliency import read_saliency, read_settings, write_saliency


def test_maps_are_read_as_written(tmp_path):
    saliency = np.array([[0, 0.2, 1], [51 / 255, 0.501, 0.5]], np.float32)
    path = tmp_path / 'new' / 'a.png'
    write_saliency(str(path), saliency, dict(b=1, a=[2, 3]))
    assert [p.name for p in path.parent.iterdir()] == ['a.png']
    entry = dict(img_id='a', ori_shape=(2, 3))
    loaded = LoadSaliency(str(path.parent))(entry)['saliency']
    np.testing.assert_allclose(loaded, saliency, atol=0.5 / 255)
    np.testing.assert_array_equal(
        np.array(Image.open(path)), [[0, 51, 255], [51, 128, 128]]
    )
    assert read_settings(str(path)) == dict(a=[2, 3], b=1)


def test_other_pictures_have_no_settings(tmp_path):
    path = tmp_path / 'a.png'
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(path)
    assert read_settings(str(path)) is None
    path.write_bytes(b'\x89PNG broken')
    with pytest.raises(ValueError, match=r'a\.png: '):
        read_settings(str(path))


@pytest.mark.parametrize(
    'saliency',
    [
        np.zeros((2, 2, 1)),
        np.zeros((0, 2)),
        np.array([[0.5, 1.5]]),
        np.array([[-0.1, 0.5]]),
        np.array([[np.nan, 0.5]]),
    ],
)
def test_what_is_no_map_is_not_written(tmp_path, saliency):
    path = tmp_path / 'a.png'
    with pytest.raises(ValueError, match=r'a\.png: a saliency map is'):
        write_saliency(str(path), saliency, {})
    assert not list(tmp_path.iterdir())


def test_says_that_a_mask_of_0_and_1_is_dark(tmp_path, said):
    for name in ('a', 'b'):
        path = str(tmp_path / f'{name}.png')
        Image.fromarray(np.eye(4, dtype=np.uint8)).save(path)
        assert read_saliency(path).max() == np.float32(1 / 255)
    deep = str(tmp_path / 'deep' / 'c.png')
    (tmp_path / 'deep').mkdir()
    Image.fromarray(np.full((4, 4), 4095, np.uint16)).save(deep)
    assert read_saliency(deep).max() == np.float32(4095 / 65535)
    assert deep in said.pop()
    # Once for a folder.
    assert len(said) == 1
    assert str(tmp_path / 'a.png') in said[0]


@pytest.fixture
def write(tmp_path):
    def save(array):
        Image.fromarray(array).save(tmp_path / 'a.png')
        return str(tmp_path / 'a.png')

    return save


def test_values_become_shares(write):
    grey = np.array([[0, 51, 255], [102, 0, 0]], dtype=np.uint8)
    saliency = read_saliency(write(grey))
    assert saliency.dtype == np.float32
    expected = [[0, 0.2, 1], [0.4, 0, 0]]
    np.testing.assert_allclose(saliency, expected, atol=1e-6)


@pytest.mark.parametrize(('dtype', 'largest'), [(np.uint16, 65535), (bool, 1)])
def test_other_depths(write, dtype, largest):
    array = np.zeros((2, 3), dtype=dtype)
    array[0, 1] = largest
    saliency = read_saliency(write(array))
    assert saliency.tolist() == [[0, 1, 0], [0, 0, 0]]


@pytest.fixture
def tiff(tmp_path):
    def save(values, dtype):
        picture = Image.fromarray(np.array([values, values], dtype))
        picture.save(tmp_path / 'a.tif')
        return str(tmp_path / 'a.tif')

    return save


def test_floats_are_shares_already(tiff):
    path = tiff([0, 0.25, 1], np.float32)
    saliency = read_saliency(path)
    assert saliency.tolist() == [[0, 0.25, 1]] * 2


def test_32_bits_with_values_of_16(tiff):
    path = tiff([0, 13107, 65535], np.int32)
    saliency = read_saliency(path)
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
    path = tiff(values, dtype)
    with pytest.raises(ValueError, match=r'a\.tif'):
        read_saliency(path)


def test_palettes(write):
    """A grey one is read by its colours; one of a mask is refused."""
    path = write(np.zeros((2, 3), dtype=np.uint8))
    picture = Image.fromarray(np.array([[0, 1, 2], [2, 1, 0]], np.uint8))
    for palette in ([255] * 3 + [51] * 3 + [0] * 3, [0] * 3 + [128, 0, 0]):
        picture.putpalette(palette)
        picture.save(path)
        if palette[0]:
            saliency = read_saliency(path)
            assert saliency[0].tolist() == pytest.approx([1, 0.2, 0])
            continue
        with pytest.raises(ValueError, match='map is a colour picture .P.'):
            read_saliency(path)
