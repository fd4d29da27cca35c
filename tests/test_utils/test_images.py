import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from mmwsl.utils.images import (
    IMG_SUFFIXES,
    image_size,
    open_picture,
    read_image,
    read_index_mask,
    read_plane,
)

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
# Neighbours are alike, as in photographs.
SMOOTH = cv2.resize(NOISE, (320, 240))


def jpeg(image, **kwargs):
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'JPEG', quality=90, **kwargs)
    return file.getvalue()


def written(path, content):
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize('suffix', IMG_SUFFIXES)
def test_known_suffixes_can_be_read(tmp_path, suffix):
    Image.init()
    if Image.registered_extensions().get(suffix) not in Image.SAVE:
        pytest.skip(f'this Pillow writes no {suffix}')
    path = tmp_path / f'a{suffix}'
    picture = Image.fromarray(np.full((9, 12), 255, np.uint8))
    if suffix not in ('.pgm', '.pbm'):
        picture = picture.convert('RGB')
    picture.save(path)
    image = read_image(str(path))
    assert image.shape == (9, 12, 3)
    assert image.min() > 250


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tif'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_orientation(tmp_path, suffix, orientation):
    path = str(tmp_path / f'a.{suffix}')
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(SMOOTH).save(path, exif=exif.tobytes())
    with Image.open(path) as picture:
        expected = np.array(ImageOps.exif_transpose(picture))[..., ::-1]
    assert np.array_equal(read_image(path), expected)
    assert image_size(path) == expected.shape[:2]
    stored = read_image(path, exif_orientation=False)
    assert image_size(path, exif_orientation=False) == stored.shape[:2]
    # A TIFF's entry is part of the format.
    if suffix != 'tif':
        assert stored.shape[:2] == SMOOTH.shape[:2]


def test_broken_exif_is_passed_over(tmp_path):
    path = str(tmp_path / 'a.jpg')
    Image.fromarray(SMOOTH).save(path, exif=b'Exif\0\0 nothing of the kind')
    assert read_image(path).shape == SMOOTH.shape


@pytest.mark.parametrize('progressive', [False, True])
@pytest.mark.parametrize('share', [0.2, 0.9, 0.98])
@pytest.mark.parametrize('end', [b'', b'\xff\xd9'])
def test_truncated_jpeg(tmp_path, progressive, share, end):
    content = jpeg(SMOOTH, progressive=progressive)
    path = written(tmp_path / 'a.jpg', content)
    assert np.abs(read_image(path)[..., ::-1] - SMOOTH.astype(int)).max() < 80
    written(tmp_path / 'a.jpg', content[: int(share * len(content))] + end)
    with pytest.raises(ValueError, match=r'a\.jpg: truncated'):
        read_image(path)


@pytest.mark.parametrize(
    'kwargs',
    [
        {},
        {'progressive': True},
        {'restart_marker_rows': 2},
        {'subsampling': 0},
        {'optimize': True},
    ],
)
def test_whole_jpegs_are_those_of_opencv(tmp_path, kwargs):
    grey = np.full((240, 320, 3), 128, np.uint8)
    for image in (SMOOTH, grey, SMOOTH[:17, :33]):
        path = written(tmp_path / 'a.jpg', jpeg(image, **kwargs))
        assert np.array_equal(read_image(path), cv2.imread(path))


def test_thumbnails_and_trailers_do_not_confuse(tmp_path):
    content = jpeg(NOISE)
    # An application segment that holds a whole small picture.
    segment = b'\xff\xe1' + (len(content) + 2).to_bytes(2, 'big') + content
    full = content[:2] + segment + content[2:]
    for whole in (
        full,
        full + bytes(9),
        full + b'any bytes of a camera',
        full + content,
        content[:2] + b'\xff\xff' + content[2:],
    ):
        assert read_image(written(tmp_path / 'a.jpg', whole)).shape == (
            NOISE.shape
        )
    # The second is cut in the segment, after the thumbnail's end marker.
    for cut in (full[:-30], full[: len(segment) + 8], full[:2], full[:5]):
        with pytest.raises(ValueError, match=r'a\.jpg: truncated'):
            read_image(written(tmp_path / 'a.jpg', cut))


@pytest.mark.parametrize('suffix', ['png', 'bmp', 'tif', 'webp', 'gif', 'ppm'])
@pytest.mark.parametrize('share', [0, 0.1, 0.5, 0.95])
def test_truncated_files(tmp_path, suffix, share):
    path = tmp_path / f'a.{suffix}'
    Image.fromarray(SMOOTH).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf'a\.{suffix}: '):
        read_image(str(path))


@pytest.mark.parametrize('what', [read_image, image_size])
def test_pixel_limit(tmp_path, monkeypatch, what):
    path = tmp_path / 'a.png'
    Image.new('1', (30000, 20000)).save(path)
    with pytest.raises(
        ValueError, match=r'a\.png: .* 30000 x 20000 .*MMWSL_MAX_PIXELS'
    ):
        what(str(path))
    Image.new('1', (30, 20)).save(path)
    monkeypatch.setenv('MMWSL_MAX_PIXELS', '600')
    assert what(str(path)) is not None
    monkeypatch.setenv('MMWSL_MAX_PIXELS', '599')
    with pytest.raises(ValueError, match=r'a\.png'):
        what(str(path))
    monkeypatch.setenv('MMWSL_MAX_PIXELS', 'many')
    with pytest.raises(ValueError, match='MMWSL_MAX_PIXELS'):
        what(str(path))


