"""Hide the regions that earlier classifiers found."""

from typing import Optional, Sequence

import numpy as np
import torch

from mmwsl.datasets.transforms.base import Results, Transform
from mmwsl.pseudo_labels.regions import read_regions, region_file, step_folder
from mmwsl.registry import TRANSFORMS


@TRANSFORMS.register_module()
class EraseRegions(Transform):
    """Fill mined regions with the mean pixel of the data set.

    Adversarial erasing (https://arxiv.org/abs/1703.08448): the regions of
    all classes and steps are hidden. They are read from
    ``folder/img_id.npz`` when the image is, so workers that live on see
    regions written later.

    ``AdversarialErasingLoop`` sets, also in worker processes, which steps to
    erase and with which pixel; then the config needs no arguments. Without
    folders and loop nothing is erased.

    It comes right after the image is loaded, before anything moves it.
    Required keys: ``img``, ``img_id``. Changed key: ``img``.

    Args:
        folders: Folders of regions that are always erased.
        mean: Pixel to fill with, in the order of ``img``, which is BGR. By
            default the loop measures it.

    Raises:
        FileNotFoundError: If the regions of an image are missing.
        ValueError: If they are broken or of another size than the image, or
            if there is no pixel to fill with.
    """

    def __init__(
        self,
        folders: Sequence[str] = (),
        mean: Optional[Sequence[float]] = None,
    ) -> None:
        if isinstance(folders, str):
            raise ValueError(
                f'EraseRegions: folders must be a list, got {folders!r}'
            )
        if folders and mean is None:
            raise ValueError('EraseRegions: folders need a mean pixel')
        self.folders = list(folders)
        self.mean = None if mean is None else tuple(mean)
        self.root: Optional[str] = None
        # Shared memory: persistent workers see what is set later.
        self._steps = torch.zeros(1, dtype=torch.int64).share_memory_()
        self._mean = torch.zeros(3, dtype=torch.float64).share_memory_()

    def watch(self, root: str) -> None:
        """Erase from now on what a loop mines in ``root/step_1`` and so on.

        It must be called before the workers start.
        """
        self.root = root

    def set_steps(self, steps: int, mean: Sequence[float]) -> None:
        """Set how many steps' regions are erased, also in worker processes.

        They are filled with ``mean`` unless the config has a pixel.
        """
        self._steps.fill_(steps)
        self._mean.copy_(torch.tensor(list(mean), dtype=torch.float64))

    def transform(self, results: Results) -> Results:
        """Erase in ``img``."""
        img = results['img']
        hidden = np.zeros(img.shape[:2], bool)
        folders = [*self.folders]
        if self.root is not None:
            steps = range(1, int(self._steps) + 1)
            folders += [step_folder(self.root, step) for step in steps]
        for folder in folders:
            path = region_file(folder, results['img_id'])
            hidden |= read_regions(path, img.shape[:2])[0].any(axis=0)
        if hidden.any():
            mean = self.mean or self._mean.tolist()
            # Data sets may hand out the same array again.
            img = img.copy()
            img[hidden] = np.round(mean).astype(img.dtype)
            results['img'] = img
        return results
