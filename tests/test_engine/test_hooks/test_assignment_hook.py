import cv2
import numpy as np
import pytest
import torch
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from mmwsl.engine.hooks import AssignmentVisualizationHook, assignment_hook
from mmwsl.models.losses import DALLoss
from mmwsl.structures import WSLDataSample


class Photos(Dataset):
    """Six images, flipped ones that are narrower than the batch."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        sample = WSLDataSample(
            metainfo=dict(
                img_id=f'set/{index}',
                img_shape=(8, 6),
                ori_shape=(80, 60),
                flip=True,
                flip_direction='horizontal',
            )
        )
        image = torch.full((3, 8, 8), 10 * index, dtype=torch.uint8)
        return dict(inputs=image, data_samples=sample)


class Loss(DALLoss):
    """Assigns the three columns of a map to the three subsets."""

    def __init__(self):
        nn.Module.__init__(self)
        self.keep_assignment = False
        self.last_assignment = None
        self.kept = []

    def forward(self, number):
        self.kept.append(self.keep_assignment)
        if self.keep_assignment:
            self.last_assignment = (
                torch.arange(4).clamp(max=2).expand(number, 4, 4)
            )


class Model(BaseModel):
    def __init__(self, loss):
        super().__init__(BaseDataPreprocessor())
        self.auxiliary = nn.ModuleList([loss])
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, inputs, data_samples, mode):
        self.auxiliary[0](len(inputs))
        return dict(loss=self.weight.sum())


def train(work_dir, loss, **hook):
    runner = Runner(
        Model(loss),
        str(work_dir),
        train_dataloader=dict(
            dataset=Photos(),
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[dict(type='AssignmentVisualizationHook', **hook)],
        default_hooks=dict(checkpoint=None),
        default_scope='mmwsl',
        experiment_name=work_dir.name,
    )
    runner.train()


def pictures(work_dir):
    return sorted(x.name for x in work_dir.glob('assignment/*'))


@pytest.mark.parametrize(
    ('divisor', 'row'), [(1, [0, 0, 1, 1, 2, 2]), (6, [0, 0, 0, 1, 1, 1])]
)
def test_pictures_as_training_goes_on(tmp_path, monkeypatch, divisor, row):
    drawn = []

    def spy(image, assignment):
        drawn.append((image, assignment))
        return np.zeros((50, 40, 3), np.uint8)

    monkeypatch.setattr(assignment_hook, 'draw_assignment', spy)
    # Batches of 8 x 8 are padded to a multiple.
    monkeypatch.setattr(
        BaseDataPreprocessor, 'pad_size_divisor', divisor, raising=False
    )
    loss = Loss()
    train(tmp_path, loss, interval=2, max_images=1)
    assert pictures(tmp_path) == [f'iter_00000{i}.jpg' for i in (2, 4, 6)]
    # The loss keeps assignments only where they are drawn.
    assert loss.kept == [False, True] * 3
    values = [int(image[0, 0, 0]) for image, _ in drawn]
    assert values == [20, 0, 40]
    for image, assignment in drawn:
        # Padding is cut from both; a cell is two pixels wide.
        assert image.shape == (8, 6, 3)
        assert assignment.shape == (8, 6)
        assert assignment[0].tolist() == row


def test_all_images_of_a_batch(tmp_path):
    train(tmp_path, Loss(), interval=6)
    assert pictures(tmp_path) == ['iter_000006.jpg']
    picture = cv2.imread(str(tmp_path / 'assignment/iter_000006.jpg'))
    assert picture.shape[1] == 2 * 224 + 3 * 4


def test_no_picture_before_the_loss_assigns(tmp_path):
    loss = Loss()
    loss.forward = lambda number: None
    train(tmp_path, loss, interval=1)
    assert not pictures(tmp_path)


def test_models_without_the_loss_are_refused(tmp_path):
    with pytest.raises(TypeError, match='DALLoss.*Model has none'):
        train(tmp_path, nn.Conv2d(1, 1, 1))


@pytest.mark.parametrize('name', ['interval', 'max_images', 'columns'])
def test_rejects_numbers_below_one(name):
    with pytest.raises(ValueError, match=f'{name}.* must be at least 1.* 0'):
        AssignmentVisualizationHook(**{name: 0})
