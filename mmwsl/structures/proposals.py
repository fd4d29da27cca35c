"""Object proposals of one image."""

from typing import Any, Optional, Tuple

import numpy as np


class Proposals:
    """K binary masks of H x W pixels, and maybe their scores.

    Args:
        masks: (K, H, W), bool or integers, where what is not 0 is inside.
        scores: (K,), kept as float32.

    Raises:
        ValueError: If ``masks`` is no stack, or ``scores`` do not fit it.
    """

    def __init__(
        self, masks: np.ndarray, scores: Optional[np.ndarray] = None
    ) -> None:
        masks = np.asarray(masks)
        if masks.ndim != 3:
            raise ValueError(
                f'masks must have the shape (K, H, W), got {masks.shape}'
            )
        self.masks = masks if masks.dtype == bool else masks != 0
        if scores is not None:
            scores = np.asarray(scores, dtype=np.float32)
            if scores.shape != masks.shape[:1]:
                raise ValueError(
                    f'{len(masks)} masks need scores of shape '
                    f'({len(masks)},), got {scores.shape}'
                )
        self.scores = scores

    @property
    def size(self) -> Tuple[int, int]:
        """Height and width."""
        return self.masks.shape[1], self.masks.shape[2]

    def __len__(self) -> int:
        """Return the number of masks K."""
        return len(self.masks)

    def __getitem__(self, index: Any) -> 'Proposals':
        """Choose masks with their scores by a slice or an index array."""
        scores = None if self.scores is None else self.scores[index]
        return Proposals(self.masks[index], scores)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}({len(self)} masks of {self.size[1]} x '
            f'{self.size[0]} pixels)'
        )
