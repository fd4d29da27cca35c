"""Opening pictures, the one way for everything.

(H, W): height and width of a picture. ``what`` is what to call it in errors.
Every reader raises FileNotFoundError if there is no such file, and a
ValueError that names it if it is empty, truncated, broken, or has more pixels
than the environment variable MMWSL_MAX_PIXELS says, by default 50 million.

``max_value`` is what white is in pictures of 16 bits. None stands for
65535, and refuses pictures of fewer bits, which would be black; 0 stands for
the largest value of the bits that a picture uses.
"""

import io
import os
import re
import threading
from contextlib import contextmanager
from typing import IO, Iterator, List, Optional, Tuple

import cv2
import numpy as np
from PIL import Image

from mmwsl.utils.files import need_file

# The formats that are read, of all that Pillow knows (its reader of EPS starts
# another program), with their suffixes in lower case; the most usual first.
_FORMATS = {
    'JPEG': ('.jpg', '.jpeg', '.jpe', '.jfif'),
    'PNG': ('.png',),
    'BMP': ('.bmp',),
    'DIB': ('.dib',),
    'TIFF': ('.tif', '.tiff'),
    'WEBP': ('.webp',),
    'PPM': ('.ppm', '.pgm', '.pbm', '.pnm'),
    'GIF': ('.gif',),
    'JPEG2000': ('.jp2',),
    'AVIF': ('.avif',),
}
IMG_SUFFIXES = tuple(x for suffixes in _FORMATS.values() for x in suffixes)
LIMIT_VARIABLE = 'MMWSL_MAX_PIXELS'
_DEFAULT_LIMIT = 50_000_000
# Tag of a camera's orientation.
_ORIENTATION = 0x0112
# A marker with content: not a stuffed byte, TEM, RST, SOI or a fill byte.
_MARKER = re.compile(rb'\xff[^\x00\x01\xd0-\xd8\xff]')
_SCAN, _END = 0xDA, 0xD9
# More than a decoder of JPEG looks ahead, in bytes.
_LOOKAHEAD = 16
# How Pillow calls colours of 16 bits in PNG and TIFF, of which it drops eight.
_DEEP_COLOURS = re.compile("'RGBA?;16")
# A picture of 12 bits in 16 has nothing above.
_DEEP = 4096
_OPENING = threading.Lock()


def read_image(
    path: str,
    exif_orientation: bool = True,
    what: str = 'image',
    max_value: Optional[int] = None,
) -> np.ndarray:
    """Read a picture as an image, uint8 (H, W, 3), BGR.

    Grey and palette pictures become three channels, 16 bits become 8, alpha
    is dropped. Values that are no colours are refused.
    ``exif_orientation`` is whether to turn it as its EXIF entry says.
    """
    image, orientation = read_stored(path, what, max_value)
    return turned(image, orientation) if exif_orientation else image


def read_stored(
    path: str, what: str = 'image', max_value: Optional[int] = None
) -> Tuple[np.ndarray, int]:
    """Read a picture and how :func:`turned` is to turn it, 1 to 8."""
    with open_picture(path, what) as picture:
        return as_image(picture, path, what, max_value)


def as_image(
    picture: Image.Image,
    path: str,
    what: str = 'image',
    max_value: Optional[int] = None,
) -> Tuple[np.ndarray, int]:
    """Turn an opened picture into what :func:`read_stored` returns of it."""
    orientation = _orientation(picture)
    if picture.mode.startswith(('I', 'F')):
        grey = _to_bytes(np.asarray(picture), path, what, max_value)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), orientation
    deep = cv2.imread(path, -1) if picture.info.get('deep') else None
    if deep is not None:
        return _to_bytes(deep[..., :3], path, what, max_value), orientation
    if picture.mode != 'RGB':
        picture = picture.convert('RGB')
    array = np.asarray(picture)
    return cv2.cvtColor(array, cv2.COLOR_RGB2BGR), orientation


