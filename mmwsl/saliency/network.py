"""Saliency by a network in an ONNX file."""

import hashlib
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Union

import cv2
import numpy as np

# Side of the input, mean and deviation of RGB in [0, 1], and whether an image
# is divided by its own maximum, as the families' own programs have it.
FAMILIES: Dict[str, Dict[str, Any]] = {
    'u2net': dict(
        size=320,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        stretch=True,
    ),
    'isnet': dict(size=1024, mean=(0.5,) * 3, std=(1.0,) * 3, stretch=False),
}


class NetworkSaliency:
    """Saliency maps by a network such as U2Net or ISNet.

    The image is resized to a square, the first output is scaled to [0, 1] by
    its least and largest value, as the families' own programs do, and resized
    back. Needs onnxruntime.

    Args:
        path: The ONNX file: one input (1, 3, S, S), RGB.
        family: A key of ``FAMILIES``; by default the one whose size the
            file's input has.
        size: S, instead of the family's.
        mean: Of RGB in [0, 1], instead of the family's.
        std: Deviation of RGB, instead of the family's.

    Attributes:
        settings: What the maps are made with, the file's digest included.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If onnxruntime is missing or cannot read the file, or if
            its family is not known.
    """

    def __init__(
        self,
        path: Union[str, Path],
        family: Optional[str] = None,
        size: Optional[int] = None,
        mean: Optional[Sequence[float]] = None,
        std: Optional[Sequence[float]] = None,
    ) -> None:
        self.path = Path(path)
        self._session: Any = None
        shape = self._open().get_inputs()[0].shape
        # Sessions do not go through to other processes.
        self._session = None
        sides = [side for side in shape[2:] if isinstance(side, int)]
        if len(shape) != 4 or shape[1] not in (3, 'channels'):
            raise ValueError(
                f'{path}: its input has the shape {shape}, not (1, 3, S, S).'
            )
        if family is None:
            known = {f['size']: name for name, f in FAMILIES.items()}
            family = known.get(sides[0]) if sides else None
        if family not in FAMILIES:
            raise ValueError(
                f'{path}: whose network is it? Say family, one of '
                f'{", ".join(FAMILIES)} (--family).'
            )
        chosen = FAMILIES[family]
        self.size = size or (sides[0] if sides else chosen['size'])
        self.mean = _values(chosen['mean'] if mean is None else mean)
        self.std = _values(chosen['std'] if std is None else std)
        self.stretch = chosen['stretch']
        if self.mean.shape != (3,) or self.std.shape != (3,):
            raise ValueError('mean and std must be three numbers each.')
        if not (self.std > 0).all():
            raise ValueError(f'std must be above 0, got {self.std.tolist()}.')
        self.settings: Dict[str, Any] = dict(
            network=hashlib.sha256(self.path.read_bytes()).hexdigest()[:16],
            size=self.size,
            mean=[round(float(x), 6) for x in self.mean],
            std=[round(float(x), 6) for x in self.std],
            stretch=self.stretch,
        )

    def __call__(self, img: np.ndarray) -> np.ndarray:
        """Return the saliency of an image.

        Args:
            img: uint8 (H, W, 3), BGR.

        Returns:
            float32 (H, W) in [0, 1].

        Raises:
            ValueError: If the output is not a map of finite values.
        """
        if self._session is None:
            self._session = self._open()
        height, width = img.shape[:2]
        side = (self.size, self.size)
        resized = cv2.resize(img, side, interpolation=cv2.INTER_AREA)
        pixels = resized[..., ::-1].astype(np.float32)
        pixels /= max(float(pixels.max()), 1.0) if self.stretch else 255.0
        pixels = ((pixels - self.mean) / self.std).transpose(2, 0, 1)[None]
        name = self._session.get_inputs()[0].name
        try:
            found = self._session.run(None, {name: pixels})[0]
        except Exception as error:
            why = str(error).split('\n')[0]
            raise ValueError(f'{self.path}: {why}') from error
        found = np.squeeze(np.asarray(found, dtype=np.float32))
        if found.ndim != 2 or not np.isfinite(found).all():
            raise ValueError(
                f'{self.path}: the first output is no finite map, but of '
                f'shape {found.shape}.'
            )
        low, high = float(found.min()), float(found.max())
        found = (found - low) / (high - low) if high > low else 0 * found
        found = cv2.resize(found, (width, height))
        return np.clip(found, 0, 1)

    def _open(self) -> Any:
        try:
            import onnxruntime
        except ImportError as error:
            raise ValueError(
                'onnxruntime is not installed: pip install mmwsl[onnx].'
            ) from error
        if not self.path.is_file():
            raise FileNotFoundError(f'{self.path}: there is no such file.')
        try:
            return onnxruntime.InferenceSession(
                str(self.path), providers=onnxruntime.get_available_providers()
            )
        # onnxruntime has exceptions of its own for every kind of fault.
        except Exception as error:
            why = str(error).split('\n')[0]
            raise ValueError(
                f'{self.path}: onnxruntime cannot read it: {why}'
            ) from error


def _values(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)
