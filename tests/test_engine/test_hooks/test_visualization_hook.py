from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmengine.visualization import Visualizer
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from torch.utils.data import Dataset

from mmwsl.engine.hooks import WSLVisualizationHook
from mmwsl.structures import WSLDataSample
from mmwsl.visualization import CountScatter

MODULE = 'mmwsl.engine.hooks.visualization_hook'


class Photos(Dataset):
    """Seven grey images in a sub-folder."""

    metainfo = {'classes': ('cat', 'dog')}

    def __len__(self):
        return 7

    def __getitem__(self, index):
        sample = WSLDataSample(
            metainfo=dict(
                img_id=f'set/{index}', ori_shape=(8, 6), img_shape=(4, 3)
            )
        )
        image = torch.full((3, 4, 3), 10 * index, dtype=torch.uint8)
        return dict(inputs=image, data_samples=sample.set_gt_label([0], 2))


class Model(BaseModel):
    counts = False

    def forward(self, inputs, data_samples, mode):
        for sample in data_samples:
            if self.counts:
                number = int(sample.img_id[-1])
                sample.set_gt_count([number, 0]).set_pred_count([1, 0])
            sample.pred_maps = PixelData(data=torch.ones(1, 8, 6))
            sample.pred_map_labels = torch.tensor([0])
        return data_samples


class Nothing(BaseMetric):
    default_prefix = ''

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return {'images': len(results)}


