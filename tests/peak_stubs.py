"""What the heads of peaks are tested with: instances without a search."""

from typing import Any, Dict, List

import numpy as np
from torch import Tensor

from mmwsl.registry import TASK_UTILS


@TASK_UTILS.register_module(force=True)
class HalfMaximum:
    """Every peak response map, where it reaches half of its maximum."""

    def __init__(self) -> None:
        self.calls: List[Dict[str, Any]] = []

    def __call__(
        self,
        prms: Tensor,
        classes: Tensor,
        class_maps: Tensor,
        proposals: Any = None,
        density: Any = None,
    ) -> Dict[str, np.ndarray]:
        self.calls.append(
            dict(class_maps=class_maps, proposals=proposals, density=density)
        )
        prms, classes = prms.numpy(), classes.numpy()
        top = prms.max(axis=(1, 2), initial=0)[:, None, None]
        # The worst first, to see whether the index is followed.
        index = np.arange(len(prms))[::-1]
        return dict(
            scores=np.linspace(1, 0.5, len(prms)),
            labels=classes[index],
            masks=((prms >= top / 2) & (top > 0))[index],
            prms=prms[index],
            peak_index=index,
        )


def stub_cfg() -> Dict[str, Dict]:
    """Settings of a head that need no other part of the package."""
    return dict(
        retrieval=dict(type='HalfMaximum'), growth=dict(type='HalfMaximum')
    )
