import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from sklearn.metrics import precision_recall_curve

from mmwsl.apis import init_model, load_config
from mmwsl.structures import Proposals, WSLDataSample
from mmwsl.utils.images import read_image
from tool_calls import call, error, fails
from toy_run import CONFIG

DATA = [
    'train_dataloader.dataset.num_images=12',
    'train_dataloader.dataset.image_size=48',
]


@pytest.fixture
def checkpoint(tmp_path):
    """A PRM model with random weights."""
    cfg = load_config(CONFIG, {'model.head.type': 'PRMHead'})
    model = init_model(cfg)
    path = tmp_path / 'random.pth'
    torch.save({'state_dict': model.state_dict()}, path)
    return path


def run(tool, checkpoint, *args):
    options = ['--cfg-options', 'model.head.type=PRMHead', *DATA]
    return call(tool, CONFIG, checkpoint, *args, *options)


@pytest.mark.slow
def test_options_come_from_the_named_number_of_images(
    tool, checkpoint, capsys
):
    assert run(tool, checkpoint, '--num-images', '3') == 0
    lines = capsys.readouterr().out.splitlines()
    used = next(x for x in lines if x.startswith('used'))
    assert used.startswith('used 3 images of the train set with ')
    options = dict(x.split('=') for x in lines[-1].split()[1:])
    assert 0 < float(options.pop('model.head.score_threshold')) < 1
    assert 0 <= float(options.pop('model.head.peaks.min_ratio')) < 1
    options.pop('model.head.peaks.min_value', None)
    options.pop('model.head.peaks.per_class', None)
    assert options == {}


class FakeModel:
    """Two objects whose peaks have the values of a table."""

    PEAKS = {0: [8.0, 7.0, 3.0], 1: [4.0, 1.0]}

    def test_step(self, data):
        sample = WSLDataSample().set_gt_label([0, 1, 2], 3)
        sample.set_gt_label_difficult([2]).set_gt_count([2, 1, 0])
        sample.set_pred_score([0.9, 0.6, data['score'][0]])
        peaks = [(c, x) for c, row in self.PEAKS.items() for x in row]
        sample.pred_peaks = InstanceData(
            labels=torch.tensor([c for c, _ in peaks]),
            scores=torch.tensor([x for _, x in peaks]),
        )
        return [sample]


def test_known_answer(tool, capsys):
    found = tool.predict(FakeModel(), [{'score': 0.1}, {'score': 0.7}], [0, 1])
    # Difficult objects are neither labels to find nor counted.
    assert found.ignore[:, 2].all()
    assert [x.objects for x in found.maps[0].values()] == [2, 1]
    tool.report(found, 'train')
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith('with 6 labels and 6 counted objects')
    assert 'class threshold 0.3: F1 100.00 %' in lines
    rows = {x.split()[1]: x.split()[3:10:2] for x in lines if '|' in x}
    assert rows['none'] == ['-', '0.00', '-', '0.417']
    assert rows['absolute'] == ['3.5', '0.00', '-', '0.000']
    assert rows['relative'] == ['-', '0.40', '-', '0.000']
    # One too few of two: (1 - 2)^2 / 3, half of the maps.
    assert rows['top-k'] == ['-', '0.00', '1', '0.167']
    assert rows['all'] == ['3.5', '0.00', '-', '0.000']
    assert lines[-1] == (
        '--cfg-options model.head.score_threshold=0.3 '
        'model.head.peaks.min_value=3.5 model.head.peaks.min_ratio=0.00'
    )


def test_without_counts_only_classes_are_calibrated(tool, capsys):
    found = tool.predict(FakeModel(), [{'score': 0.1}], [0])
    tool.report(found._replace(maps=[{}]), 'val')
    lines = capsys.readouterr().out.splitlines()
    assert 'nothing to fit' in lines[-2]
    assert lines[-1] == '--cfg-options model.head.score_threshold=0.3'


def test_classes_that_are_not_predicted_do_not_decide(tool):
    found = tool.predict(FakeModel(), [{'score': 0.1}], [0])
    results = tool.fit(found, 0.8)
    assert results['none'].error == pytest.approx(1 / 3)
    # If none is predicted all do.
    assert tool.fit(found, 0.95)['none'].error == pytest.approx(5 / 12)


