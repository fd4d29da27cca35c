import json

import cv2
import numpy as np
import pytest
from PIL import Image

from tool_calls import call, metrics
from tool_calls import fails as failure

# Background, cat, dog, dog, ignored.
MASK = np.array([[0, 1, 2, 2, 255]], np.uint8)
MAPS = np.array([[[0.3, 0.9, 0.2, 0.2, 1.0]], [[0.1, 0.1, 0.9, 0.4, 0.0]]])


@pytest.fixture
def folder(tmp_path):
    for name in ('maps', 'masks'):
        (tmp_path / name / 'a').mkdir(parents=True)
    save_mask(tmp_path / 'masks/a/1.png', MASK)
    return tmp_path


def save_mask(path, mask):
    """Write a palette picture, as VOC's masks are."""
    image = Image.fromarray(mask)
    image.putpalette([i % 256 for i in range(768)])
    image.save(path)


def run(tool, folder, *args):
    line = [folder / 'maps', folder / 'masks', '--classes', 'cat,dog']
    return metrics(tool, folder, *line, *args)


def fails(tool, folder, capsys, *args):
    line = [folder / 'maps', folder / 'masks', '--classes', 'cat,dog']
    return failure(tool, capsys, *line, *args)


def test_npz_known_answer(tool, folder):
    np.savez(folder / 'maps/a/1.npz', maps=MAPS[::-1], labels=[1, 0])
    found = run(tool, folder)
    assert found['mIoU'] == 100
    # In double precision the pixel at 0.3 is lost below 0.3 only.
    assert found['best_threshold'] == 0.3
    found = run(
        tool, folder, '--thresholds', '0.1', '0.5', '--fixed-threshold', '0.1'
    )
    # See test_seed_iou_metric for the counts.
    assert found['mIoU'] == 66.67
    assert found['mIoU@fixed'] == 50


@pytest.mark.parametrize(
    'content',
    [
        {0: MAPS[0], 1: MAPS[1]},
        {'keys': np.array([0, 1]), 'high_res': MAPS, 'cam': MAPS[..., ::2]},
    ],
)
def test_pickled_dicts_need_consent(tool, folder, capsys, content):
    np.save(folder / 'maps/a/1.npy', content, allow_pickle=True)
    line = fails(tool, folder, capsys)
    assert 'a/1.npy' in line
    assert '--allow-pickle' in line
    assert run(tool, folder, '--allow-pickle')['mIoU'] == 100


@pytest.mark.parametrize(
    'empty', [{}, {'keys': np.zeros(0, int), 'high_res': np.zeros((0, 1, 5))}]
)
def test_empty_dicts_are_all_background(tool, folder, empty):
    np.save(folder / 'maps/a/1.npy', {0: MAPS[0], 1: MAPS[1]})
    np.save(folder / 'maps/a/2.npy', empty)
    save_mask(folder / 'masks/a/2.png', np.array([[0, 0, 0, 1]], np.uint8))
    if empty:
        save_mask(
            folder / 'masks/a/2.png', np.array([[0, 0, 0, 1, 255]], np.uint8)
        )
    found = run(tool, folder, '--allow-pickle', '--thresholds', '0.3')
    # Background 4 of 5, cat 1 of 2, dog 2 of 2.
    assert found['mIoU'] == pytest.approx(100 * 2.3 / 3, abs=0.01)


def test_other_pickles_are_no_empty_dict(tool, folder, capsys):
    for content in (None, [], np.array([{}, {}]), {'a': 1}):
        np.save(folder / 'maps/a/1.npy', np.array(content, object))
        line = fails(tool, folder, capsys, '--allow-pickle')
        assert 'a/1.npy' in line
    np.savez(folder / 'maps/a/1.npz')
    (folder / 'maps/a/1.npy').unlink()
    assert 'a/1.npz' in fails(tool, folder, capsys)


def test_npy_with_given_labels_and_list(tool, folder):
    np.save(folder / 'maps/a/1.npy', MAPS)
    np.save(folder / 'maps/a/2.npy', MAPS)
    (folder / 'list.txt').write_text('a/1.jpg 1\n\n')
    (folder / 'labels.csv').write_text('a/1.jpg,cat\n')
    listed = ('--list', str(folder / 'list.txt'))
    assert run(tool, folder, *listed)['mIoU'] == 100
    given = ('--labels', str(folder / 'labels.csv'))
    found = run(tool, folder, *listed, *given, '--thresholds', '0.5')
    assert found['mIoU'] == pytest.approx(100 * (1 / 3 + 1) / 3, abs=0.01)


