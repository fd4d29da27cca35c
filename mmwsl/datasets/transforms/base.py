"""What the transforms share: how they are printed, and what errors name."""

import inspect
from typing import Any, Dict, Sequence

from mmcv.transforms import BaseTransform

from mmwsl.utils.arrays import check_same_size

Results = Dict[str, Any]


class Transform(BaseTransform):
    """A transform that prints the arguments that it keeps as attributes."""

    def __repr__(self) -> str:
        names = inspect.signature(type(self)).parameters
        kept = vars(self)
        shown = (f'{name}={kept[name]!r}' for name in names if name in kept)
        return f'{type(self).__name__}({", ".join(shown)})'


def image_name(results: Results) -> str:
    """Return what errors call an image: its file or else its id."""
    return str(results.get('img_path') or results.get('img_id'))


def check_size(
    results: Results, shape: Sequence[int], place: str, what: str
) -> None:
    """Refuse what has another height and width than its image.

    The error names ``place``, and ``what`` it is with a verb, as 'mask is'.
    """
    other = f'its image {image_name(results)} is'
    check_same_size(f'{place}: {what}', shape, other, results['ori_shape'])
