"""Load images, saliency maps, proposals and attention.

K: classes of an image, (H, W): its size, (h, w): size of a map. What is
loaded beside an image keeps the image's original size, whatever happens to
the image: what models predict is brought to that size as well.

Each raises a FileNotFoundError where its file is missing, and a ValueError
that names it where it is empty, broken, or of another size than its image.
"""

from typing import Any, Optional, Tuple

import numpy as np
import torch
from mmengine.structures import PixelData
from PIL import Image

from mmwsl.datasets.transforms.base import (
    Results,
    Transform,
    check_size,
    image_name,
)
from mmwsl.proposals import ProposalGenerator, ProposalList, read_proposals
from mmwsl.pseudo_labels.attention import Attention, read_attention
from mmwsl.registry import TRANSFORMS
from mmwsl.saliency import read_saliency
from mmwsl.utils.arrays import unflip
from mmwsl.utils.files import join_inside, naming
from mmwsl.utils.images import as_image, read_stored, turned


@TRANSFORMS.register_module()
class LoadWSLImage(Transform):
    """Load an image as BGR uint8 (H, W, 3).

    See :func:`mmwsl.utils.images.read_image`. An entry that holds ``img``
    already, such as one of ``ToyDataset``, passes through; a picture of
    Pillow is treated as its file would be.

    Required keys: ``img_path``. Added keys: ``img``, ``img_shape``,
    ``ori_shape``, the latter two as (H, W), and where it is turned
    ``exif_orientation``, which says how.

    Args:
        exif_orientation: Whether to turn the image as its EXIF entry says,
            which is mmcv's default. Masks are often drawn for the unturned
            image.
        min_size: Smallest accepted height and width, in pixels.
        max_value: What white is in pictures of 16 bits, such as 4095 where a
            camera has 12 bits. None stands for 65535, and refuses pictures
            that would then be black.
    """

    def __init__(
        self,
        exif_orientation: bool = True,
        min_size: int = 8,
        max_value: Optional[int] = None,
    ) -> None:
        if max_value is not None and not 0 < max_value < 65536:
            raise ValueError(
                f'max_value must be between 1 and 65535, got {max_value}'
            )
        self.exif_orientation = exif_orientation
        self.max_value = max_value
        self.min_size = min_size

    def transform(self, results: Results) -> Results:
        """Add the image to ``results``."""
        img = results.get('img')
        if img is None or isinstance(img, Image.Image):
            self._load(results)
        height, width = results['img'].shape[:2]
        results['img_shape'] = results['ori_shape'] = (height, width)
        return results

    def _load(self, results: Results) -> None:
        path, img = results['img_path'], results.get('img')
        if img is None:
            img, orientation = read_stored(path, max_value=self.max_value)
        else:
            path = results['img_id']
            with naming(path):
                img, orientation = as_image(
                    img, path, max_value=self.max_value
                )
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


@TRANSFORMS.register_module()
class LoadSaliency(Transform):
    """Load the saliency map of an image from ``folder/img_id.png``.

    Required keys: ``img_id``, ``ori_shape``. Added key: ``saliency``, float32
    (H, W) in [0, 1].

    Args:
        folder: Where the maps are, pictures that
            :func:`mmwsl.saliency.read_saliency` reads.
        suffix: What follows the image's id.
    """

    def __init__(self, folder: str, suffix: str = '.png') -> None:
        self.folder = folder
        self.suffix = suffix

    def transform(self, results: Results) -> Results:
        """Add ``saliency`` to ``results``."""
        path = join_inside(
            self.folder, results['img_id'], self.suffix, links=True
        )
        saliency = read_saliency(path)
        check_size(results, saliency.shape, path, 'saliency map is')
        results['saliency'] = saliency
        return results


