"""Reproducible augmentations for data sets of other packages."""

from typing import Any, Dict, Optional

import torch
from mmengine.dataset import BaseDataset
from torch.utils.data import Dataset

from mmwsl.datasets.base import seeded
from mmwsl.registry import DATASETS


@DATASETS.register_module()
class SeededDataset(Dataset):
    """Draws each entry of a data set from (seed, epoch, index) alone.

    ``EpochSeedHook`` tells it the epoch. Neither the number of workers nor a
    resumed run then changes what random transforms do, as it is with our own
    data sets.

    Args:
        dataset (dict | BaseDataset): The data set, or its config.
        seed (int): Seed, unless the hook tells the run's.
    """

    def __init__(self, dataset: Any, seed: int = 0) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dict(dataset))
        self.dataset: BaseDataset = dataset
        self.seed = seed
        # Shared memory: persistent workers see epochs set after their start.
        self._epoch = torch.tensor([-1, seed]).share_memory_()

    @property
    def metainfo(self) -> Dict[str, Any]:
        """What the data set says of itself."""
        metainfo: Dict[str, Any] = self.dataset.metainfo
        return metainfo

    def full_init(self) -> None:
        """Load all entries."""
        self.dataset.full_init()

    def get_data_info(self, idx: int) -> Dict[str, Any]:
        """Return the annotation of an entry."""
        info: Dict[str, Any] = self.dataset.get_data_info(idx)
        return info

    def set_epoch(self, epoch: int, seed: Optional[int] = None) -> None:
        """Draw from (seed, epoch, index) from now on.

        Args:
            epoch (int): 0 or larger; a negative one ends the reseeding.
            seed (int | None): Seed of the run, instead of the own one.
        """
        key = [epoch, self.seed if seed is None else seed]
        self._epoch.share_memory_().copy_(torch.tensor(key))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, idx: int) -> Any:
        epoch, seed = self._epoch.tolist()
        if epoch < 0:
            return self.dataset[idx]
        with seeded([seed, epoch, idx]):
            return self.dataset[idx]
