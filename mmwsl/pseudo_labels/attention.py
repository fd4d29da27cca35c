"""Attention accumulated over the epochs of a training.

Online accumulated class activation maps (https://arxiv.org/abs/2103.14581,
after https://arxiv.org/abs/1909.08212).

Shape shorthand: I images, P maps of all images, (h, w) a map.
"""

import math
import os
from typing import Any, Dict, Mapping, Optional

import numpy as np
import torch
from torch import Tensor

from mmwsl.pseudo_labels.labels import Array, check_range
from mmwsl.utils.files import naming, read_arrays, write_arrays

# Image id -> class index -> float32 (h, w).
Attention = Dict[str, Dict[int, np.ndarray]]
_KEYS = ('ids', 'counts', 'labels', 'shapes', 'values')


def attention_maps(maps: Tensor) -> Tensor:
    """Rectify class maps and divide each by its maximum.

    Args:
        maps: Logits (P, h, w).

    Returns:
        Float (P, h, w) in [0, 1]; a map without positive value is 0.
    """
    maps = maps.clamp(min=0)
    if maps.dtype in (torch.float16, torch.bfloat16):
        maps = maps.float()
    if maps.numel() == 0:
        return maps
    peak = maps.amax(dim=(1, 2), keepdim=True)
    return maps / torch.where(peak > 0, peak, torch.ones_like(peak))


def accumulate_attention(
    accumulated: Optional[Array],
    map: Array,
    score: float,
    last_epoch: bool = False,
    min_prob: float = 0.1,
) -> Optional[Array]:
    """Fuse the map of one image and present class into what was kept.

    The rectified map, divided by its maximum, is fused by the maximum if the
    classifier believes in the class. What is still missing in the last epoch
    is taken from there whatever the score is.

    Args:
        accumulated: Float (h, w) in [0, 1] from earlier epochs, or None.
        map: Class map (h, w), logits.
        score: Class score, a logit.
        last_epoch: Whether this is the last epoch of the training.
        min_prob: Probability from which a map is fused.

    Returns:
        Float (h, w) in [0, 1] of the kind that ``map`` has, or None while
        nothing is kept.

    Raises:
        ValueError: If the map is not (h, w), not as large as what is kept or
            not finite, if what is kept is not in [0, 1], or if the score is
            NaN.
    """
    if map.ndim != 2:
        raise ValueError(f'map must have shape (h, w), got {map.shape}')
    if accumulated is not None:
        if accumulated.shape != map.shape:
            raise ValueError(
                f'the accumulated map has shape {tuple(accumulated.shape)}, '
                f'but the new one {tuple(map.shape)}'
            )
        kept = torch.as_tensor(accumulated)
        if not ((kept >= 0) & (kept <= 1)).all():
            raise ValueError('the accumulated map is not in [0, 1]')
    values = torch.as_tensor(map)
    if not values.isfinite().all():
        raise ValueError('map holds values that are not finite')
    if math.isnan(score):
        raise ValueError('score is NaN')
    # The logistic function without overflow.
    probability = 0.5 * (1 + math.tanh(float(score) / 2))
    believed = probability >= min_prob
    if not believed and not (last_epoch and accumulated is None):
        return accumulated
    new = attention_maps(values[None])[0]
    if accumulated is not None:
        new = torch.maximum(new, kept.to(new))
    return new if isinstance(map, Tensor) else new.numpy()


def pack_attention(attention: Attention) -> Dict[str, np.ndarray]:
    """Turn attention into a few arrays.

    Returns:
        ``ids`` (I,), ``counts`` (I,) maps an image, ``labels`` (P,),
        ``shapes`` (P, 2), and ``values`` with all pixels one after another.
    """
    ids = sorted(attention)
    entries = [item for i in ids for item in sorted(attention[i].items())]
    maps = [np.asarray(plane, np.float32) for _, plane in entries]
    return dict(
        ids=np.array(ids, dtype=np.str_),
        counts=np.array([len(attention[i]) for i in ids], np.int64),
        labels=np.array([label for label, _ in entries], np.int64),
        shapes=np.array([m.shape for m in maps], np.int64).reshape(-1, 2),
        values=np.concatenate(
            [np.zeros(0, np.float32), *(m.ravel() for m in maps)]
        ),
    )


def unpack_attention(
    arrays: Mapping[str, Any], name: str = 'attention'
) -> Attention:
    """Invert :func:`pack_attention`; the maps share its ``values``.

    Args:
        arrays: What it returns.
        name: What to call them in an error.

    Raises:
        ValueError: If the arrays do not fit together, or values are not in
            [0, 1].
    """
    ids, counts, labels, shapes, values = (
        np.asarray(arrays[key]) for key in _KEYS
    )
    whole = all(x.dtype.kind in 'iu' for x in (counts, labels, shapes))
    images, maps = len(ids) if ids.ndim == 1 else -1, len(labels)
    if not (
        whole
        and (ids.dtype.kind == 'U' or not images)
        and counts.shape == (images,)
        and labels.shape == (maps,)
        and shapes.shape == (maps, 2)
        and values.ndim == 1
        and values.dtype.kind == 'f'
        and (counts >= 0).all()
        and counts.sum() == maps
        and (shapes >= 0).all()
        and sum(h * w for h, w in shapes.tolist()) == len(values)
    ):
        raise ValueError(f'{name}: the arrays do not fit together')
    images_of_maps = np.repeat(np.arange(images), counts).tolist()
    pairs = set(zip(images_of_maps, labels.tolist()))
    if len(set(ids.tolist())) < images or len(pairs) < maps:
        raise ValueError(f'{name}: an image or a class of it comes twice')
    if maps and labels.min() < 0:
        raise ValueError(f'{name}: {labels.min()} is no class index')
    check_range(values, name, 0, 1)
    ends = np.cumsum(shapes.prod(axis=1))
    planes = [
        values[end - height * width : end].reshape(height, width)
        for end, (height, width) in zip(ends, shapes.tolist())
    ]
    entries = zip(labels.tolist(), planes)
    return {
        str(img_id): dict(next(entries) for _ in range(count))
        for img_id, count in zip(ids, counts.tolist())
    }


def write_attention(path: str, attention: Attention) -> None:
    """Write attention as ``.npz``; the file appears whole or not at all.

    Args:
        path: File to write; its folder is created.
        attention: Maps in [0, 1].
    """
    arrays: Dict[str, Any] = dict(pack_attention(attention))
    unpack_attention(arrays, f'{path}: attention')
    write_arrays(path, **arrays)


def read_attention(path: str) -> Attention:
    """Read what :func:`write_attention` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else or broken.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'{path}: the file of accumulated attention does not exist; '
            'AttentionAccumulationHook writes it at the end of a training'
        )
    with naming(path):
        file = read_arrays(path)
        arrays = {key: file[key] for key in _KEYS if key in file}
        if len(arrays) < len(_KEYS):
            raise ValueError(
                f'expected the arrays {sorted(_KEYS)}, found {sorted(arrays)}'
            )
        return unpack_attention(arrays, f'{path}: attention')
