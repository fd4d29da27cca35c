"""Loading images, with one clear line for each broken one."""

from typing import Any, Dict

from mmcv.transforms import BaseTransform
from PIL import Image

from mmwsl.registry import TRANSFORMS
from mmwsl.utils.files import naming
from mmwsl.utils.images import as_image, read_stored, turned


@TRANSFORMS.register_module()
class LoadWSLImage(BaseTransform):
    """Load an image as BGR uint8 (H, W, 3).

    See :func:`mmwsl.utils.images.read_image`. An entry that holds ``img``
    already, such as one of ``ToyDataset``, passes through; a picture of
    Pillow is treated as its file would be.

    Required keys: ``img_path``. Added keys: ``img``, ``img_shape``,
    ``ori_shape``, the latter two as (H, W), and where it is turned
    ``exif_orientation``, which says how.

    Args:
        exif_orientation (bool): Whether to turn the image as its EXIF entry
            says, which is mmcv's default. Masks are often drawn for the
            unturned image.
        min_size (int): Smallest accepted height and width, in pixels.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, truncated, no image, too small or
            too large.
    """

    def __init__(
        self, exif_orientation: bool = True, min_size: int = 8
    ) -> None:
        self.exif_orientation = exif_orientation
        self.min_size = min_size

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Add the image to ``results``."""
        img = results.get('img')
        if img is None or isinstance(img, Image.Image):
            self._load(results)
        height, width = results['img'].shape[:2]
        results['img_shape'] = results['ori_shape'] = (height, width)
        return results

    def _load(self, results: Dict[str, Any]) -> None:
        path, img = results['img_path'], results.get('img')
        if img is None:
            img, orientation = read_stored(path)
        else:
            path = results['img_id']
            with naming(path):
                img, orientation = as_image(img, path)
        if self.exif_orientation:
            img = turned(img, orientation)
            results['exif_orientation'] = orientation
        height, width = img.shape[:2]
        if min(height, width) < self.min_size:
            raise ValueError(
                f'{path}: image is {width} x {height} pixels, at least '
                f'{self.min_size} x {self.min_size} are needed'
            )
        results['img'] = img

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}('
            f'exif_orientation={self.exif_orientation}, '
            f'min_size={self.min_size})'
        )
