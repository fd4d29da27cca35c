import cv2
import numpy as np
import pytest
from PIL import Image

from mmwsl.datasets.transforms import LoadWSLImage
from mmwsl.datasets.transforms.loading import truncation
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


@pytest.mark.parametrize('progressive', [0, 1])
@pytest.mark.parametrize('missing', [1, 2, 40, 400])
def test_truncated_jpeg(tmp_path, noise, progressive, missing):
    flags = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
    content = cv2.imencode('.jpg', noise, flags)[1].tobytes()
    path = tmp_path / 'a.jpg'
    path.write_bytes(content)
    load(path)
    path.write_bytes(content[:-missing])
    with pytest.raises(ValueError, match=r'a.jpg: truncated JPEG \(no end'):
        load(path)


def test_thumbnails_and_trailers_do_not_confuse(noise):
    content = cv2.imencode('.jpg', noise)[1].tobytes()
    # An application segment that holds a whole small picture.
    segment = b'\xff\xe1' + (len(content) + 2).to_bytes(2, 'big') + content
    full = content[:2] + segment + content[2:]
    assert truncation(full) is None
    assert truncation(full + b'\0' * 9) is None
    assert truncation(full + b'any bytes of a camera') is None
    assert truncation(full[:-30]) == 'truncated JPEG (no end marker)'
    # Cut in the middle of the segment, after the thumbnail's end marker.
    assert truncation(full[: len(segment) + 8]) is not None
    # Fill bytes before a marker are allowed.
    assert truncation(content[:2] + b'\xff\xff' + content[2:]) is None


def test_truncation_of_other_files():
    assert truncation(b'\x89PNG\r\n\x1a\n....') == (
        'truncated PNG (no end chunk)'
    )
    assert truncation(b'BM anything') is None
    assert truncation(b'\xff\xd8') is not None
    assert truncation(b'\xff\xd8\xff\xe0\x00') is not None


def test_truncated_png(tmp_path, noise):
    content = cv2.imencode('.png', noise)[1].tobytes()
    (tmp_path / 'a.png').write_bytes(content[:-20])
    with pytest.raises(ValueError, match=r'a.png: truncated PNG'):
        load(tmp_path / 'a.png')


def test_missing_empty_and_undecodable_files(tmp_path):
    path = tmp_path / 'a.jpg'
    with pytest.raises(FileNotFoundError, match='a.jpg: image file does not'):
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