def read_plane(path: str, what: str, indices: bool = True) -> np.ndarray:
    """Read a picture of one value a pixel, as it is stored.

    It is a palette, grey or black and white picture, or one of colours that
    are all grey, as some programs write masks. Without ``indices`` a palette
    gives its colours, which must be grey.

    Returns:
        (H, W), bool, uint8, uint16, int32 or float32.
    """
    with open_picture(path, what) as picture:
        mode = picture.mode
        if mode == 'P' and not indices:
            picture = picture.convert('RGB')
        plane = np.array(picture)
    if mode in ('LA', 'RGB', 'RGBA', 'P') and plane.ndim == 3:
        colours = plane[..., :3] if plane.shape[2] > 2 else plane[..., :1]
        if (colours == colours[..., :1]).all():
            plane = colours[..., 0]
    if plane.ndim != 2:
        raise ValueError(
            f'{path}: {what} is a colour picture ({mode}); it must hold one '
            'value a pixel'
        )
    return plane


def read_index_mask(path: str) -> np.ndarray:
    """Read a palette or grey picture of indices, uint8 or uint16 (H, W)."""
    mask = read_plane(path, 'mask')
    low, high = mask.min(), mask.max()
    if mask.dtype.kind == 'f' or low < 0 or high > 65535:
        raise ValueError(
            f'{path}: mask holds {mask.dtype} values {low} to {high}, which '
            'are no indices'
        )
    return mask.astype(np.uint8 if high < 256 else np.uint16)


def image_size(path: str, exif_orientation: bool = True) -> Tuple[int, int]:
    """Return H and W of a picture, turned or not; reads its head alone."""
    with open_picture(path, 'picture', decode=False) as picture:
        width, height = picture.size
        swapped = exif_orientation and _orientation(picture) > 4
    return (width, height) if swapped else (height, width)


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn a picture (H, W, ...) as its EXIF entry, 1 to 8, says."""
    if orientation > 4:
        array = array.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


@contextmanager
def open_picture(
    path: str, what: str = 'picture', decode: bool = True
) -> Iterator[Image.Image]:
    """Open a picture with Pillow; decoding finds out whether it is whole."""
    need_file(path, what)
    limit = pixel_limit()
    with open(path, 'rb') as file:
        content = file.read() if decode else b''
        if decode and not content:
            raise ValueError(f'{path}: {what} file is empty')
        source, other = _complete(content, path, what)
        try:
            picture = _open(io.BytesIO(source) if decode else file)
            width, height = picture.size
            tiles = str(getattr(picture, 'tile', ''))
            picture.info['deep'] = bool(_DEEP_COLOURS.search(tiles))
            if width * height <= limit and decode:
                picture.load()
                if other and not np.array_equal(
                    np.asarray(picture), np.asarray(_open(io.BytesIO(other)))
                ):
                    raise OSError('JPEG that lacks its end')
        # The decoders of foreign bytes raise whatever comes.
        except Exception as error:
            text = ' '.join(str(error).split())
            cut = 'truncated' in text or 'lacks' in text
            raise ValueError(
                f'{path}: truncated {what} ({text})'
                if cut
                else f'{path}: {what} cannot be decoded'
            ) from error
        if width * height > limit:
            raise ValueError(
                f'{path}: {what} has {width} x {height} pixels, more than '
                f'the {limit} that {LIMIT_VARIABLE} allows'
            )
        with picture:
            yield picture


def pixel_limit() -> int:
    """Return the largest number of pixels that pictures may have."""
    text = os.environ.get(LIMIT_VARIABLE, str(_DEFAULT_LIMIT))
    if not text.isdecimal() or not int(text):
        raise ValueError(
            f'{LIMIT_VARIABLE}={text!r}: must be a number of pixels'
        )
    return int(text)


def _open(file: IO[bytes]) -> Image.Image:
    """Let Pillow read a picture's head, without its own limit of pixels."""
    with _OPENING:
        Image.init()
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            known = [name for name in _FORMATS if name in Image.OPEN]
            return Image.open(file, formats=known)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _complete(content: bytes, path: str, what: str) -> Tuple[bytes, bytes]:
    """Return a picture's bytes such that a missing part is found.

    Decoders of JPEG fill up what is missing before the end marker, and say
    nothing. Without the marker they refuse the picture. That cannot be done
    with several scans: there, other bytes before the end marker change the
    picture if they are needed. Returns what to decode, and what must give
    the same picture, if any.
    """
    if content.startswith(b'\x89PNG') and content.rfind(b'IEND') < 0:
        raise ValueError(f'{path}: truncated PNG (no end chunk)')
    if not content.startswith(b'\xff\xd8'):
        return content, b''
    markers, end = _jpeg_markers(content)
    if end < 0 or _SCAN not in markers:
        raise ValueError(f'{path}: truncated JPEG (no end marker)')
    if markers.count(_SCAN) == 1 and {0xC0, 0xC1} & set(markers):
        return content[:end] + bytes(_LOOKAHEAD), b''
    return content, content[:end] + b'\x55' * _LOOKAHEAD + b'\xff\xd9'


