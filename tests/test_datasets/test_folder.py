import pytest

from mmwsl.datasets import FolderDataset


def infos(data):
    return [data.get_data_info(i) for i in range(len(data))]


@pytest.fixture
def fruit(tmp_path, write_image):
    for name in ('pear/1.jpg', 'apple/1.png', 'apple/big/2.BMP'):
        write_image(tmp_path / name)
    (tmp_path / 'apple' / 'notes.txt').write_text('no image')
    (tmp_path / 'top.txt').write_text('no image')
    return tmp_path


def write(root, text):
    (root / 'list.csv').write_text(text)
    return dict(data_root=str(root), ann_file='list.csv')


def test_one_folder_a_class(fruit):
    data = FolderDataset(data_root=str(fruit))
    assert data.classes == ('apple', 'pear')
    assert [(i['img_id'], i['gt_label'].tolist()) for i in infos(data)] == [
        ('apple/1', [0]),
        ('apple/big/2', [0]),
        ('pear/1', [1]),
    ]
    assert 'gt_count' not in data.get_data_info(0)


def test_own_order_of_classes(fruit):
    root = str(fruit)
    classes = dict(classes=['pear', 'kiwi', 'apple'])
    data = FolderDataset(data_root=root, metainfo=classes)
    assert [i['gt_label'].tolist() for i in infos(data)] == [[2], [2], [0]]
    pears = dict(classes=['pear'])
    with pytest.raises(ValueError, match=r"apple: class 'apple' is not in"):
        FolderDataset(data_root=root, metainfo=pears)
    data = FolderDataset(
        data_root=root, metainfo=pears, unknown_class='ignore'
    )
    assert [i['gt_label'].tolist() for i in infos(data)] == [[], [], [0]]


def test_missing_and_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match='none: folder'):
        FolderDataset(data_root=str(tmp_path / 'none'))
    with pytest.raises(ValueError, match=f'^{tmp_path}.*: names no class'):
        FolderDataset(data_root=str(tmp_path))


@pytest.mark.parametrize('text', ['', 'path,label\n', 'apple/1.png,\n'])
def test_csv_without_class(fruit, text):
    with pytest.raises(ValueError, match='list.csv: names no class, and'):
        FolderDataset(**write(fruit, text))


@pytest.mark.parametrize('header', ['', 'path,labels\n', '\ufeffpath,label\n'])
def test_csv_of_labels(fruit, header):
    text = 'pear/1.jpg, apple|pear\n\napple/1.png,"red, round"\n'
    data = FolderDataset(**write(fruit, header + text + 'apple/big/2.BMP,'))
    assert data.classes == ('apple', 'pear', 'red, round')
    assert [(i['img_id'], i['gt_label'].tolist()) for i in infos(data)] == [
        ('pear/1', [0, 1]),
        ('apple/1', [2]),
        ('apple/big/2', []),
    ]
    assert 'gt_count' not in data.get_data_info(0)


def test_csv_of_counts(fruit):
    text = 'path,class,count\npear/1,pear,3,\npear/1,apple,1\napple/1,pear,0\n'
    data = FolderDataset(**write(fruit, text))
    first, second = infos(data)
    assert first['img_path'].endswith('pear/1.jpg')
    assert first['gt_count'].tolist() == [1, 3]
    assert first['gt_label'].tolist() == [0, 1]
    assert second['gt_count'].tolist() == [0, 0]
    assert second['gt_label'].tolist() == []


def test_images_of_nothing_have_counts_of_zero(fruit):
    text = 'pear/1.jpg,pear,3\napple/1.png,\n'
    first, second = infos(FolderDataset(**write(fruit, text)))
    assert first['gt_count'].tolist() == [3]
    assert second['gt_count'].tolist() == [0]
    assert second['gt_label'].tolist() == []
    # Without any count nothing is known.
    data = FolderDataset(**write(fruit, 'apple/1.png,\npear/1.jpg,pear\n'))
    assert all('gt_count' not in info for info in infos(data))


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('apple/1.png,apple,-1', "count '-1' is not a whole number"),
        (',apple', 'no path in the first column'),
        ('pear/1.jpg,pear,2', "a second count of 'pear'"),
        ('apple/1.png,pear', "'pear' has no count, as it has in other"),
    ],
)
def test_broken_lines(fruit, line, message):
    config = write(fruit, f'pear/1.jpg,pear,3\n{line}\n')
    with pytest.raises(ValueError, match=f'list.csv: line 2: {message}'):
        FolderDataset(**config)
    data = FolderDataset(collect_problems=True, **config)
    assert len(data) == 1
    place, found = data.problems[0]
    assert place.endswith('list.csv: line 2')
    assert found.startswith(message)


def test_lines_that_do_not_fit_the_data(fruit):
    config = write(fruit, 'pear/1.jpg,pear\napple/1.png,aple\n')
    with pytest.raises(ValueError, match=r"list.csv: line 2: class 'aple'"):
        FolderDataset(metainfo=dict(classes=['apple', 'pear']), **config)
    config = write(fruit, 'pear/1.jpg,pear\npear/9.jpg,pear\n')
    with pytest.raises(FileNotFoundError, match=r'line 2: .*pear/9.jpg'):
        FolderDataset(**config)


def test_masks_in_test_mode_only(fruit):
    config = dict(
        data_root=str(fruit),
        data_prefix=dict(img_path='apple', seg_map_path='masks'),
        ann_file=str(fruit / 'list.csv'),
    )
    write(fruit, '1.png,apple\n')
    assert 'eval_ann' not in FolderDataset(**config).get_data_info(0)
    info = FolderDataset(test_mode=True, **config).get_data_info(0)
    assert info['eval_ann']['seg_map_path'] == str(fruit / 'masks' / '1.png')
    assert info['img_id'] == '1'


def test_a_table_names_all_classes(fruit):
    config = write(fruit, 'path,pear,fig\npear/1.jpg,4,0\napple/1.png,0,1\n')
    data = FolderDataset(**config)
    assert data.classes == ('fig', 'pear')
    assert data.get_data_info(0)['gt_count'].tolist() == [0, 4]
    assert data.get_cat_ids(1) == [0]
    with pytest.raises(ValueError, match="class 'fig' is not in the list"):
        FolderDataset(metainfo=dict(classes=['pear']), **config)


def test_folders_without_image_are_named(fruit, said):
    (fruit / 'fig').mkdir()
    (fruit / 'fig' / 'a.heic').touch()
    (fruit / '.git').mkdir()
    assert 'fig' not in FolderDataset(data_root=str(fruit)).classes
    assert '1 .heic' in said[0]
    assert 'no image is in the folder fig' in said[1]


def test_images_beside_the_folders_are_named(fruit, write_image, said):
    write_image(fruit / 'loose.png')
    write_image(fruit / '@eaDir' / 'thumb.png')
    data = FolderDataset(data_root=str(fruit))
    assert '@eaDir' not in data.classes
    assert [text for text in said if str(fruit / 'loose.png') in text]


def test_a_header_of_another_name(fruit):
    config = write(fruit, 'image;fruit\npear/1.jpg;green pear\n')
    with pytest.raises(FileNotFoundError, match=r'line 1: .*columns=dict'):
        FolderDataset(**config)
    columns = dict(path='image', label='fruit')
    data = FolderDataset(columns=columns, delimiter=';', **config)
    assert data.classes == ('green pear',)
