import cv2
import numpy as np
import pytest
from PIL import Image

from mmwsl.datasets.transforms import LoadWSLImage
from mmwsl.registry import TRANSFORMS


def load(path, **kwargs):
    return LoadWSLImage(**kwargs)(dict(img_path=str(path)))


@pytest.fixture
def noise():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)


def test_colours_are_bgr_and_shapes_are_height_and_width(tmp_path, noise):
    cv2.imwrite(str(tmp_path / 'a.png'), noise)
    results = load(tmp_path / 'a.png')
    assert np.array_equal(results['img'], noise)
    assert results['img_shape'] == results['ori_shape'] == (24, 32)


@pytest.mark.parametrize('suffix', ['.bmp', '.tif', '.webp', '.ppm', '.jpg'])
def test_formats_of_opencv(tmp_path, noise, suffix):
    path = tmp_path / f'a{suffix}'
    cv2.imwrite(str(path), noise)
    img = load(path)['img']
    assert img.shape == (24, 32, 3)
    assert img.dtype == np.uint8


def test_grey_palette_alpha_and_deep_images(tmp_path):
    grey = np.full((9, 9), 80, dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'grey.png'), grey)
    cv2.imwrite(str(tmp_path / 'deep.png'), grey.astype(np.uint16) * 257)
    alpha = np.full((9, 9, 4), (10, 20, 30, 0), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'alpha.png'), alpha)
    palette = Image.fromarray(np.ones((9, 9), np.uint8)).convert('P')
    palette.putpalette([0, 0, 0, 30, 20, 10] + [0] * 762)
    palette.save(tmp_path / 'palette.png')
    for name, expected in (
        ('grey', [80, 80, 80]),
        ('deep', [80, 80, 80]),
        ('alpha', [10, 20, 30]),
        ('palette', [10, 20, 30]),
    ):
        img = load(tmp_path / f'{name}.png')['img']
        assert img.shape == (9, 9, 3)
        assert img.dtype == np.uint8
        assert img[4, 4].tolist() == expected


def test_exif_orientation(tmp_path):
    picture = Image.fromarray(np.zeros((10, 20, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / 'a.jpg', exif=exif)
    assert load(tmp_path / 'a.jpg')['ori_shape'] == (20, 10)
    plain = load(tmp_path / 'a.jpg', exif_orientation=False)
    assert plain['ori_shape'] == (10, 20)


def test_image_that_is_there_passes_through():
    img = np.zeros((3, 5, 3), dtype=np.uint8)
    results = LoadWSLImage()(dict(img=img, img_path=''))
    assert results['img'] is img
    assert results['ori_shape'] == (3, 5)


def test_missing_empty_and_undecodable_files(tmp_path):
    path = tmp_path / 'a.jpg'
    with pytest.raises(FileNotFoundError, match='a.jpg: image does not'):
        load(path)
    path.write_bytes(b'')
    with pytest.raises(ValueError, match='a.jpg: image file is empty'):
        load(path)
    path.write_bytes(b'this is a text')
    with pytest.raises(ValueError, match='a.jpg: image cannot be decoded'):
        load(path)


def test_one_pixel(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(
        ValueError,
        match='a.png: image is 1 x 1 pixels, at least 8 x 8 are needed',
    ):
        load(tmp_path / 'a.png')
    assert load(tmp_path / 'a.png', min_size=1)['img'].shape == (1, 1, 3)
    cv2.imwrite(str(tmp_path / 'b.png'), np.zeros((9, 7, 3), np.uint8))
    with pytest.raises(ValueError, match='b.png: image is 7 x 9 pixels'):
        load(tmp_path / 'b.png')


def test_registered_beside_the_transforms_of_mmcv():
    for name in ('LoadWSLImage', 'Resize', 'RandomFlip', 'Pad', 'CenterCrop'):
        assert TRANSFORMS.get(name) is not None
    assert 'min_size=8' in repr(TRANSFORMS.build(dict(type='LoadWSLImage')))
