"""Loading saliency maps that another program has made."""

from typing import Any, Dict

from mmcv.transforms import BaseTransform

from mmwsl.registry import TRANSFORMS
from mmwsl.saliency import read_saliency
from mmwsl.utils.files import join_inside


@TRANSFORMS.register_module()
class LoadSaliency(BaseTransform):
    """Load the saliency map of an image from ``folder/img_id.png``.

    It keeps the size of the original image whatever happens to the image:
    maps of a model are brought to that size as well.

    Required keys: ``img_id``, ``ori_shape``. Added key: ``saliency``, float32
    (H, W) in [0, 1].

    Args:
        folder (str): Where the maps are, pictures that
            :func:`mmwsl.saliency.read_saliency` reads.
        suffix (str): What follows the image's id.

    Raises:
        FileNotFoundError: If the map is missing.
        ValueError: If it is broken or has another size than its image.
    """

    def __init__(self, folder: str, suffix: str = '.png') -> None:
        self.folder = folder
        self.suffix = suffix

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Add ``saliency`` to ``results``."""
        img_id = results['img_id']
        path = join_inside(self.folder, img_id, self.suffix, links=True)
        saliency = read_saliency(path)
        height, width = results['ori_shape']
        if saliency.shape != (height, width):
            name = results.get('img_path') or img_id
            raise ValueError(
                f'{path}: saliency map is {saliency.shape[1]} x '
                f'{saliency.shape[0]} pixels, but its image {name} is '
                f'{width} x {height}'
            )
        results['saliency'] = saliency
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(folder={self.folder!r}, '
            f'suffix={self.suffix!r})'
        )