def test_pillows_own_limit_is_lifted_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)
    path = str(tmp_path / 'a.png')
    Image.fromarray(NOISE).save(path)
    assert read_image(path).shape == NOISE.shape
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize(
    'values',
    [
        np.linspace(0, 1, 300, dtype=np.float32),
        np.full(300, np.nan, np.float32),
        np.full(300, -1, np.int32),
        np.full(300, 70000, np.int32),
        # Twelve bits in sixteen.
        np.full(300, 4000, np.uint16),
    ],
)
def test_values_that_are_no_colours(tmp_path, values):
    path = str(tmp_path / 'a.tif')
    Image.fromarray(values.reshape(15, 20)).save(path)
    with pytest.raises(ValueError, match=r'a\.tif: '):
        read_image(path)


@pytest.mark.parametrize('suffix', ['png', 'tif', 'pgm'])
def test_sixteen_bits(tmp_path, suffix):
    path = str(tmp_path / f'a.{suffix}')
    Image.fromarray(np.full((9, 9), 80 * 257, np.uint16)).save(path)
    assert read_image(path)[4, 4].tolist() == [80, 80, 80]
    assert read_plane(path, 'mask')[4, 4] == 80 * 257


@pytest.mark.parametrize(
    ('max_value', 'expected'),
    [(4095, 250), (8191, 125), (65535, 15), (0, 250)],
)
def test_twelve_bits_in_sixteen(tmp_path, max_value, expected):
    path = str(tmp_path / 'a.png')
    Image.fromarray(np.full((9, 9), 4000, np.uint16)).save(path)
    with pytest.raises(ValueError, match='max_value=4095 of LoadWSLImage'):
        read_image(path)
    with pytest.raises(ValueError, match=r'a\.png: .*4000, above max_value=7'):
        read_image(path, max_value=7)
    assert read_image(path, max_value=max_value)[4, 4, 0] == expected
    # Pictures of 8 bits are as they are.
    Image.fromarray(np.full((9, 9), 80, np.uint8)).save(path)
    assert read_image(path, max_value=max_value)[4, 4, 0] == 80


@pytest.mark.parametrize('suffix', ['png', 'tif'])
@pytest.mark.parametrize('channels', [3, 4])
def test_colours_of_sixteen_bits(tmp_path, suffix, channels):
    path = str(tmp_path / f'a.{suffix}')
    colour = np.array([4000, 1600, 48, 4095][:channels], np.uint16)
    cv2.imwrite(path, np.tile(colour, (9, 9, 1)))
    with pytest.raises(ValueError, match='16 bits, but no value above 4000'):
        read_image(path)
    for max_value in (4095, 0):
        image = read_image(path, max_value=max_value)
        assert image[4, 4].tolist() == [250, 100, 3]
    cv2.imwrite(path, np.tile(colour << 4, (9, 9, 1)))
    assert read_image(path)[4, 4].tolist() == [250, 100, 3]


@pytest.mark.parametrize('mode', ['L', 'LA', 'RGB', 'RGBA', 'P', '1'])
def test_grey_in_any_mode_is_a_plane(tmp_path, mode):
    path = str(tmp_path / 'a.png')
    mask = np.zeros((9, 12), np.uint8)
    mask[2:5, 3:7] = 255
    Image.fromarray(mask).convert(mode).save(path)
    plane = read_plane(path, 'mask', indices=False)
    assert np.array_equal(plane > 0, mask > 0)
    if mode != '1':
        assert plane.max() == 255


@pytest.mark.parametrize('mode', ['RGBA', 'P'])
def test_colours_of_any_mode(tmp_path, mode):
    path = str(tmp_path / 'a.png')
    picture = Image.new('RGB', (9, 9), (30, 20, 10))
    picture.convert(mode, palette=Image.Palette.ADAPTIVE).save(path)
    assert read_image(path)[4, 4].tolist() == [10, 20, 30]


def test_colours_are_no_plane(tmp_path):
    path = str(tmp_path / 'a.png')
    Image.fromarray(NOISE).save(path)
    with pytest.raises(ValueError, match=r'a\.png: mask is a colour picture'):
        read_plane(path, 'mask')


def test_other_files(tmp_path):
    path = tmp_path / 'a.png'
    with pytest.raises(FileNotFoundError, match=r'a\.png'):
        read_image(str(path))
    for content in (b'', b'text', b'%!PS-Adobe-3.0 EPSF-3.0\n', b'\xff\xd8'):
        with pytest.raises(ValueError, match=r'a\.png'):
            read_image(written(path, content))
    with pytest.raises(FileNotFoundError, match='tmp|test'):
        read_image(str(tmp_path))


def test_errors_of_the_caller_keep_their_words(tmp_path):
    path = str(tmp_path / 'a.png')
    Image.fromarray(NOISE).save(path)
    with pytest.raises(KeyError), open_picture(path):
        raise KeyError('own')


def test_index_masks(tmp_path):
    path = str(tmp_path / 'm.png')
    Image.fromarray(np.eye(3, dtype=bool)).save(path)
    assert read_index_mask(path).tolist() == np.eye(3).tolist()
    colours = np.eye(3, dtype=np.uint8)[..., None] * np.uint8([1, 2, 3])
    Image.fromarray(colours).save(path)
    with pytest.raises(ValueError, match=r'm.png: mask is a colour picture'):
        read_index_mask(path)


@pytest.mark.parametrize(
    ('value', 'dtype'),
    [(0.5, 'f4'), (np.nan, 'f4'), (-1, 'i4'), (2**30, 'i4')],
)
def test_values_that_are_no_indices(tmp_path, value, dtype):
    path = str(tmp_path / 'm.tif')
    Image.fromarray(np.full((3, 4), value, dtype)).save(path)
    with pytest.raises(ValueError, match=r'm\.tif: '):
        read_index_mask(path)