def test_images_without_labels_are_not_chosen(tool):
    class Dataset(list):
        def get_cat_ids(self, index):
            return self[index]

    dataset = Dataset([[0], [], [1], [2], []])
    assert tool.choose_images(dataset, 9, 0) == [0, 2, 3]
    assert len(tool.choose_images(dataset, 2, 1)) == 2
    with pytest.raises(ValueError, match='no image with a label'):
        tool.choose_images(Dataset([[]]), 2, 0)


@pytest.mark.slow
def test_heads_without_peaks(tool, tmp_path, capsys):
    model = init_model(CONFIG)
    path = tmp_path / 'cam.pth'
    torch.save({'state_dict': model.state_dict()}, path)
    curve = tmp_path / 'curve.png'
    options = ['--per-class', '--curve', curve, '--cfg-options', *DATA]
    assert call(tool, CONFIG, path, '--num-images', '8', *options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 'nothing to fit peaks to' in lines[-2]
    cfg = load_config(CONFIG)
    key, _, text = lines[-1].split()[1].partition('=')
    thresholds = [float(x) for x in text.strip('"[]').split(',')]
    assert len(thresholds) == cfg.model.head.num_classes
    head = init_model(CONFIG, cfg_options={key: thresholds}).head
    assert head.score_threshold == thresholds
    assert read_image(str(curve)).shape[2] == 3


def found_scores(tool):
    """Two classes in ten images; the second one only in two."""
    scores = np.zeros((10, 3))
    scores[:, 0] = np.arange(10) / 10
    scores[:, 1] = 0.5 + np.arange(10) / 20
    present = np.zeros((10, 3), dtype=bool)
    present[5:, 0] = True
    present[8:, 1] = True
    ignore = np.zeros_like(present)
    return tool.Predictions(scores, present, ignore, [{}] * 10)


def test_each_class_that_enough_images_show_has_a_threshold(tool, capsys):
    found = found_scores(tool)
    chosen = tool.class_thresholds(found, 0.6)
    # Between 0.4 and 0.5; too few images show the second and none the third.
    assert chosen.tolist() == pytest.approx([0.45, 0.6, 0.6])
    # Right: 5 and 2; wrong: those of the second from 0.65 to 0.85.
    expected = 2 * 7 / (5 + 7 + 7)
    assert tool.f1_score(found, chosen) == pytest.approx(expected)
    tool.report(found, 'val', ('a', 'b', 'c'))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith('--cfg-options model.head.score_threshold="[0')


def test_the_curve_shows_what_was_chosen(tool, tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn = []
    plot = Axes.plot

    def spy(self, *args, **kwargs):
        drawn.append(np.array([np.ravel(x) for x in args[:2]]))
        return plot(self, *args, **kwargs)

    monkeypatch.setattr(Axes, 'plot', spy)
    path = str(tmp_path / 'a.png')
    tool.draw_curves(found_scores(tool), np.array([0.45, 0.92, 0]), 't', path)
    # The third class, which nothing shows, has none.
    assert len(drawn) == 4
    precision, recall, _ = precision_recall_curve(
        found_scores(tool).present[:, 1], found_scores(tool).scores[:, 1]
    )
    np.testing.assert_allclose(drawn[2][0], recall[-2::-1])
    np.testing.assert_allclose(drawn[2][1], precision[-2::-1])
    assert drawn[1].ravel().tolist() == [1, 1]
    assert drawn[3].ravel().tolist() == [0.5, 1]


class Plateaus:
    """A class whose map is 1 in 4 pixels and 0.5 in the 8 beside them."""

    def test_step(self, data):
        sample = WSLDataSample().set_gt_label([0, 1], 2)
        sample.set_pred_score([0.9, 0.8])
        maps = torch.zeros(2, 8, 8)
        maps[0, :2, :2] = 1
        maps[0, :2, 2:6] = 0.5
        # The other class is above it in one row.
        maps[1, 1, 2:6] = 0.7
        sample.pred_maps = PixelData(data=maps)
        sample.pred_map_labels = torch.tensor([0, 1])
        mask = torch.zeros(1, 8, 8, dtype=torch.int64)
        mask[0, 0, :6] = mask[0, 1, :2] = 1
        mask[0, 7] = 255
        sample.gt_sem_seg = PixelData(data=mask)
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[0.0, 0, 6, 2]]), labels=torch.tensor([0])
        )
        boxes = np.zeros((2, 8, 8), dtype=bool)
        boxes[0, :2, :2] = boxes[1, :4] = True
        sample.proposals = Proposals(boxes, np.array([1.0, 0.5]))
        return [sample]