def test_saliency_and_power(tool, folder):
    np.save(folder / 'maps/a/1.npy', MAPS)
    (folder / 'saliency/a').mkdir(parents=True)
    plane = np.array([[20, 230, 230, 230, 0]], np.uint8)
    cv2.imwrite(str(folder / 'saliency/a/1.png'), plane)
    saliency = ('--saliency', str(folder / 'saliency'))
    found = run(tool, folder, '--background', 'saliency', *saliency)
    assert found['mIoU'] == 100
    # The same in 16 bits.
    plane = plane.astype(np.uint16) * 257
    cv2.imwrite(str(folder / 'saliency/a/1.png'), plane)
    found = run(tool, folder, '--background', 'saliency', *saliency)
    assert found['mIoU'] == 100
    sweep = folder / 'sweep.json'
    found = run(tool, folder, '--background', 'power', '--sweep', str(sweep))
    assert found['mIoU'] == 100
    assert len(json.loads(sweep.read_text())) == 21


def test_bad_saliency(tool, folder, capsys):
    np.save(folder / 'maps/a/1.npy', MAPS)
    options = ('--background', 'saliency', '--saliency', str(folder / 'sal'))
    line = fails(tool, folder, capsys, *options)
    assert line.endswith('sal/a/1.png: saliency map does not exist')
    (folder / 'sal/a').mkdir(parents=True)
    cv2.imwrite(str(folder / 'sal/a/1.png'), np.zeros((1, 6), np.uint8))
    line = fails(tool, folder, capsys, *options)
    assert 'sal/a/1.png: saliency map is 6 x 1 pixels' in line
    assert line.endswith('its image a/1 is 5 x 1')


def test_label_maps(tool, folder, capsys):
    save_mask(folder / 'maps/a/1.png', np.array([[0, 1, 2, 255, 0]], np.uint8))
    found = run(tool, folder)
    assert found == {
        'mIoU': 100,
        'mPrecision': 100,
        'mRecall': 100,
        # One of four scored pixels is left out by the prediction.
        'coverage': 75,
    }
    assert '| dog' in capsys.readouterr().out


def test_what_ignored_pixels_count_as(tool, folder, capsys):
    # Background right, cat right, the first dog pixel ignored, the second one
    # right; what the mask ignores is not judged.
    save_mask(folder / 'maps/a/1.png', np.array([[0, 1, 255, 2, 2]], np.uint8))
    assert run(tool, folder, '--ignored', 'left-out')['mIoU'] == 100
    text = capsys.readouterr().out
    assert f'images: 1, all in {folder}/maps' in text
    assert '25.00 % of those that the masks judge, left out' in text
    found = run(tool, folder, '--ignored', 'background')
    # IoU of background 1 of 2, cat 1, dog 1 of 2; precision 1/2, 1, 1.
    assert found['mIoU'] == pytest.approx(100 * 2 / 3, abs=0.01)
    assert found['mPrecision'] == pytest.approx(100 * 2.5 / 3, abs=0.01)
    found = run(tool, folder, '--ignored', 'wrong')
    # The background does not pay for it.
    assert found['mIoU'] == pytest.approx(100 * 2.5 / 3, abs=0.01)
    assert found['mPrecision'] == 100
    assert found['mRecall'] == pytest.approx(100 * 2.5 / 3, abs=0.01)
    assert found['coverage'] == 75
    assert 'counted as missed' in capsys.readouterr().out


def test_wrong_needs_no_room_among_the_classes(tool, folder, capsys):
    save_mask(folder / 'maps/a/1.png', np.array([[0, 1, 3, 2, 2]], np.uint8))
    line = fails(tool, folder, capsys, '--ignored', 'wrong')
    assert 'prediction holds values other than 0..2 and 255' in line


def test_the_split_is_named(tool, folder, capsys):
    save_mask(folder / 'maps/a/1.png', MASK)
    (folder / 'list.txt').write_text('a/1\n')
    run(tool, folder, '--list', str(folder / 'list.txt'))
    assert f'images: 1, {folder}/list.txt; ' in capsys.readouterr().out


def test_classes_of_voc(tool, folder):
    save_mask(folder / 'maps/a/1.png', np.array([[0, 1, 20, 2, 2]], np.uint8))
    found = run(tool, folder, '--classes', 'voc')
    # Background and class 1 are right; 2 is half missed, 20 is wrong.
    assert found['mIoU'] == pytest.approx(100 * 2.5 / 4, abs=0.01)


@pytest.mark.parametrize(
    ('maps', 'message'),
    [
        (MAPS[:1], 'shape (1, 1, 5), expected (2, H, W)'),
        (MAPS[0], 'shape (1, 5)'),
        (MAPS * 2, 'maps must be in [0, 1]'),
        (MAPS * np.nan, 'without NaN'),
        (MAPS[..., :3], 'differ in size'),
    ],
)
def test_bad_maps_name_the_file(tool, folder, capsys, maps, message):
    np.save(folder / 'maps/a/1.npy', maps)
    line = fails(tool, folder, capsys)
    assert line.startswith(f'error: {folder}/maps/a/1.npy: ')
    assert message in line