@TRANSFORMS.register_module()
class LoadProposals(Transform):
    """Load the proposals of an image from ``folder/img_id.npz``.

    Required keys: ``img_id``, ``ori_shape``. Added key: ``proposals``, a
    :class:`mmwsl.structures.Proposals`, best first.

    Args:
        folder: Where the files are; or one ``.json`` file with the proposals
            of all images, which every worker reads whole
            (``convert_proposals.py`` splits it up). With None they are made of
            the image, which must not be resized yet.
        suffix: What follows the image's id, with any of the endings ``.npz``,
            ``.npy``, ``.json`` and ``.mat``; see
            :func:`mmwsl.proposals.read_proposals`.
        max_proposals: How many of the best to keep.
    """

    def __init__(
        self,
        folder: Optional[str],
        suffix: str = '.npz',
        max_proposals: Optional[int] = None,
    ) -> None:
        if max_proposals is not None and max_proposals < 1:
            raise ValueError(
                'LoadProposals: max_proposals must be at least 1, got '
                f'{max_proposals}'
            )
        self.folder = folder
        self.suffix = suffix
        self.max_proposals = max_proposals
        self._list: Optional[ProposalList] = None
        self._generator = ProposalGenerator()

    def transform(self, results: Results) -> Results:
        """Add ``proposals`` to ``results``."""
        img_id = results['img_id']
        if self.folder is None:
            place, proposals = 'image', self._generator(results['img'])
        elif self.folder.endswith('.json'):
            self._list = self._list or ProposalList(self.folder)
            place, proposals = self.folder, self._list.read(img_id)
        else:
            place = join_inside(self.folder, img_id, self.suffix, links=True)
            proposals = read_proposals(place)
        check_size(results, proposals.size, place, 'proposals are')
        results['proposals'] = proposals[: self.max_proposals]
        return results


@TRANSFORMS.register_module()
class MakeProposals(Transform):
    """Make the proposals of an image when it is loaded.

    For images that are seen once or twice, or that have no file, as those of
    ``ToyDataset``. Where they are seen more often, make files once with
    ``tools/dataset_converters/make_proposals.py`` and use ``LoadProposals``.

    It belongs behind the image's loading and before anything that changes
    its size or mirrors it.

    Required keys: ``img``, ``ori_shape``. Added key: ``proposals``, a
    :class:`mmwsl.structures.Proposals`, best first.

    Args:
        **settings: Those of :class:`mmwsl.proposals.ProposalGenerator`.

    Raises:
        ValueError: If the image has been resized, cropped or flipped before,
            or a setting is out of range.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self._generator = ProposalGenerator(**settings)

    def transform(self, results: Results) -> Results:
        """Add ``proposals`` to ``results``."""
        image = results['img']
        resized = image.shape[:2] != tuple(results['ori_shape'][:2])
        if resized or results.get('flip'):
            raise ValueError(
                f'{image_name(results)}: MakeProposals must come before the '
                'image is resized, cropped or flipped'
            )
        results['proposals'] = self._generator(image)
        return results


@TRANSFORMS.register_module()
class LoadAttention(Transform):
    """Add the accumulated attention of an image to its packed sample.

    It comes after ``PackWSLInputs``, for it reads the sample's ``img_id``
    and ``gt_label`` and mirrors the maps as the image has been. Added field:
    ``attention``, PixelData (K, h, w) in [0, 1] of the K classes in
    ``gt_label``.

    Args:
        path: File of AttentionAccumulationHook.

    Raises:
        ValueError: If the file lacks the image or one of its classes.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._attention: Optional[Attention] = None
        self._shape: Tuple[int, ...] = ()

    def transform(self, results: Results) -> Results:
        """Add ``attention`` to the sample in ``results``."""
        if 'data_samples' not in results:
            raise ValueError('LoadAttention must come after PackWSLInputs')
        if self._attention is None:
            self._attention = read_attention(self.path)
            self._shape = self._common_shape(self._attention)
        sample = results['data_samples']
        labels = sample.gt_label.tolist()
        maps = self._attention.get(sample.img_id, {})
        missing = [label for label in labels if label not in maps]
        if missing:
            what = f'class {missing[0]} of ' if maps else ''
            raise ValueError(
                f'{self.path}: holds no attention of {what}{sample.img_id}'
            )
        stack = np.zeros((len(labels), *self._shape), np.float32)
        for row, label in zip(stack, labels):
            row[:] = maps[label]
        stack = unflip(stack, sample.get('flip_direction'))
        sample.attention = PixelData(
            data=torch.from_numpy(np.ascontiguousarray(stack))
        )
        return results

    def _common_shape(self, attention: Attention) -> Tuple[int, ...]:
        """Return the size of all maps: they are stacked in batches."""
        planes = [m for maps in attention.values() for m in maps.values()]
        shapes = sorted({plane.shape for plane in planes})
        if not shapes:
            raise ValueError(f'{self.path}: holds no attention at all')
        if len(shapes) > 1:
            raise ValueError(
                f'{self.path}: holds maps of {shapes[0][::-1]} and of '
                f'{shapes[1][::-1]} pixels, not of one size'
            )
        return shapes[0]
