import cv2
import numpy as np
import pytest

from mmwsl.pseudo_labels import (
    ignore_if_small,
    initial_label,
    keep_ignored,
    non_salient_region_masking,
    potential_object_mining,
)
from mmwsl.pseudo_labels.labels import write_label_map
from mmwsl.utils.images import read_index_mask
from tool_calls import call, error

SHAPE = (40, 50)
CLASSES = {'a/1': [4], 'b/1': [7, 2]}


def smooth(rng):
    coarse = rng.random((5, 6)).astype(np.float32)
    return cv2.resize(coarse, SHAPE[::-1])


@pytest.fixture
def data(tmp_path):
    """Folders of all that goes in, and the same as arrays."""
    rng = np.random.default_rng(0)
    arrays = {}
    for img_id, classes in CLASSES.items():
        one = dict(saliency=np.round(smooth(rng) * 255) / np.float32(255))
        one['prediction'] = rng.choice(
            np.array([0, *classes], np.uint8), SHAPE
        )
        for name in ('oa', 'cam'):
            one[name] = {c: smooth(rng) for c in classes}
            path = tmp_path / name / f'{img_id}.npz'
            path.parent.mkdir(parents=True, exist_ok=True)
            maps = np.stack(list(one[name].values()))
            np.savez(path, maps=maps, labels=np.array(classes))
        path = tmp_path / 'saliency' / f'{img_id}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = np.round(one['saliency'] * 255).astype(np.uint8)
        cv2.imwrite(str(path), grey)
        path = tmp_path / 'predicted' / f'{img_id}.png'
        write_label_map(str(path), one['prediction'])
        arrays[img_id] = one
    return tmp_path, arrays


def run(tool, folder, step, *names):
    return call(tool, step, *(folder / name for name in names))


def test_all_steps(tool, data):
    folder, arrays = data
    assert run(tool, folder, 'initial', 'oa', 'saliency', 'first') == 0
    assert run(tool, folder, 'mine', 'cam', 'first', 'second') == 0
    parts = ('cam', 'second', 'predicted', 'saliency', 'third')
    assert run(tool, folder, 'mask', *parts) == 0
    for img_id, one in arrays.items():
        first = initial_label(one['saliency'], one['oa'])
        second = potential_object_mining(first, one['cam'])
        second = ignore_if_small(second)
        third = non_salient_region_masking(
            one['prediction'], second, one['saliency'], len(one['cam'])
        )
        wanted = dict(first=first, second=second, third=ignore_if_small(third))
        for name, want in wanted.items():
            found = read_index_mask(str(folder / name / f'{img_id}.png'))
            np.testing.assert_array_equal(found, want)


def test_options_of_masking(tool, data):
    folder, arrays = data
    label = np.full(SHAPE, 255, np.uint8)
    label[:, 20:] = 8
    for img_id in CLASSES:
        write_label_map(str(folder / 'first' / f'{img_id}.png'), label)
    names = ('cam', 'first', 'predicted', 'saliency', 'out')
    parts = [folder / name for name in names]
    options = ('--saliency-threshold', 0.5, '--dilation', 3, '--keep-ignored')
    assert call(tool, 'mask', *parts, *options) == 0
    for img_id, one in arrays.items():
        args = (one['prediction'], label, one['saliency'], len(one['cam']))
        want = keep_ignored(non_salient_region_masking(*args, 3, 0.5), label)
        np.testing.assert_array_equal(
            read_index_mask(str(folder / 'out' / f'{img_id}.png')),
            ignore_if_small(want),
        )


def test_keep(tool, data, capsys):
    folder, arrays = data
    label = np.full(SHAPE, 255, np.uint8)
    label[:, 20:] = 8
    for img_id in CLASSES:
        write_label_map(str(folder / 'first' / f'{img_id}.png'), label)
    assert run(tool, folder, 'keep', 'first', 'predicted', 'out') == 0
    for img_id, one in arrays.items():
        np.testing.assert_array_equal(
            read_index_mask(str(folder / 'out' / f'{img_id}.png')),
            keep_ignored(one['prediction'], label),
        )
    (folder / 'out/a/1.png').unlink()
    write_label_map(str(folder / 'first/a/1.png'), label[:, 1:])
    assert run(tool, folder, 'keep', 'first', 'predicted', 'out') == 1
    line = error(capsys.readouterr())
    assert 'first/a/1.png: label map is 49 x 40 pixels, but the pred' in line
    (folder / 'first/a/1.png').unlink()
    assert run(tool, folder, 'keep', 'first', 'predicted', 'out') == 1
    assert 'first/a/1.png: ' in error(capsys.readouterr())