def test_missing_files(tool, folder, capsys):
    assert 'holds no .npz, .npy, .png' in fails(tool, folder, capsys)
    np.savez(folder / 'maps/a/2.npz', maps=MAPS, labels=[0, 1])
    assert 'masks/a/2.png: mask does not' in fails(tool, folder, capsys)
    (folder / 'list.txt').write_text('a/1\na/2\n')
    line = fails(tool, folder, capsys, '--list', str(folder / 'list.txt'))
    assert 'maps: no file for 1 of 2 images' in line
    line = fails(tool, folder, capsys, '--classes', str(folder / 'no.txt'))
    assert 'no.txt: class list does not exist' in line


def test_label_map_with_unknown_class(tool, folder, capsys):
    save_mask(folder / 'maps/a/1.png', MASK + 7)
    line = fails(tool, folder, capsys)
    assert 'a/1.png: prediction holds values other than 0..2' in line


def test_both_kinds_of_maps(tool, folder, capsys):
    np.save(folder / 'maps/a/1.npy', MAPS)
    save_mask(folder / 'maps/a/2.png', MASK)
    assert 'both class maps and label maps' in fails(tool, folder, capsys)
    save_mask(folder / 'maps/a/1.png', MASK)
    assert 'maps/a/1' in fails(tool, folder, capsys)


@pytest.mark.parametrize('kind', ['maps', 'label map'])
def test_masks_of_0_and_255(tool, folder, capsys, kind):
    save_mask(folder / 'masks/a/1.png', (MASK > 0).astype(np.uint8) * 255)
    if kind == 'maps':
        np.savez(folder / 'maps/a/1.npz', maps=MAPS, labels=[0, 1])
    else:
        save_mask(folder / 'maps/a/1.png', MASK)
    line = [folder / 'maps', folder / 'masks', '--classes', 'cat,dog']
    assert call(tool, *line) == 1
    printed = capsys.readouterr().err
    assert 'a/1.png: mask holds nothing but 0 and 255' in printed
    assert 'no mask shows a class' in printed


OWN_XML = (
    '<annotation><object><name>cat</name><bndbox><xmin>1</xmin>'
    '<ymin>1</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object>'
    '<object><name>dog</name><bndbox><xmin>7</xmin><ymin>1</ymin>'
    '<xmax>10</xmax><ymax>6</ymax></bndbox></object></annotation>'
)


def own_data(root):
    """Two images of 10 x 8 pixels with a cat and a dog each."""
    (root / 'own').mkdir()
    for name in 'bc':
        picture = np.zeros((8, 10, 3), np.uint8)
        cv2.imwrite(str(root / f'own/{name}.png'), picture)
        (root / f'own/{name}.xml').write_text(OWN_XML)
    label_map = np.zeros((8, 10), np.uint8)
    label_map[:4, :3] = 1
    label_map[0, 9] = 2
    (root / 'labels').mkdir()
    save_mask(root / 'labels/b.png', label_map)
    return [str(root / 'labels'), '--data-root', str(root / 'own')]


def test_own_boxes(tool, tmp_path, capsys):
    found = metrics(tool, tmp_path, *own_data(tmp_path))
    # The cat is found; of the dog's 24 pixels one is.
    assert found['box_recall@0.5'] == found['box_precision@0.5'] == 50
    assert found['CorLoc'] == 50
    assert found['best_box_IoU'] == round(100 * (1 + 1 / 24) / 2, 2)
    assert found['mIoU'] == pytest.approx(
        100 * (1 + 1 / 24 + 44 / 67) / 3, abs=0.01
    )
    assert '2 images, of which 1 have a map' in capsys.readouterr().out


def test_own_boxes_of_class_maps(tool, tmp_path):
    argv = own_data(tmp_path)
    cat = np.zeros((1, 8, 10))
    cat[0, :4, :3] = 1
    np.savez(tmp_path / 'labels/c.npz', maps=cat, labels=[0])
    (tmp_path / 'labels/b.png').unlink()
    assert metrics(tool, tmp_path, *argv)['mIoU'] == pytest.approx(
        100 * (1 + 0 + 44 / 68) / 3, abs=0.01
    )


def test_own_data_that_cannot_judge(tool, tmp_path, capsys):
    argv = own_data(tmp_path)
    for wrong, named in (
        ([argv[0]], 'either a folder of masks or --data-root'),
        ([*argv[:1], str(tmp_path), *argv[1:]], 'either a folder of masks'),
        ([argv[0], str(tmp_path)], 'needs --classes'),
    ):
        assert named in failure(tool, capsys, *wrong)
