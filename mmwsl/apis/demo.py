"""A picture under settings that change: the state of a demo.

The network sees a picture once. What settings decide is done again by the
methods of the head that prediction uses, so that all that is shown equals
what :func:`~mmwsl.apis.inference.inference_model` returns at these settings.
"""

import shutil
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import (
    Any,
    ContextManager,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np
import torch
from torch import Tensor

from mmwsl.apis.inference import (
    WSLInferencer,
    as_dict,
    data_info,
    is_segmentor,
    label_indices,
    num_classes,
)
from mmwsl.models.heads import DensityHead, PRMHead
from mmwsl.utils.arrays import array, resize
from mmwsl.utils.tables import class_name
from mmwsl.visualization.drawing import (
    Color,
    Tile,
    class_colors,
    display_size,
    draw_peaks,
)
from mmwsl.visualization.samples import (
    Canvas,
    class_map_tiles,
    density_tiles,
    instance_tiles,
    label_map_tiles,
    response_tiles,
)

# Of pictures as they are shown, in pixels.
_SHORTEST, _LONGEST = 240, 640
# Class, column and row of a peak.
Place = Tuple[int, int, int]


class Slider(NamedTuple):
    """A setting from 0 to ``high``: attribute ``name`` of ``owner``.

    Where users leave it at ``start``, it is ``own``, which may be a number
    for each class.
    """

    label: str
    owner: Any
    name: str
    own: Any
    high: float = 1.0

    @property
    def start(self) -> float:
        """The model's own number, or the mean of those."""
        return round(float(np.mean(self.own)), 2)


@dataclass
class Picture:
    """A picture that the network has seen.

    Attributes:
        path (str): Its file.
        image (np.ndarray): (h, w, 3) uint8, RGB, at display size.
        sample (Any): Its sample without predictions, but a segmentor's with.
        inputs (Tensor, optional): (1, 3, h', w'), what the network saw.
        views (list[Tensor]): Its maps.
        found (Any): What was followed back to the picture, for ``key``.
        instances (Any): Those of the latest ``peaks``.
    """

    path: str
    image: np.ndarray
    sample: Any
    inputs: Optional[Tensor] = None
    views: Sequence[Tensor] = ()
    key: Any = None
    found: Any = None
    peaks: Any = None
    instances: Any = None


class Demo:
    """Shows what a model makes of pictures while settings change.

    Args:
        inferencer: With the model.
        max_peaks: How many peaks are followed back to a picture: those that
            the model's own settings choose, then the likeliest of all that
            sliders may ask for. Others stay peaks without instances.

    Attributes:
        layers (list[str]): What :meth:`draw` can show of this model.
        sliders (dict[str, Slider]): What can be set, of 'background',
            'score' and 'ratio'.

    Example:
        >>> demo = Demo(WSLInferencer(CONFIG, CHECKPOINT))
        >>> picture = demo.look('cat.jpg')
        >>> sample = demo.predict(picture, ['cat'], background=0.2)
        >>> tiles = demo.draw(picture, sample, ['label map'])
    """

    def __init__(self, inferencer: WSLInferencer, max_peaks: int = 16) -> None:
        self.inferencer = inferencer
        self.model = inferencer.model.eval()
        self.max_peaks = max_peaks
        segments = is_segmentor(self.model)
        self.head: Any = None if segments else self.model.head
        number = num_classes(self.model) - segments
        self.classes = inferencer.classes or [
            class_name((), label) for label in range(number)
        ]
        meta = inferencer.visualizer.dataset_meta or {}
        self._palette = meta.get('palette')
        self.layers = ['label map']
        if self.head is not None:
            self.layers.append('class maps')
        if isinstance(self.head, PRMHead):
            self.layers.append('peaks')
            if self.head.instances:
                self.layers += ['instances', 'peak responses']
        if isinstance(self.head, DensityHead):
            self.layers.append('density')
        self.sliders = {} if segments else _sliders(self.head)
        # Settings are those of the head for a while.
        self._lock = threading.Lock()

    def look(self, path: str) -> Picture:
        """Let the network see a picture.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no picture, or too large.
        """
        pixels = self.inferencer.load_image(path)
        height, width = pixels.shape[:2]
        size = display_size(height, width, _SHORTEST, _LONGEST)
        image = np.ascontiguousarray(resize(pixels, size)[..., ::-1])
        with self._lock, torch.no_grad():
            if self.head is None:
                (done,) = self.inferencer.predict([pixels])
                if done.error is not None:
                    raise done.error
                return Picture(path, image, done.sample)
            info = data_info(pixels, 0, None, self.head.num_classes)
            packed = [self.inferencer.pipeline(info)]
            batch = self.inferencer.collate_fn(packed)
            data = self.model.data_preprocessor(batch, False)
            inputs, (sample,) = data['inputs'], data['data_samples']
            shape = tuple(inputs.shape[-2:])
            sample.set_metainfo(dict(batch_input_shape=shape))
            views = self.model.views(inputs)
        return Picture(path, image, sample, inputs, views)

    def predict(
        self,
        picture: Picture,
        labels: Sequence[Any] = (),
        full: bool = False,
        **values: float,
    ) -> Any:
        """Predict at the settings; only new labels may need the network.

        Args:
            picture: From :meth:`look`.
            labels: Names or indices of the classes whose maps, peaks and
                instances are wanted; by default those that are predicted.
            full: Whether maps have the size of the file, if that is larger
                than what is shown.
            **values: Of ``sliders``, by default where these start.

        Returns:
            A sample as that of ``inference_model``. ``left_out`` is the
            number of peaks that were not followed back.
        """
        if self.head is None:
            return picture.sample
        known = tuple(label_indices(self.model, labels))
        size = tuple(picture.sample.ori_shape[:2])
        # Proposals and saliency have the size of the file.
        fixed = {'proposals', 'saliency'} & set(picture.sample.keys())
        if not (full or fixed):
            size = min(size, picture.image.shape[:2])
        with self._lock, self._set(known, values):
            sample = self._choose(picture, known, size)
            if isinstance(self.head, PRMHead) and self.head.instances:
                self._set_instances(picture, sample, known)
            elif self.head.instances:
                self._set_maps(picture, sample, known)
        for key in () if known else ('gt_label', 'gt_score'):
            sample.pop(key)
        return sample.cpu()

    def draw(
        self, picture: Picture, sample: Any, layers: Sequence[str]
    ) -> List[Tile]:
        """Draw layers at display size, after the picture itself."""
        scale = picture.image.shape[0] / sample.ori_shape[0]
        canvas = Canvas(picture.image, scale, self.classes, self._palette)
        tiles = [Tile(picture.image, Path(picture.path).name)]
        if 'label map' in layers:
            for tile in label_map_tiles(canvas, sample):
                tiles.append(tile._replace(text='label map'))
        instances = sample.get('pred_instances', {})
        if 'instances' in layers:
            tiles += instance_tiles(canvas, instances, '')
        if 'peak responses' in layers:
            tiles += response_tiles(canvas, instances)
        peaks = sample.get('pred_peaks') if 'peaks' in layers else None
        if 'class maps' in layers:
            shown = sample.clone()
            if peaks is None:
                shown.pop('pred_peaks', None)
            tiles += class_map_tiles(canvas, shown)
        elif peaks is not None:
            points = array(peaks.points) * scale
            text = f'{len(points)} peak{"s" * (len(points) != 1)}'
            tiles.append(Tile(draw_peaks(picture.image, points), text))
        if 'density' in layers:
            tiles += density_tiles(canvas, sample)
        return tiles

    def legend(self, sample: Any) -> List[Tuple[str, Color]]:
        """List the classes of the label map, each with its colour."""
        colors = class_colors(self._palette, len(self.classes)).tolist()
        shown = np.unique(array(sample.pred_sem_seg.data))
        labels = [int(x) - 1 for x in shown if 0 < x <= len(self.classes)]
        return [(self.classes[x], tuple(colors[x])) for x in labels]

    def describe(self, sample: Any) -> str:
        """Say what is found, and what is left out, in a line."""
        if self.head is None:
            return describe_labels(sample, self.classes)
        text, left_out = describe(sample, self.classes), sample.get('left_out')
        return text + (f' (+{left_out} peaks left out)' if left_out else '')

    def export(
        self,
        picture: Picture,
        kinds: Sequence[str],
        out: str,
        labels: Sequence[Any] = (),
        **values: float,
    ) -> str:
        """Write what is predicted at the settings for other tools.

        Args:
            picture: From :meth:`look`.
            kinds: Formats of :mod:`mmwsl.evaluation.exporting`, each a
                folder of the archive.
            out: The archive's path without ``.zip``; with it, it returns.
            labels: As for :meth:`predict`.
            **values: As for :meth:`predict`.
        """
        sample = self.predict(picture, labels, full=True, **values)
        with TemporaryDirectory() as folder:
            # Exports name the image with its folder, and some hold it.
            image = Path(folder, 'images', Path(picture.path).name)
            image.parent.mkdir()
            shutil.copyfile(picture.path, image)
            content = dict(as_dict(sample, self.classes), img_path=str(image))
            folders = {kind: Path(folder, 'labels', kind) for kind in kinds}
            for export in self.inferencer.exports(folders, [image]):
                with export:
                    export.add(image.stem, content)
            return shutil.make_archive(out, 'zip', Path(folder, 'labels'))

    def _set(
        self, labels: Sequence[int], values: Mapping[str, float]
    ) -> ContextManager[None]:
        """Give the head settings for a while."""
        kept = 'given' if labels else 'predicted'
        changes: List[Tuple[Any, str, Any]] = [(self.head, 'keep', kept)]
        if labels and isinstance(self.head, PRMHead):
            changes.append((self.head.peaks, 'classes', 'given'))
        for name, slider in self.sliders.items():
            value = values.get(name, slider.start)
            # Half of a slider's step is not a step.
            own = abs(value - slider.start) < 0.005
            value = slider.own if own else value
            changes.append((slider.owner, slider.name, value))
        return _changed(*changes)

    def _choose(
        self, picture: Picture, labels: Sequence[int], size: Tuple[int, ...]
    ) -> Any:
        """Predict what the maps of a picture tell, at a size."""
        sample = picture.sample.clone()
        sample.set_gt_label(list(labels), self.head.num_classes)
        sample.set_metainfo(dict(ori_shape=size))
        with torch.no_grad():
            self.head.predict_views(picture.views, [sample])
        return sample

    def _set_instances(
        self, picture: Picture, sample: Any, labels: Tuple[int, ...]
    ) -> None:
        """Add instances, of those peaks that were followed back."""
        if picture.key != labels:
            picture.found = self._follow(picture, labels, sample.ori_shape)
            picture.key = labels
        rows, responses = picture.found
        peaks = sample.pred_peaks
        found = torch.tensor([rows.get(x, -1) for x in _places(peaks)]).long()
        sample.set_metainfo(dict(left_out=int((found < 0).sum())))
        key = labels, sample.ori_shape, found.tolist()
        if picture.peaks != key:
            sample.pred_peaks = peaks[found >= 0]
            self.head.set_instances(sample, responses[found[found >= 0]])
            sample.pred_peaks = peaks
            picture.peaks, picture.instances = key, sample.pred_instances
        sample.pred_instances = picture.instances

    def _follow(
        self, picture: Picture, labels: Sequence[int], size: Tuple[int, ...]
    ) -> Tuple[Dict[Place, int], Tensor]:
        """Follow peaks back: the model's own choice, then the likeliest.

        Returns:
            The row of each peak in the responses, and these (P, h', w').
        """
        with self._set(labels, {}):
            chosen = _places(self._choose(picture, labels, size).pred_peaks)
        lowest = dict.fromkeys(self.sliders, 0.0)
        every = (self.head.peaks, 'per_image', None)
        with self._set(labels, lowest), _changed(every):
            sample = self._choose(picture, labels, size)
        peaks, places = sample.pred_peaks, _places(sample.pred_peaks)
        tops = sample.pred_class_maps.data.amax(dim=(1, 2)).clamp(min=1e-6)
        likely = (sample.pred_score / tops)[peaks.labels] * peaks.scores
        rank = {place: number for number, place in enumerate(chosen)}
        order = sorted(
            range(len(places)),
            key=lambda i: (rank.get(places[i], len(rank)), -float(likely[i])),
        )[: self.max_peaks]
        sample.pred_peaks = peaks[torch.tensor(order).long()]
        view = self.model.first_view(picture.inputs)
        with torch.enable_grad():
            (found,) = self.head.peak_responses(self.model, view, [sample])
        return {places[i]: row for row, i in enumerate(order)}, found

    def _set_maps(
        self, picture: Picture, sample: Any, labels: Tuple[int, ...]
    ) -> None:
        """Replace the maps by those of gradients."""
        key = labels, sample.ori_shape
        if picture.key != key:
            view = self.model.first_view(picture.inputs)
            with torch.enable_grad():
                self.head.predict_instances(self.model, view, [sample])
            picture.found = sample.pred_maps.data, sample.pred_map_labels
            picture.key = key
        self.head.set_maps(sample, *picture.found)


@contextmanager
def _changed(*changes: Tuple[Any, str, Any]) -> Iterator[None]:
    """Change attributes (object, name, value) for a while."""
    with ExitStack() as stack:
        for owner, name, value in changes:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        yield


def _places(peaks: Any) -> List[Place]:
    rows = torch.cat([peaks.labels[:, None], peaks.cells], dim=1).tolist()
    return [(label, column, row) for label, column, row in rows]


def _sliders(head: Any) -> Dict[str, Slider]:
    """Return the settings of a head that change something."""
    sliders = {}

    def add(key: str, label: str, owner: Any, name: str, *high: float) -> None:
        own = getattr(owner, name)
        sliders[key] = Slider(label, owner, name, own, *high)

    if head.background == 'constant':
        add('background', 'Background score', head, 'background_value')
    elif head.background == 'power':
        add('background', 'Background exponent', head, 'background_value', 32)
    # Other maps of gradients would need the network for each new class.
    if head.multi_label and (isinstance(head, PRMHead) or not head.instances):
        add('score', 'Class score', head, 'score_threshold')
    if isinstance(head, PRMHead):
        add('ratio', 'Peak ratio', head.peaks, 'min_ratio')
    return sliders


def describe(sample: Any, classes: Sequence[str]) -> str:
    """Return the scores of the drawn classes, best first, and what is found.

    Example:
        'cat 0.98, dog 0.61', 'cat 0.98 (count 3); 2 instances', or 'nothing
        predicted, best cat 0.31'.
    """
    scores = sample.pred_score.numpy()
    drawn = sample.pred_map_labels.tolist()
    shown = drawn or [int(np.argmax(scores))]
    shown.sort(key=lambda label: -scores[label])
    words = [f'{class_name(classes, c)} {scores[c]:.2f}' for c in shown]
    if 'pred_count' in sample:
        counts = sample.pred_count.tolist()
        # Adding 0 turns the -0 of a rounded negative number into 0.
        words = [
            f'{w} (count {counts[c] + 0:g})' for w, c in zip(words, shown)
        ]
    text = ', '.join(words)
    if not drawn:
        text = f'nothing predicted, best {text}'
    if 'pred_instances' in sample:
        number = len(sample.pred_instances)
        text += f'; {number} instance{"" if number == 1 else "s"}'
    return text


def describe_labels(sample: Any, classes: Sequence[str]) -> str:
    """Return how much of an image a segmentor gives to each class.

    Example:
        'cat 31 %, dog 2 %', or 'background only'.
    """
    labels = sample.pred_sem_seg.data.flatten()
    counts = labels.bincount(minlength=len(classes) + 1)[1:].tolist()
    names = classes or [class_name((), i) for i in range(len(counts))]
    found = sorted(zip(counts, names), reverse=True)
    words = [f'{n} {100 * c / len(labels):.0f} %' for c, n in found if c]
    return ', '.join(words) or 'background only'