def test_a_broken_run_goes_on(tool, data, capsys):
    folder, _ = data
    there = folder / 'first/a/1.png'
    write_label_map(str(there), np.full(SHAPE, 9, np.uint8))
    (folder / 'saliency/b/1.png').rename(folder / 'later.png')
    assert run(tool, folder, 'initial', 'oa', 'saliency', 'first') == 1
    assert 'b/1.png' in capsys.readouterr().err
    assert not (folder / 'first/b').exists()
    (folder / 'later.png').rename(folder / 'saliency/b/1.png')
    assert run(tool, folder, 'initial', 'oa', 'saliency', 'first') == 0
    assert '1 written, 1 kept' in capsys.readouterr().out
    assert (read_index_mask(str(there)) == 9).all()


def test_one_line_for_what_is_wrong(tool, data, capsys):
    folder, _ = data
    write_label_map(str(folder / 'first/a/1.png'), np.zeros((3, 4), np.uint8))
    assert run(tool, folder, 'mine', 'cam', 'first', 'out') == 1
    line = error(capsys.readouterr())
    assert 'first/a/1.png: label map is 4 x 3 pixels, but the class' in line
    assert line.endswith('cam/a/1.npz are 50 x 40')
    assert run(tool, folder, 'mine', 'cam', 'first', 'first') == 1
    assert 'is a folder of the input' in capsys.readouterr().err


def step(tool, folder, name):
    """Run a step into ``out``."""
    parts = dict(
        initial=('oa', 'saliency'),
        mine=('cam', 'predicted'),
        mask=('cam', 'predicted', 'predicted2', 'saliency'),
    )[name]
    return run(tool, folder, name, *parts, 'out')


@pytest.fixture
def complete(data):
    """All that the three steps take."""
    folder, arrays = data
    for img_id, one in arrays.items():
        path = folder / 'predicted2' / f'{img_id}.png'
        write_label_map(str(path), one['prediction'])
    return folder


@pytest.mark.parametrize(
    ('name', 'missing', 'words'),
    [
        ('initial', 'saliency', 'saliency map does not exist'),
        ('mine', 'predicted', 'does not exist'),
        ('mask', 'predicted', 'does not exist'),
        ('mask', 'predicted2', 'does not exist'),
        ('mask', 'saliency', 'saliency map does not exist'),
    ],
)
def test_incomplete_folders(tool, complete, capsys, name, missing, words):
    path = complete / missing / 'b/1.png'
    content = path.read_bytes()
    path.unlink()
    assert step(tool, complete, name) == 1
    line = error(capsys.readouterr())
    assert f'{path}: ' in line
    assert words in line
    # What was made before is whole, and there is nothing else.
    assert [p.name for p in (complete / 'out').rglob('*.*')] == ['1.png']
    path.write_bytes(content)
    assert step(tool, complete, name) == 0
    assert '1 written, 1 kept' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('name', 'other'),
    [
        ('initial', 'saliency'),
        ('mine', 'predicted'),
        ('mask', 'predicted'),
        ('mask', 'predicted2'),
        ('mask', 'saliency'),
    ],
)
def test_other_sizes_and_broken_files(tool, complete, capsys, name, other):
    path = complete / other / 'a/1.png'
    write_label_map(str(path), np.zeros((40, 51), np.uint8))
    assert step(tool, complete, name) == 1
    line = error(capsys.readouterr())
    assert f'{path}: ' in line
    assert '51 x 40' in line
    assert '50 x 40' in line
    path.write_bytes(b'\x89PNG broken')
    assert step(tool, complete, name) == 1
    assert f'{path}: ' in error(capsys.readouterr())
    assert not list(complete.glob('out/**/*.png'))


@pytest.mark.parametrize('name', ['initial', 'mine', 'mask'])
def test_broken_class_maps(tool, complete, capsys, name):
    for folder in ('oa', 'cam'):
        (complete / folder / 'a/1.npz').write_bytes(b'broken')
    assert step(tool, complete, name) == 1
    assert 'a/1.npz: ' in error(capsys.readouterr())
    for folder in ('oa', 'cam'):
        path = complete / folder / 'a/1.npz'
        np.savez(path, maps=np.zeros((2, *SHAPE)), labels=np.array([4]))
    assert step(tool, complete, name) == 1
    assert 'a/1.npz: expected maps (K, H, W)' in error(capsys.readouterr())
    assert not list(complete.glob('out/**/*.png'))


def test_bad_ratio(tool, complete, capsys):
    parts = [complete / 'oa', complete / 'saliency', complete / 'out']
    assert call(tool, 'initial', *parts, '--min-ratio', 2) == 2
    assert '--min-ratio must be from 0 to 1' in capsys.readouterr().err