def build_runner(work_dir, visualizer='WSLVisualizer', backends=(), **hook):
    loader = dict(
        dataset=Photos(),
        batch_size=3,
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    return Runner(
        Model(),
        str(work_dir),
        val_dataloader=loader,
        val_cfg=dict(),
        val_evaluator=[Nothing()],
        test_dataloader=loader,
        test_cfg=dict(),
        test_evaluator=[Nothing()],
        custom_hooks=[dict(type='WSLVisualizationHook', **hook)],
        visualizer=dict(
            type=visualizer,
            name=str(work_dir),
            vis_backends=[dict(type=name) for name in backends],
        ),
        default_scope='mmwsl',
        experiment_name=Path(work_dir).name,
    )


def files(folder, pattern='**/*.jpg'):
    return sorted(str(x.relative_to(folder)) for x in folder.glob(pattern))


def test_off_by_default(tmp_path):
    build_runner(tmp_path).test()
    assert not files(tmp_path)


def test_panels_and_sheets_beside_the_log(tmp_path, monkeypatch):
    messages = []
    monkeypatch.setattr(
        f'{MODULE}.print_log', lambda text, **kwargs: messages.append(text)
    )
    runner = build_runner(tmp_path, draw=True, sheet_size=4)
    runner.test()
    folder = Path(runner.log_dir) / 'pictures'
    assert files(folder) == [
        'contact_sheet_000.jpg',
        'contact_sheet_001.jpg',
        *(f'set/{i}.jpg' for i in range(7)),
    ]
    assert messages == [f'7 pictures and 2 contact sheets are in {folder}']


def test_validation_has_folders_of_its_own(tmp_path):
    out = tmp_path / 'out'
    runner = build_runner(
        tmp_path, draw=True, out_dir=str(out), max_images=2, sheet_size=0
    )
    runner.val()
    runner.test()
    assert files(out) == [
        'set/0.jpg',
        'set/1.jpg',
        'val_000000/set/0.jpg',
        'val_000000/set/1.jpg',
    ]


def test_tensorboard_gets_the_panels(tmp_path, monkeypatch):
    monkeypatch.setattr(Runner, 'iter', 20)
    runner = build_runner(
        tmp_path,
        backends=['LocalVisBackend', 'TensorboardVisBackend'],
        draw=True,
        max_images=2,
    )
    runner.val()
    runner.visualizer.close()
    folder = Path(runner.log_dir)
    events = EventAccumulator(str(folder / 'vis_data'))
    events.Reload()
    assert events.Tags()['images'] == ['set_0', 'set_1']
    (event,) = events.Images('set_1')
    assert event.step == 20
    picture = cv2.imdecode(
        np.frombuffer(event.encoded_image_string, np.uint8), cv2.IMREAD_COLOR
    )
    written = cv2.imread(str(folder / 'pictures/val_000020/set/1.jpg'))
    assert np.abs(picture.astype(int) - written).mean() < 2
    # No file is written twice.
    assert not (folder / 'vis_data/vis_image').exists()


def test_interval_and_suffix(tmp_path):
    out = tmp_path / 'out'
    build_runner(
        tmp_path,
        draw=True,
        out_dir=str(out),
        interval=3,
        suffix='.png',
    ).test()
    assert files(out, '**/*.png') == [f'set/{i}.png' for i in (0, 3, 6)]


def test_another_visualizer_is_refused(tmp_path):
    runner = build_runner(tmp_path, visualizer='Visualizer', draw=True)
    with pytest.raises(TypeError, match="visualizer=dict.type='WSLVisual"):
        runner.test()


@pytest.mark.parametrize('max_images', [None, 4])
def test_two_processes_draw_each_image_once(tmp_path, monkeypatch, max_images):
    runner = build_runner(tmp_path)
    dataset = Photos()
    drawn = []
    for rank in range(2):
        monkeypatch.setattr(f'{MODULE}.get_dist_info', lambda r=rank: (r, 2))
        out = tmp_path / f'out{rank}'
        hook = WSLVisualizationHook(
            draw=True, out_dir=str(out), max_images=max_images
        )
        hook.before_test_epoch(runner)
        # Image 0 comes again to make the number even.
        for step, index in enumerate([0, 1, 2, 3, 4, 5, 6, 0][rank::2]):
            data = dataset[index]
            outputs = Model()([1], [data['data_samples']], 'predict')
            batch = {'inputs': [data['inputs']]}
            hook.after_test_iter(runner, step, batch, outputs)
        hook.after_test_epoch(runner)
        assert (out / f'contact_sheet_rank{rank}_000.jpg').is_file()
        drawn += files(out, 'set/*.jpg')
    assert sorted(drawn) == [f'set/{i}.jpg' for i in range(max_images or 7)]


def test_counts_of_all_images_are_plotted(tmp_path, monkeypatch):
    monkeypatch.setattr(Model, 'counts', True)
    tables = []
    draw = CountScatter.draw

    def spy(self, classes, palette):
        tables.append((self.table(), classes))
        return draw(self, classes, palette)

    monkeypatch.setattr(CountScatter, 'draw', spy)
    out = tmp_path / 'out'
    runner = build_runner(
        tmp_path, draw=True, out_dir=str(out), max_images=1, sheet_size=0
    )
    runner.test()
    runner.test()
    assert files(out, '**/*.png') == ['counts.png']
    # Drawn or not, each image counts once, also in a second test.
    for table, classes in tables:
        assert table.tolist() == [[0, i, 1, 1] for i in range(7)]
        assert classes == ('cat', 'dog')
    assert len(tables) == 2


def test_counts_of_two_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(Model, 'counts', True)
    runner = build_runner(tmp_path)
    hooks = [
        WSLVisualizationHook(
            draw=True, out_dir=str(tmp_path), max_images=0, sheet_size=0
        )
        for _ in range(2)
    ]
    dataset = Photos()
    for rank, hook in enumerate(hooks):
        monkeypatch.setattr(f'{MODULE}.get_dist_info', lambda r=rank: (r, 2))
        for step, index in enumerate([0, 1, 2, 3, 4, 5, 6, 0][rank::2]):
            data = dataset[index]
            outputs = Model()([1], [data['data_samples']], 'predict')
            batch = {'inputs': [data['inputs']]}
            hook.after_test_iter(runner, step, batch, outputs)
    monkeypatch.setattr(
        'mmwsl.visualization.counts.all_gather_object',
        lambda _: [hook._counts.numbers for hook in hooks],
    )
    # The image that fills up the last round counts once.
    expected = [[0, i, 1, 1] for i in range(7)]
    assert hooks[1]._counts.gather().table().tolist() == expected
    hooks[1].after_test_epoch(runner)
    assert not files(tmp_path, 'counts.png')
    monkeypatch.setattr(f'{MODULE}.get_dist_info', lambda: (0, 2))
    hooks[0].after_test_epoch(runner)
    assert files(tmp_path, 'counts.png') == ['counts.png']


def test_show_opens_windows_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(
        'mmwsl.visualization.visualizer._require_display', lambda: None
    )
    shown = []
    monkeypatch.setattr(
        Visualizer,
        'show',
        lambda self, picture, **kwargs: shown.append((picture, kwargs)),
    )
    build_runner(tmp_path, draw=True, show=True, wait_time=0.5).test()
    assert len(shown) == 7
    assert shown[6][1] == {'win_name': 'set/6', 'wait_time': 0.5}
    assert np.isin(60, shown[6][0])
    assert not files(tmp_path)


def test_rejects_interval():
    with pytest.raises(ValueError, match='interval'):
        WSLVisualizationHook(interval=0)
