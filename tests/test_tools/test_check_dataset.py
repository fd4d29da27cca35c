import cv2
import numpy as np
import pytest

NAMES = ('ok', 'cut', 'empty', 'tiny', 'xml', 'zero', 'alien', 'mask')
XML = (
    '<annotation><size><width>{0}</width><height>{0}</height></size>'
    '<object><name>{1}</name><bndbox><xmin>1</xmin><ymin>1</ymin>'
    '<xmax>4</xmax><ymax>4</ymax></bndbox></object></annotation>'
)


@pytest.fixture
def broken(tmp_path):
    """One good image and one of each kind of broken ones."""
    root = tmp_path / 'data'
    folders = ('JPEGImages', 'Annotations', 'SegmentationClass')
    for folder in folders:
        (root / folder).mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3))
    for name in NAMES:
        for folder, suffix, img in (
            ('JPEGImages', '.jpg', noise),
            ('SegmentationClass', '.png', np.ones((20, 20))),
        ):
            path = root / folder / f'{name}{suffix}'
            cv2.imwrite(str(path), img.astype(np.uint8))
        path = root / 'Annotations' / f'{name}.xml'
        path.write_text(XML.format(20, 'cat'))
    cut = root / 'JPEGImages' / 'cut.jpg'
    cut.write_bytes(cut.read_bytes()[:-50])
    (root / 'JPEGImages' / 'empty.jpg').write_bytes(b'')
    one = np.zeros((1, 1, 3), np.uint8)
    cv2.imwrite(str(root / 'JPEGImages' / 'tiny.jpg'), one)
    (root / 'Annotations' / 'xml.xml').write_text('<annotation>')
    (root / 'Annotations' / 'zero.xml').write_text(XML.format(0, 'cat'))
    (root / 'Annotations' / 'alien.xml').write_text(XML.format(20, 'ufo'))
    small = np.ones((7, 9), np.uint8)
    cv2.imwrite(str(root / 'SegmentationClass' / 'mask.png'), small)
    (root / 'list.txt').write_text('\n'.join([*NAMES, 'gone', 'ok']))
    return root


def table_rows(text):
    """The cells of a table's lines."""
    lines = [x.strip('| ') for x in text.splitlines() if x.startswith('|')]
    return [[cell.strip() for cell in x.split('|')] for x in lines]


def write_config(tmp_path, root, split='val', wrap='{}', **more):
    dataset = dict(
        type='VOCImageLevelDataset',
        data_root=str(root),
        ann_file='list.txt',
        metainfo=dict(classes=['cat', 'dog']),
        test_mode=split != 'train',
        pipeline=[
            dict(type='LoadWSLImage'),
            dict(type='RandomResizedCrop', scale=8),
            *([dict(type='LoadEvalAnnotations')] if split != 'train' else []),
            dict(type='PackWSLInputs'),
        ],
        **more,
    )
    path = tmp_path / 'config.py'
    text = wrap.format(repr(dataset))
    path.write_text(f'{split}_dataloader = dict(dataset={text})\n')
    return str(path)


def test_every_broken_item_is_listed(tool, tmp_path, broken, capsys):
    assert tool.main([write_config(tmp_path, broken)]) == 1
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith('broken: ')]
    expected = (
        'xml.xml: XML does not parse',
        "alien.xml: class 'ufo' is not in the list",
        'list.txt: line 9 names the image',
        "ok.jpg: image id 'ok' is already taken",
        'cut.jpg: truncated JPEG',
        'empty.jpg: image file is empty',
        'tiny.jpg: image is 1 x 1 pixels',
        'mask.png: mask is 9 x 7 pixels',
    )
    assert len(lines) == len(expected)
    for part in expected:
        assert any(part in line for line in lines)
    assert '8 broken items in all' in out
    assert 'warning: dog is in no image' in out


def test_training_sets_do_not_need_masks(tool, tmp_path, broken, capsys):
    config = write_config(tmp_path, broken, 'train')
    assert tool.main([config]) == 1
    assert 'mask.png' not in capsys.readouterr().out


def test_report_of_a_good_set(tool, tmp_path, broken, capsys):
    (broken / 'good.txt').write_text('ok\n')
    config = write_config(tmp_path, broken)
    options = ['--cfg-options', 'val_dataloader.dataset.ann_file=good.txt']
    assert tool.main([config, *options]) == 0
    out = capsys.readouterr().out
    assert '1 images, 0 without label' in out
    assert 'smallest 20 x 20, median 20 x 20, largest 20 x 20' in out
    assert ['cat', '1', '100.00', '1', '0'] in table_rows(out)
    assert 'objects of a class in an image: 1: 1' in out
    assert '0 broken items in all' in out


def test_wrappers_are_entered_and_equal_sets_checked_once(
    tool, tmp_path, broken, capsys
):
    (broken / 'list.txt').write_text('ok\ncut\n')
    wrap = (
        "dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', "
        'times=3, dataset={0}), {0}])'
    )
    assert tool.main([write_config(tmp_path, broken, wrap=wrap)]) == 1
    out = capsys.readouterr().out
    assert out.count('broken: ') == 1
    assert '== val (2): the same as val' in out


def test_a_set_that_does_not_load_is_an_item(tool, tmp_path, broken, capsys):
    (broken / 'list.txt').unlink()
    assert tool.main([write_config(tmp_path, broken)]) == 1
    assert 'list.txt: list of images does not exist' in capsys.readouterr().out
    config = write_config(tmp_path, broken, colour='red')
    assert tool.main([config]) == 1
    assert "'colour'" in capsys.readouterr().out