def test_an_image_without_labels(tool, complete):
    nothing = dict(maps=np.zeros((0, *SHAPE)), labels=np.zeros(0, np.int64))
    for folder in ('oa', 'cam'):
        np.savez(complete / folder / 'a/1.npz', **nothing)
    background = np.zeros(SHAPE, np.uint8)
    for folder in ('predicted', 'predicted2'):
        write_label_map(str(complete / folder / 'a/1.png'), background)
    saliency = np.zeros(SHAPE, np.uint8)
    saliency[:20] = 255
    cv2.imwrite(str(complete / 'saliency/a/1.png'), saliency)
    made = {}
    for name in ('initial', 'mine', 'mask'):
        assert step(tool, complete, name) == 0
        path = complete / 'out/a/1.png'
        made[name] = read_index_mask(str(path))
        for file in (complete / 'out').rglob('*.png'):
            file.unlink()
    # What is salient may be anything, the rest is background.
    np.testing.assert_array_equal(made['initial'][:20], 255)
    np.testing.assert_array_equal(made['initial'][20:], 0)
    # Less than 1 % of the pixels carry a class.
    assert (made['mine'] == 255).all()
    assert (made['mask'] == 255).all()


def test_missing_folders(tool, complete, capsys):
    assert run(tool, complete, 'initial', 'no', 'saliency', 'out') == 1
    assert 'no: folder does not exist' in error(capsys.readouterr())
    (complete / 'empty').mkdir()
    assert run(tool, complete, 'initial', 'empty', 'saliency', 'out') == 1
    assert 'empty: holds no ' in error(capsys.readouterr())
    assert not (complete / 'out').exists()


STEPS = {
    'initial': ('cam', 'saliency'),
    'mine': ('cam', 'predicted2'),
    'mask': ('cam', 'predicted2', 'predicted', 'saliency'),
    'keep': ('predicted2', 'predicted'),
}
SOURCES = [
    (step, place)
    for step, names in STEPS.items()
    for place, name in enumerate(names)
    if name != 'cam'
]


@pytest.fixture
def truth(complete):
    """All that the steps take, with masks and copies of them."""
    rng = np.random.default_rng(0)
    for img_id, classes in CLASSES.items():
        mask = np.zeros(SHAPE, np.uint8)
        mask[5:30, 5:30] = classes[0] + 1
        write_label_map(str(complete / 'masks' / f'{img_id}.png'), mask)
        # Also with pixels taken out.
        mask[rng.random(SHAPE) < 0.2] = 255
        write_label_map(str(complete / 'copies' / f'{img_id}.png'), mask)
    return complete


def run_with(tool, folder, step, place, other, *options):
    """Run a step with another folder at a place."""
    names = list(STEPS[step])
    names[place] = other
    return call(tool, step, *(folder / n for n in (*names, 'out')), *options)


@pytest.mark.parametrize(('step', 'place'), SOURCES)
def test_folders_of_ground_truth(tool, truth, capsys, step, place):
    option = ('--truth', truth / 'masks')
    (truth / STEPS[step][place]).rename(truth / 'SegmentationClass')
    (truth / 'link').symlink_to(truth / 'SegmentationClass')
    for name, options in (
        ('SegmentationClass', ()),
        ('link', ()),
        ('masks', option),
    ):
        assert run_with(tool, truth, step, place, name, *options) == 1
        line = error(capsys.readouterr())
        assert f'{truth / name}: is a folder of ground truth' in line
    assert not (truth / 'out').exists()


@pytest.mark.parametrize(
    ('step', 'place'), [s for s in SOURCES if STEPS[s[0]][s[1]] != 'saliency']
)
def test_copies_of_masks(tool, truth, capsys, step, place):
    option = ('--truth', truth / 'masks')
    assert run_with(tool, truth, step, place, 'copies', *option) == 1
    line = error(capsys.readouterr())
    assert 'copies: 2 of 2 label maps equal the masks in' in line
    assert not (truth / 'out').exists()
    name = STEPS[step][place]
    assert run_with(tool, truth, step, place, name, *option) == 0


def test_links_to_masks(tool, truth, capsys):
    (truth / 'masks').rename(truth / 'SegmentationClass')
    for name in ('a', 'b'):
        (truth / 'links' / name).mkdir(parents=True)
        mask = truth / 'SegmentationClass' / name / '1.png'
        (truth / 'links' / name / '1.png').symlink_to(mask)
    assert run_with(tool, truth, 'keep', 1, 'links') == 1
    assert 'is a folder of ground truth' in error(capsys.readouterr())
    assert not (truth / 'out').exists()
