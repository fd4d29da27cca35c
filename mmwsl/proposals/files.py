"""Reading and writing the proposals of images, one file an image.

K: number of proposals, (H, W): size of the image.
"""

import io
import json
import os
from typing import Any, BinaryIO, Callable, Dict, Optional

import numpy as np

from mmwsl.proposals.matlab import read_mat, write_mat
from mmwsl.structures import PackedMasks
from mmwsl.utils.files import naming, read_json, write_whole
from mmwsl.utils.masks import (
    decode_mask,
    encode_mask,
    whole_numbers,
)

# Names under which unpacked stacks are found in .npz files.
_STACKS = ('masks', 'proposals', 'arr_0')


def read_proposals(path: str) -> PackedMasks:
    """Read the proposals of one image, best first.

    - ``.npz``: packed by :func:`write_proposals`, or a stack (K, H, W) called
      ``masks``, ``proposals`` or nothing, with or without ``scores`` (K,);
    - ``.npy``: a stack (K, H, W), bool or integers;
    - ``.json``: a list of dicts with ``segmentation``, COCO's run lengths,
      and with or without ``score``, or of nothing but the run lengths; or a
      dict with such a list as ``proposals`` or ``annotations``;
    - ``.mat``: MCG or COB, see :func:`mmwsl.proposals.matlab.read_mat`.

    Proposals with scores are sorted by them, those of one score and those
    without keep their order.

    Args:
        path (str): The file.

    Returns:
        PackedMasks: At least one.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If a ``.mat`` file is read without scipy.
        ValueError: If the file is broken, empty or holds no proposal.
    """
    reader = _known(_READERS, path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: proposal file does not exist')
    if os.path.getsize(path) == 0:
        raise ValueError(f'{path}: proposal file is empty')
    with naming(path):
        return best_first(reader(path), path)


def best_first(proposals: PackedMasks, path: str) -> PackedMasks:
    """Sort proposals by their scores, if they have any.

    Args:
        proposals (PackedMasks): K masks.
        path (str): Where they come from, for the errors.

    Raises:
        ValueError: If there are none, or a score is not a number.
    """
    if not len(proposals):
        raise ValueError(f'{path}: proposal file holds no proposal')
    if proposals.scores is None:
        return proposals
    if np.isnan(proposals.scores).any():
        raise ValueError(f'{path}: a score is not a number')
    return proposals[np.argsort(-proposals.scores, kind='stable')]


def write_proposals(
    path: str,
    proposals: PackedMasks,
    parameters: Optional[Dict[str, Any]] = None,
) -> None:
    """Write the proposals of one image, whole or not at all.

    Args:
        path (str): A ``.npz``, ``.npy``, ``.json`` or ``.mat`` file; missing
            folders are made. ``.npy`` keeps no scores.
        proposals (PackedMasks): K masks.
        parameters (dict, optional): How they were made, kept in ``.npz``
            files only.

    Raises:
        ImportError: If a ``.mat`` file is written without scipy.
        ValueError: If the suffix is unknown.
    """
    writer = _known(_WRITERS, path)
    content = io.BytesIO()
    if parameters is None:
        writer(content, proposals)
    else:
        _write_npz(content, proposals, parameters)
    write_whole(path, content.getvalue())


def read_parameters(path: str) -> Optional[Dict[str, Any]]:
    """Read how the proposals of a ``.npz`` file were made.

    Returns:
        dict | None: What :func:`write_proposals` was given; None for files
        without parameters and for broken ones.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            if 'parameters' not in content:
                return None
            found: Dict[str, Any] = json.loads(str(content['parameters']))
            return found
    # A broken file raises whatever the parser stumbles over.
    except Exception:
        return None


def list_of(proposals: PackedMasks) -> Any:
    """Return proposals as COCO lists them, without ``image_id``."""
    found = [dict(segmentation=encode_mask(mask)) for mask in proposals]
    if proposals.scores is not None:
        for item, score in zip(found, proposals.scores.tolist()):
            item['score'] = score
    return found


def from_list(items: Any, path: str) -> PackedMasks:
    """Read a list of dicts of ``segmentation`` and maybe ``score``.

    Args:
        items (list[dict]): K proposals, each maybe nothing but its run
            lengths.
        path (str): Where they come from, for the errors.

    Raises:
        ValueError: If it is no such list, if there are none, or if masks
            have different sizes.
    """
    if isinstance(items, list):
        items = [
            dict(segmentation=item)
            if isinstance(item, dict) and {'size', 'counts'} <= set(item)
            else item
            for item in items
        ]
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and 'segmentation' in item for item in items
    ):
        raise ValueError(f'{path}: is no list of dicts with segmentation')
    if not items:
        raise ValueError(f'{path}: proposal file holds no proposal')
    scores = [item.get('score') for item in items]
    return PackedMasks.from_each(
        (decode_mask(item['segmentation'], path) for item in items),
        None if None in scores else np.array(scores, dtype=np.float32),
    )


def _read_json(path: str) -> PackedMasks:
    content = read_json(path, 'proposal file')
    if isinstance(content, dict):
        content = content.get('proposals', content.get('annotations'))
    return from_list(content, path)


def _read_npz(path: str) -> PackedMasks:
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
    # A broken file raises whatever the parsers of zip and numpy stumble over.
    except Exception as error:
        raise ValueError(f'{path}: is no readable .npz file') from error
    scores = content.get('scores')
    if 'bits' in content and 'size' in content:
        size = whole_numbers(content['size'])
        if size is None or size.shape != (2,):
            raise ValueError(f'{path}: size is not height and width')
        return PackedMasks(content['bits'], tuple(size), scores)
    for name in _STACKS:
        if name in content:
            return _from_stack(content[name], path, scores)
    raise ValueError(
        f'{path}: holds none of bits and size, {", ".join(_STACKS)}'
    )


def _read_npy(path: str) -> PackedMasks:
    try:
        # Unlike np.load it takes neither pickles nor archives.
        with open(path, 'rb') as file:
            masks = np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:
        raise ValueError(f'{path}: is no readable .npy file') from error
    return _from_stack(masks, path, None)


def _from_stack(
    masks: np.ndarray, path: str, scores: Optional[np.ndarray]
) -> PackedMasks:
    if masks.dtype.kind not in 'bui':
        raise ValueError(
            f'{path}: masks must be bool or integers, got {masks.dtype}'
        )
    return PackedMasks.from_masks(masks, scores)


def _write_npz(
    file: BinaryIO,
    proposals: PackedMasks,
    parameters: Optional[Dict[str, Any]] = None,
) -> None:
    content: Dict[str, Any] = dict(
        bits=proposals.bits, size=np.array(proposals.size)
    )
    if proposals.scores is not None:
        content['scores'] = proposals.scores
    if parameters is not None:
        content['parameters'] = np.array(json.dumps(parameters))
    # Masks are mostly whole areas: a tenth of the space remains.
    np.savez_compressed(file, **content)


def _write_npy(file: BinaryIO, proposals: PackedMasks) -> None:
    np.save(file, proposals.unpack())


def _write_json(file: BinaryIO, proposals: PackedMasks) -> None:
    file.write(json.dumps(list_of(proposals)).encode())


_READERS: Dict[str, Callable[[str], PackedMasks]] = {
    '.npz': _read_npz,
    '.npy': _read_npy,
    '.json': _read_json,
    '.mat': read_mat,
}
_WRITERS: Dict[str, Callable[[BinaryIO, PackedMasks], None]] = {
    '.npz': _write_npz,
    '.npy': _write_npy,
    '.json': _write_json,
    '.mat': write_mat,
}
PROPOSAL_SUFFIXES = tuple(_READERS)


def _known(functions: Dict[str, Any], path: str) -> Any:
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in functions:
        raise ValueError(f'{path}: proposals are {", ".join(functions)} files')
    return functions[suffix]