@pytest.mark.parametrize(
    ('truth', 'expected'),
    [
        # Of 8 pixels in the mask 8 are above 0.4, and 4 above 0.6.
        ('masks', [1.0, 0.5]),
        # The box of 6 x 2 pixels is the true one; as published, the pixels
        # behind its end count.
        ('boxes', [1.0, 9 / 21]),
    ],
)
def test_backgrounds_known_answer(tool, truth, expected, capsys):
    levels = np.array([0.4, 0.6])
    found = tool.predict(Plateaus(), [{}] * 5, range(5), truth, levels)
    assert len(found.ious) == 5
    # Nothing is known of the other class.
    assert list(found.ious[0]) == [0]
    np.testing.assert_allclose(found.ious[0][0], expected)
    common, iou, chosen = tool.choose_backgrounds(found, levels)
    assert (common, iou, chosen.tolist()) == (0.4, 1, [0.4, 0.4])
    tool.report(found, 'val', values=levels)
    lines = capsys.readouterr().out.splitlines()
    assert 'background 0.4: mean IoU 100.00 %' in lines
    assert lines[-1].endswith(' model.head.background_value=0.4')
    tool.report(found, 'val', ('a', 'b'), values=levels)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.endswith(' model.head.background_value="[0.4,0.4]"')


def test_backgrounds_by_proposals(tool):
    found = tool.predict(Plateaus(), [{}], [0], 'proposals', [0.4, 0.6])
    # The proposals of 2 x 2 and of 8 x 4 pixels.
    np.testing.assert_allclose(found.ious[0][0], [9 / 21, 1])
    np.testing.assert_allclose(found.ious[0][1], [10 / 45, 10 / 45])


def test_each_class_has_its_background(tool):
    row = {0: np.array([0.2, 0.9]), 1: np.array([0.8, 0.3])}
    found = found_scores(tool)._replace(ious=[row] * 5 + [{0: row[0]}] * 9)
    common, iou, chosen = tool.choose_backgrounds(found, [0.1, 0.5])
    assert common == 0.5
    assert iou == pytest.approx((14 * 0.9 + 5 * 0.3) / 19)
    assert chosen.tolist() == [0.5, 0.1, 0.5]
    with pytest.raises(ValueError, match='no image has'):
        tool.choose_backgrounds(found._replace(ious=[{}]), [0.1])


def test_powers_act_like_constants(tool):
    head = init_model(
        CONFIG, cfg_options={'model.head.background': 'power'}
    ).head
    values, levels = tool.tried_backgrounds(head)
    np.testing.assert_allclose((1 - levels) ** values, levels)
    assert (np.diff(levels) > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize('truth', ['masks', 'boxes', 'proposals'])
def test_backgrounds_of_a_data_set(tool, tmp_path, capsys, truth):
    model = init_model(CONFIG)
    path = tmp_path / 'cam.pth'
    torch.save({'state_dict': model.state_dict()}, path)
    options = ['--background', truth, '--per-class', '--cfg-options', *DATA]
    assert call(tool, CONFIG, path, '--num-images', '8', *options) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    key, _, text = line.split()[-1].partition('=')
    values = [float(x) for x in text.strip('"[]').split(',')]
    head = init_model(CONFIG, cfg_options={key: values}).head
    assert head.background_value == values


def test_errors_are_one_line(tool, tmp_path, capsys):
    assert 'no.pth' in fails(tool, capsys, CONFIG, tmp_path / 'no.pth')
    assert call(tool, CONFIG, tmp_path / 'x', '--num-images', '0') == 1
    assert '--num-images must be > 0' in error(capsys.readouterr())