def test_config_without_data(tool, tmp_path, capsys):
    path = tmp_path / 'config.py'
    path.write_text('a = 1\n')
    with pytest.raises(SystemExit) as stop:
        tool.main([str(path)])
    assert stop.value.code == 1
    assert 'the config has no data set' in capsys.readouterr().err
    path.write_text("val_dataloader = dict(dataset=dict(type='NoSuch'))\n")
    assert tool.main([str(path)]) == 1
    assert 'NoSuch: no such data set type' in capsys.readouterr().out


def test_statistics_known_answer(tool):
    statistics = tool.Statistics(['cat', 'dog', 'emu'])
    for labels, counts, difficult in (
        ([0, 1], [2, 1, 0], []),
        ([0], [12, 0, 0], []),
        ([1], [0, 0, 0], [1]),
        ([], [0, 0, 0], []),
    ):
        statistics.add_labels(
            dict(
                gt_label=np.array(labels, dtype=np.int64),
                gt_count=np.array(counts),
                gt_label_difficult=np.array(difficult, dtype=np.int64),
            )
        )
    assert statistics.shown.tolist() == [2, 2, 0]
    assert statistics.together == {(0, 1): 1}
    assert statistics.objects.tolist() == [14, 1, 0]
    assert statistics.difficult.tolist() == [0, 1, 0]
    lines = list(statistics.lines())
    assert lines[0] == '4 images, 1 without label'
    assert (
        'objects of a class in an image: 0: 1, 1: 1, 2: 1, 10 or more: 1'
        in lines
    )
    assert lines[-3:] == [
        'warning: emu is in no image',
        'warning: cat is in 2 images, 10 or more are better',
        'warning: dog is in 2 images, 10 or more are better',
    ]
    assert ['0 cat', '2', '1', '.'] in table_rows(lines[-4])


@pytest.mark.parametrize(
    ('shown', 'warned'),
    [(9, 'or more'), (10, ''), (90, ''), (91, 'cannot be located')],
)
def test_classes_that_are_rare_or_everywhere(tool, shown, warned):
    statistics = tool.Statistics(['cat'])
    for number in range(100):
        labels = np.zeros(int(number < shown), np.int64)
        hard = np.zeros(0, np.int64)
        statistics.add_labels(dict(gt_label=labels, gt_label_difficult=hard))
    found = [x for x in statistics.lines() if x.startswith('warning')]
    assert len(found) == bool(warned)
    assert all(warned in line for line in found)


def test_many_classes_are_shown_as_pairs(tool):
    statistics = tool.Statistics([f'class{i}' for i in range(30)])
    for labels in ([3, 7], [3, 7], [1, 2]):
        statistics.add_labels(
            dict(
                gt_label=np.array(labels),
                gt_label_difficult=np.array([], dtype=np.int64),
            )
        )
    lines = list(statistics.lines())
    start = lines.index('classes that are most often together:')
    assert lines[start + 1 : start + 3] == [
        'class3 + class7: 2',
        'class1 + class2: 1',
    ]
    assert 'counts: unknown' in lines
    # Thousands of classes would fill the screen.
    assert 'warning: and so are 1 more classes' in lines


def test_masks_without_the_labelled_class(tool, tmp_path, broken, capsys):
    (broken / 'good.txt').write_text('ok\n')
    mask = np.zeros((20, 20), np.uint8)
    mask[5:9, 5:9] = 2
    cv2.imwrite(str(broken / 'SegmentationClass' / 'ok.png'), mask)
    options = ['--cfg-options', 'val_dataloader.dataset.ann_file=good.txt']
    assert tool.main([write_config(tmp_path, broken), *options]) == 1
    assert 'ok.png: mask shows no pixel' in capsys.readouterr().out


def test_label_maps_of_segmentors(tool, tmp_path, broken, capsys):
    labels = np.ones((20, 20), np.uint8)
    labels[:3] = 255
    cv2.imwrite(str(broken / 'SegmentationClass/ok.png'), labels)
    alien = np.full((20, 20), 9, np.uint8)
    cv2.imwrite(str(broken / 'SegmentationClass/alien.png'), alien)
    names = ('ok', 'cut', 'alien', 'mask', 'gone')
    (broken / 'list.txt').write_text('\n'.join(names))
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(broken),
        ann_file='list.txt',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'
        ),
        metainfo=dict(classes=('background', 'cat', 'dog')),
        pipeline=[dict(type='LoadImageFromFile')],
    )
    wrapped = dict(type='mmwsl.SeededDataset', dataset=dataset)
    config = tmp_path / 'segmentor.py'
    config.write_text(
        f"default_scope = 'mmseg'\ntrain_dataloader = dict(dataset={wrapped})"
    )
    assert tool.main([str(config)]) == 1
    printed = capsys.readouterr().out
    assert 'cat: in 1 images' in printed
    assert "warning: no label map shows the class 'dog'" in printed
    found = [x for x in printed.splitlines() if x.startswith('broken: ')]
    parts = ('cut.jpg', 'alien.png', 'mask.png', 'gone.jpg')
    assert [any(part in x for x in found) for part in parts] == [True] * 4
    assert len(found) == 4
    # Objects stored as 255.
    labels[3:] = 0
    cv2.imwrite(str(broken / 'SegmentationClass/ok.png'), labels)
    (broken / 'list.txt').write_text('ok')
    assert tool.main([str(config)]) == 1
    assert 'ok.png: shows no class beside' in capsys.readouterr().out
    (broken / 'list.txt').write_text('')
    assert tool.main([str(config)]) == 1
    (broken / 'list.txt').unlink()
    assert tool.main([str(config)]) == 1
    assert 'list.txt' in capsys.readouterr().out
