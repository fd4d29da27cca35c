"""Many binary masks of one image, a pixel in a bit."""

from typing import (
    Any,
    Callable,
    Iterable,
    Iterator,
    List,
    Optional,
    Tuple,
    Union,
    overload,
)

import numpy as np

from mmwsl.structures.mask_rows import (
    WORD,
    as_bytes,
    num_words,
    pack_rows,
    unpack_rows,
)

# Masks that are packed or unpacked at once, so that they stay in the cache.
_CHUNK = 32
# Number of set bits of every byte; numpy has its own only from 2.0 on.
_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(
    axis=1, dtype=np.uint8
)


class PackedMasks:
    """K binary masks of H x W pixels, 64 pixels of a row in a word.

    Two hundred proposals of a 500 x 375 image take 4.8 MB, an eighth of what
    booleans take, which is what makes them fit through data loader workers.
    The words are ready for work on 64 pixels at once, see ``mask_rows.py``.

    In files masks have fewer bits: pixels row by row without a gap, the first
    one in the highest bit, as ``np.packbits`` packs flattened masks.

    Args:
        bits (np.ndarray): uint8 (K, ceil(H * W / 8)), as in files. Bits
            behind the last pixel do not matter.
        size (tuple[int]): Height H and width W.
        scores (np.ndarray, optional): (K,), kept as float32.

    Raises:
        TypeError: If ``bits`` is not uint8.
        ValueError: If ``bits`` or ``scores`` have another shape.
    """

    def __init__(
        self,
        bits: np.ndarray,
        size: Tuple[int, int],
        scores: Optional[np.ndarray] = None,
    ) -> None:
        height, width = int(size[0]), int(size[1])
        num_bytes = (height * width + 7) // 8
        if bits.dtype != np.uint8:
            raise TypeError(f'packed masks must be uint8, got {bits.dtype}')
        if bits.ndim != 2 or bits.shape[1] != num_bytes:
            raise ValueError(
                f'packed masks of {width} x {height} pixels must have the '
                f'shape (K, {num_bytes}), got {bits.shape}'
            )

        def unpacked(part: slice) -> np.ndarray:
            flat = np.unpackbits(bits[part], axis=1, count=height * width)
            return flat.view(bool).reshape(-1, height, width)

        self._keep(
            _by_rows(unpacked, (len(bits), height, width)), width, scores
        )

    def _keep(
        self, rows: np.ndarray, width: int, scores: Optional[np.ndarray]
    ) -> None:
        if scores is not None:
            scores = np.asarray(scores, dtype=np.float32)
            if scores.shape != (len(rows),):
                raise ValueError(
                    f'{len(rows)} masks need scores of shape ({len(rows)},), '
                    f'got {scores.shape}'
                )
        self.rows = rows
        self.size = (rows.shape[1], width)
        self.scores = scores

    @classmethod
    def _from_rows(
        cls, rows: np.ndarray, width: int, scores: Optional[np.ndarray]
    ) -> 'PackedMasks':
        packed = cls.__new__(cls)
        packed._keep(rows, width, scores)
        return packed

    @classmethod
    def from_masks(
        cls, masks: np.ndarray, scores: Optional[np.ndarray] = None
    ) -> 'PackedMasks':
        """Pack masks.

        Args:
            masks (np.ndarray): (K, H, W), bool or integers, where what is
                not 0 is inside.
            scores (np.ndarray, optional): (K,).

        Returns:
            PackedMasks: The masks in the same order.

        Raises:
            ValueError: If ``masks`` is not a stack of masks.
        """
        masks = np.asarray(masks)
        if masks.ndim != 3:
            raise ValueError(
                f'masks must have the shape (K, H, W), got {masks.shape}'
            )
        rows = _by_rows(lambda part: masks[part] != 0, masks.shape)
        return cls._from_rows(rows, masks.shape[2], scores)

    @classmethod
    def from_each(
        cls, masks: Iterable[np.ndarray], scores: Optional[np.ndarray] = None
    ) -> 'PackedMasks':
        """Pack masks one by one: thousands of booleans fill the memory.

        Args:
            masks (Iterable[np.ndarray]): One at least, bool (H, W) each.
            scores (np.ndarray, optional): (K,).

        Returns:
            PackedMasks: The masks in the same order.

        Raises:
            ValueError: If masks have different sizes.
        """
        rows, sizes = [], set()
        for mask in masks:
            sizes.add(mask.shape)
            rows.append(pack_rows(mask[None]))
        if len(sizes) > 1:
            raise ValueError('holds masks of different sizes')
        return cls._from_rows(np.concatenate(rows), mask.shape[1], scores)

    @property
    def bits(self) -> np.ndarray:
        """The masks as in files, uint8 (K, ceil(H * W / 8)), a new array."""
        height, width = self.size
        bits = np.empty((len(self), (height * width + 7) // 8), np.uint8)
        for start in range(0, len(self), _CHUNK):
            masks = self.unpack(start, start + _CHUNK)
            flat = masks.reshape(len(masks), height * width)
            bits[start : start + _CHUNK] = np.packbits(flat, axis=1)
        return bits

    @property
    def shape(self) -> Tuple[int, int, int]:
        """Number of masks K, height H and width W."""
        return (len(self), *self.size)

    def __len__(self) -> int:
        """Return the number of masks K."""
        return len(self.rows)

    def unpack(self, start: int = 0, stop: Optional[int] = None) -> np.ndarray:
        """Return masks as booleans.

        Args:
            start (int): First mask.
            stop (int, optional): The one behind the last mask; all by
                default. Both count as in a slice.

        Returns:
            np.ndarray: bool (stop - start, H, W), a new array.
        """
        return unpack_rows(self.rows[start:stop], self.size[1])

    def areas(self) -> np.ndarray:
        """Return the number of pixels of each mask, int64 (K,)."""
        areas = np.empty(len(self), np.int64)
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            counts = _BITS[as_bytes(self.rows[part])]
            areas[part] = counts.sum(axis=(1, 2), dtype=np.int64)
        return areas

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(
        self, index: Union[slice, np.ndarray, List[int]]
    ) -> 'PackedMasks': ...

    def __getitem__(self, index: Any) -> Union['PackedMasks', np.ndarray]:
        """Return one mask, bool (H, W), for a number, else fewer masks.

        Slices, index arrays and boolean arrays of length K choose masks and
        their scores as in numpy.
        """
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f'mask {index} of {len(self)} masks')
            start = int(index) % len(self)
            return self.unpack(start, start + 1)[0]
        return self._from_rows(
            self.rows[index],
            self.size[1],
            None if self.scores is None else self.scores[index],
        )

    def __iter__(self) -> Iterator[np.ndarray]:
        """Unpack one mask after the other, bool (H, W)."""
        for index in range(len(self)):
            yield self.unpack(index, index + 1)[0]

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}({len(self)} masks of {self.size[1]} x '
            f'{self.size[0]} pixels)'
        )


def _by_rows(
    masks: Callable[[slice], np.ndarray], shape: Tuple[int, ...]
) -> np.ndarray:
    """Pack masks (K, H, W), of which a function returns some."""
    count, height, width = shape
    rows = np.empty((count, height, num_words(width)), dtype=WORD)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        rows[part] = pack_rows(masks(part))
    return rows