def _jpeg_markers(content: bytes) -> Tuple[List[int], int]:
    """Return the markers of a JPEG and where its end marker is, or -1."""
    markers: List[int] = []
    position = 2
    while True:
        found = _MARKER.search(content, position)
        if found is None:
            return markers, -1
        position = found.end()
        markers.append(content[position - 1])
        if markers[-1] == _END:
            return markers, found.start()
        # Over the segment: a thumbnail in it has markers of its own.
        position += int.from_bytes(content[position : position + 2], 'big')


def _to_bytes(
    values: np.ndarray, path: str, what: str, max_value: Optional[int]
) -> np.ndarray:
    """Bring values of 16 bits to 8; others are no colours."""
    low, high = values.min(), values.max()
    # Some versions of Pillow read 16 bits as 32.
    if values.dtype.kind == 'f' or low < 0 or high > 65535:
        raise ValueError(
            f'{path}: {what} holds {values.dtype} values {low} to {high}; '
            'write it with 8 or 16 bits'
        )
    if max_value is None and 0 < high < _DEEP:
        raise ValueError(
            f'{path}: {what} has 16 bits, but no value above {high} and '
            'would be black; write it with 8 bits, or say what white is: '
            'max_value=4095 of LoadWSLImage or own data, --max-value 4095'
        )
    if max_value == 0:
        max_value = (1 << max(8, int(high).bit_length())) - 1
    white = 65535 if max_value is None else max_value
    if high > white:
        raise ValueError(
            f'{path}: {what} holds the value {high}, above max_value={white}'
        )
    # Of 16 and 12 bits the upper eight.
    return (values.astype(np.int64) * 256 // (white + 1)).astype(np.uint8)


def _orientation(picture: Image.Image) -> int:
    """Return how a picture is to be turned, 1 to 8."""
    exif = Image.Exif()
    try:
        exif.load(picture.info.get('exif', b''))
        value = exif.get(_ORIENTATION)
    except Exception:
        # Cameras and programs leave broken ones, of which nobody takes note.
        return 1
    return next((turn for turn in range(2, 9) if turn == value), 1)


def voc_color_map(size: int = 256) -> List[Tuple[int, int, int]]:
    """Return the RGB colours of indexed masks, at most 256, as VOC has them.

    Three bits of the index at a time go to the highest free bits of red,
    green and blue, so that neighbouring indices look different.
    """
    index = np.arange(size)
    colors = np.zeros((size, 3), dtype=np.int64)
    for bit in range(8):
        for channel in range(3):
            value = index >> (3 * bit + channel) & 1
            colors[:, channel] |= value << (7 - bit)
    return [(red, green, blue) for red, green, blue in colors.tolist()]
