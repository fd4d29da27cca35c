"""What the transforms share: how they are printed, and what errors name."""

import inspect
from typing import Any, Dict, Sequence

from mmcv.transforms import BaseTransform

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
    height, width = results['ori_shape'][:2]
    if tuple(shape) != (height, width):
        raise ValueError(
            f'{place}: {what} {shape[1]} x {shape[0]} pixels, but its image '
            f'{image_name(results)} is {width} x {height}'
        )
