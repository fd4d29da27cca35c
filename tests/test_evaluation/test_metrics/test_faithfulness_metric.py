"""The metric against plain loops over a network of one convolution."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData, PixelData
from scipy.integrate import trapezoid

from mmwsl.models.data_preprocessors import WSLDataPreprocessor
from mmwsl.structures import WSLDataSample

MEAN, STD = (100.0, 110.0, 120.0), (50.0, 40.0, 60.0)
SIZE = (12, 16)
STEPS = 4


class RedAndBlue:
    """Two classes whose logits are the means of red and of blue."""

    def __init__(self):
        # Inputs are padded to 16 x 16.
        self.data_preprocessor = WSLDataPreprocessor(
            mean=MEAN, std=STD, pad_size_divisor=16
        )

    def probabilities(self, inputs, img_shape):
        assert inputs.shape[2:] == (16, 16)
        assert img_shape == SIZE
        return torch.sigmoid(inputs[:, ::2, :12].mean(dim=(2, 3)))


def plain_probability(image, label):
    """Of an image (H, W, 3) of numbers, as the network sees it."""
    channel = 2 * label
    red = (image[..., channel] - MEAN[channel]) / STD[channel]
    return 1 / (1 + np.exp(-red.mean()))


def plain_scores(image, marked, label):
    empty = np.array(MEAN)
    blurred = cv2.GaussianBlur(
        image, (11, 11), 5, borderType=cv2.BORDER_REFLECT_101
    )
    kept = marked[..., None] * image + (1 - marked[..., None]) * empty
    places = sorted(np.ndindex(*SIZE), key=lambda at: (-marked[at], at))
    curves = []
    for start, end in (
        (image, np.broadcast_to(empty, image.shape)),
        (blurred, image),
    ):
        shown = start.copy()
        curve = [plain_probability(shown, label)]
        for step in range(STEPS):
            for at in places[step * 48 : (step + 1) * 48]:
                shown[at] = end[at]
            curve.append(plain_probability(shown, label))
        curves.append(trapezoid(curve, dx=1 / STEPS))
    whole = plain_probability(image, label)
    change = plain_probability(kept, label) - whole
    return max(-change, 0) / whole, float(change > 0), *curves


def image_and_maps(seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*SIZE, 3)).astype(np.float64)
    return image, rng.random((2, *SIZE), dtype=np.float32)


def pack(image, labels, shown=(0, 1), direction=None):
    sample = WSLDataSample(metainfo=dict(img_id='a', ori_shape=SIZE))
    sample.set_metainfo(dict(flip_direction=direction))
    sample.gt_label = torch.tensor(shown)
    sample.pred_map_labels = torch.tensor(labels)
    return torch.from_numpy(image.transpose(2, 0, 1).astype(np.uint8)), sample


def score(pairs, model=None, **options):
    evaluator = Evaluator(
        dict(type='FaithfulnessMetric', steps=STEPS, **options)
    )
    evaluator.dataset_meta = dict(classes=('red', 'blue'))
    evaluator.metrics[0].model = model or RedAndBlue()
    for image, sample in pairs:
        evaluator.process([sample], dict(inputs=[image]))
    return evaluator.evaluate(len(pairs))


def assert_scores(found, plain):
    names = ('avg_drop', 'increase', 'deletion', 'insertion')
    expected = 100 * np.mean(plain, axis=0)
    for name, value in zip(names, expected):
        assert found[name] == pytest.approx(value, abs=0.01), name


@pytest.mark.parametrize('batch_size', [1, 5, 64])
def test_equals_plain_loops(batch_size):
    pairs, plain = [], []
    for seed in range(3):
        image, maps = image_and_maps(seed)
        packed, sample = pack(image, [0, 1])
        sample.pred_maps = PixelData(data=torch.from_numpy(maps))
        pairs.append((packed, sample))
        plain += [plain_scores(image, maps[c], c) for c in (0, 1)]
    assert_scores(score(pairs, batch_size=batch_size), plain)


def test_maps_of_classes_that_are_not_shown_do_not_count():
    image, maps = image_and_maps(0)
    packed, sample = pack(image, [0, 1], shown=(1,))
    sample.pred_maps = PixelData(data=torch.from_numpy(maps))
    assert_scores(score([(packed, sample)]), [plain_scores(image, maps[1], 1)])


def test_maps_lie_on_images_that_the_pipeline_mirrored():
    image, maps = image_and_maps(0)
    # The maps are those of the original.
    packed, sample = pack(image[:, ::-1], [0], (0,), 'horizontal')
    sample.pred_maps = PixelData(data=torch.from_numpy(maps[:1]))
    mirrored = np.ascontiguousarray(image[:, ::-1])
    assert_scores(
        score([(packed, sample)]),
        [plain_scores(mirrored, maps[0][:, ::-1], 0)],
    )


def test_responses_of_peaks_are_fused_by_their_maximum():
    image, maps = image_and_maps(0)
    packed, sample = pack(image, [], shown=(1,))
    sample.pred_instances = InstanceData(
        labels=torch.tensor([1, 1]),
        peak_response_maps=torch.from_numpy(0.01 * maps),
    )
    fused = maps.max(axis=0)
    assert_scores(
        score([(packed, sample)], maps='peak_response_maps'),
        [plain_scores(image, fused / fused.max(), 1)],
    )


def test_a_map_of_what_the_network_looks_at_beats_one_of_the_rest():
    image = np.full((*SIZE, 3), 110.0)
    image[:, :8, 0] = 250
    values = []
    for marked in (slice(0, 8), slice(8, 16)):
        packed, sample = pack(image, [0], shown=(0,))
        maps = torch.zeros(1, *SIZE)
        maps[:, :, marked] = 1
        sample.pred_maps = PixelData(data=maps)
        values.append(score([(packed, sample)]))
    right, wrong = values
    assert right['avg_drop'] < wrong['avg_drop']
    assert right['deletion'] < wrong['deletion']
    assert right['insertion'] > wrong['insertion']


def test_a_model_that_is_not_known_is_one_line():
    evaluator = Evaluator(dict(type='FaithfulnessMetric'))
    with pytest.raises(ValueError, match='MetricModelHook'):
        evaluator.process([dict()], dict(inputs=[torch.zeros(3, 4, 4)]))


@pytest.mark.parametrize(
    'options', [dict(maps='heat'), dict(steps=0), dict(batch_size=0)]
)
def test_refuses_settings(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Evaluator(dict(type='FaithfulnessMetric', **options))
