"""Label maps are not made of ground truth."""

import cv2
import numpy as np
import pytest

from mmwsl.pseudo_labels.labels import write_label_map
from tool_calls import call, error, load_tool

SHAPE = (40, 50)
CLASSES = {'a/1': [4], 'b/1': [7, 2]}
STEPS = {
    'initial': ('cam', 'saliency'),
    'mine': ('cam', 'labels'),
    'mask': ('cam', 'labels', 'predicted', 'saliency'),
    'keep': ('labels', 'predicted'),
}
SOURCES = [
    (step, place)
    for step, names in STEPS.items()
    for place, name in enumerate(names)
    if name != 'cam'
]


@pytest.fixture(scope='module')
def tool():
    return load_tool('pseudo_labels.py')


@pytest.fixture
def folder(tmp_path):
    """All that the steps take, with masks and copies of them."""
    rng = np.random.default_rng(0)
    for img_id, classes in CLASSES.items():
        for name in ('cam', 'saliency'):
            (tmp_path / name / img_id).parent.mkdir(
                parents=True, exist_ok=True
            )
        maps = rng.random((len(classes), *SHAPE)).astype(np.float32)
        path = tmp_path / 'cam' / f'{img_id}.npz'
        np.savez(path, maps=maps, labels=np.array(classes))
        path = tmp_path / 'saliency' / f'{img_id}.png'
        cv2.imwrite(str(path), np.full(SHAPE, 200, np.uint8))
        values = np.array([0, *classes], np.uint8)
        for name in ('labels', 'predicted'):
            path = tmp_path / name / f'{img_id}.png'
            write_label_map(str(path), rng.choice(values, SHAPE))
        mask = np.zeros(SHAPE, np.uint8)
        mask[5:30, 5:30] = classes[0] + 1
        write_label_map(str(tmp_path / 'masks' / f'{img_id}.png'), mask)
        # Also with pixels taken out.
        mask[rng.random(SHAPE) < 0.2] = 255
        write_label_map(str(tmp_path / 'copies' / f'{img_id}.png'), mask)
    return tmp_path


def run(tool, folder, step, place, other, *options):
    """Run a step with another folder at a place."""
    names = list(STEPS[step])
    names[place] = other
    return call(tool, step, *(folder / n for n in (*names, 'out')), *options)


@pytest.mark.parametrize(('step', 'place'), SOURCES)
def test_folders_of_ground_truth(tool, folder, capsys, step, place):
    truth = ('--truth', folder / 'masks')
    (folder / STEPS[step][place]).rename(folder / 'SegmentationClass')
    (folder / 'link').symlink_to(folder / 'SegmentationClass')
    for name, options in (
        ('SegmentationClass', ()),
        ('link', ()),
        ('masks', truth),
    ):
        assert run(tool, folder, step, place, name, *options) == 1
        line = error(capsys.readouterr())
        assert f'{folder / name}: is a folder of ground truth' in line
    assert not (folder / 'out').exists()


@pytest.mark.parametrize(
    ('step', 'place'), [s for s in SOURCES if STEPS[s[0]][s[1]] != 'saliency']
)
def test_copies_of_masks(tool, folder, capsys, step, place):
    truth = ('--truth', folder / 'masks')
    assert run(tool, folder, step, place, 'copies', *truth) == 1
    line = error(capsys.readouterr())
    assert 'copies: 2 of 2 label maps equal the masks in' in line
    assert not (folder / 'out').exists()
    name = STEPS[step][place]
    assert run(tool, folder, step, place, name, *truth) == 0


def test_links_to_masks(tool, folder, capsys):
    (folder / 'masks').rename(folder / 'SegmentationClass')
    for name in ('a', 'b'):
        (folder / 'links' / name).mkdir(parents=True)
        mask = folder / 'SegmentationClass' / name / '1.png'
        (folder / 'links' / name / '1.png').symlink_to(mask)
    assert run(tool, folder, 'keep', 1, 'links') == 1
    assert 'is a folder of ground truth' in error(capsys.readouterr())
    assert not (folder / 'out').exists()
