"""MATLAB files of MCG and COB.

K: number of proposals, S: number of superpixels, (H, W): size of the image.
"""

from typing import Any, BinaryIO, Dict, Optional, Tuple

import numpy as np

from mmwsl.structures import PackedMasks

# Names under which stacks (H, W, K) are found.
_STACKS = ('proposals', 'maskmat', 'masks')


def _scipy_io() -> Any:
    try:
        import scipy.io
    except ImportError as error:
        raise ImportError(
            'MATLAB files need scipy: pip install scipy, or pip install '
            '"mmwsl[proposals]"'
        ) from error
    return scipy.io


def read_mat(path: str) -> PackedMasks:
    """Read the proposals of one image.

    MCG writes ``superpixels`` (H, W), numbers from 1, and ``labels``, a cell
    of the numbers of each proposal, with or without ``scores`` (K,); COB
    writes the same. Stacks (H, W, K) called ``proposals``, ``maskmat`` or
    ``masks`` are read as well.

    Args:
        path (str): A file of MATLAB 5 to 7.

    Returns:
        PackedMasks: In the order of the file.

    Raises:
        ImportError: If scipy is not installed.
        ValueError: If the file is broken, of MATLAB 7.3, or holds neither.
    """
    scipy_io = _scipy_io()
    try:
        content: Dict[str, Any] = scipy_io.loadmat(path)
    except NotImplementedError as error:
        raise ValueError(
            f'{path}: is a file of MATLAB 7.3; save it with the option -v7'
        ) from error
    # A broken file raises whatever the parser stumbles over.
    except Exception as error:
        raise ValueError(f'{path}: is no readable MATLAB file') from error
    scores = content.get('scores')
    if scores is not None:
        scores = np.asarray(scores, dtype=np.float32).reshape(-1)
    for name in _STACKS:
        if name in content and np.ndim(content[name]) == 3:
            masks = np.moveaxis(content[name], 2, 0)
            return PackedMasks.from_masks(masks, _fitting(scores, len(masks)))
    if 'superpixels' not in content or 'labels' not in content:
        raise ValueError(
            f'{path}: holds neither superpixels and labels nor one of '
            f'{", ".join(_STACKS)}'
        )
    superpixels = np.asarray(content['superpixels']).astype(np.int64)
    members = _members(content['labels'], int(superpixels.max()), path)
    return PackedMasks.from_masks(
        members[:, superpixels], _fitting(scores, len(members))
    )


def _fitting(scores: Optional[np.ndarray], count: int) -> Optional[np.ndarray]:
    """Scores of something else, such as of all scales, are left out."""
    return scores if scores is not None and len(scores) == count else None


def _members(labels: Any, largest: int, path: str) -> np.ndarray:
    """Return which superpixels are in which proposal, bool (K, S + 1)."""
    labels = np.asarray(labels)
    if labels.dtype == object:
        lists = [np.asarray(item).reshape(-1) for item in labels.reshape(-1)]
    else:
        # A matrix with one proposal a row, filled up with zeros.
        lists = [row[row != 0] for row in np.atleast_2d(labels)]
    rows = np.repeat(np.arange(len(lists)), [len(item) for item in lists])
    numbers = np.concatenate([*lists, np.zeros(0)]).astype(np.int64)
    if numbers.size and (numbers.min() < 0 or numbers.max() > largest):
        raise ValueError(
            f'{path}: labels name superpixels that are not in 0 to {largest}'
        )
    members = np.zeros((len(lists), largest + 1), dtype=bool)
    members[rows, numbers] = True
    return members


def write_mat(file: BinaryIO, proposals: PackedMasks) -> None:
    """Write proposals as MCG does.

    Args:
        file (BinaryIO): What is written to.
        proposals (PackedMasks): K masks; pixels that are in the same
            proposals become one superpixel.

    Raises:
        ImportError: If scipy is not installed.
    """
    superpixels, members = split_pixels(proposals)
    labels = np.empty((len(proposals), 1), dtype=object)
    for number, row in enumerate(members):
        labels[number, 0] = np.flatnonzero(row).astype(np.float64)[None] + 1
    content = dict(superpixels=superpixels.astype(np.uint32), labels=labels)
    content['superpixels'] += 1
    if proposals.scores is not None:
        content['scores'] = proposals.scores[:, None].astype(np.float64)
    _scipy_io().savemat(file, content, do_compression=True)


def split_pixels(proposals: PackedMasks) -> Tuple[np.ndarray, np.ndarray]:
    """Split an image into the pixels that are in the same proposals.

    Args:
        proposals (PackedMasks): K masks.

    Returns:
        tuple[np.ndarray]: The superpixel of each pixel, int64 (H, W), and
        which superpixels are in which proposal, bool (K, S).
    """
    if not len(proposals):
        return np.zeros(proposals.size, dtype=np.int64), np.zeros((0, 1), bool)
    columns = np.packbits(
        proposals.unpack().reshape(len(proposals), -1), axis=0
    )
    # One opaque value a pixel sorts much faster than rows of a matrix do.
    columns = np.ascontiguousarray(columns.T)
    values = columns.view(np.dtype((np.void, columns.shape[1]))).reshape(-1)
    _, first, inverse = np.unique(
        values, return_index=True, return_inverse=True
    )
    bits = columns[first].T
    members = np.unpackbits(bits, axis=0, count=len(proposals)).astype(bool)
    return inverse.reshape(proposals.size), members
