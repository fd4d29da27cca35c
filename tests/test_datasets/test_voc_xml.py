import pytest

from mmwsl.datasets.voc import read_voc_xml

OBJECT = (
    '<object><name> cat </name>{}<bndbox><xmin>3</xmin><ymin>1.5</ymin>'
    '<xmax>3</xmax><ymax>4</ymax></bndbox></object>'
)


def write(tmp_path, text):
    path = tmp_path / 'a.xml'
    path.write_text(f'<annotation>{text}</annotation>')
    return str(path)


def test_known_answer(tmp_path):
    text = OBJECT.format('<difficult>1</difficult>') + OBJECT.format('')
    annotation = read_voc_xml(write(tmp_path, text))
    assert annotation.size is None
    first, second = annotation.objects
    assert first == ('cat', True, (2.0, 0.5, 3.0, 4.0))
    assert second.difficult is False


@pytest.mark.parametrize(
    ('width', 'size'), [('4', (5, 4)), ('0', None), ('x', None), ('', None)]
)
def test_a_size_that_is_not_known(tmp_path, width, size):
    text = f'<size><width>{width}</width><height>5</height></size>'
    annotation = read_voc_xml(write(tmp_path, text + OBJECT.format('')))
    assert annotation.size == size
    assert annotation.objects[0].name == 'cat'


def test_a_namespace(tmp_path):
    path = tmp_path / 'a.xml'
    path.write_text(
        f'<annotation xmlns="u:v">{OBJECT.format("")}</annotation>'
    )
    assert [o.name for o in read_voc_xml(str(path)).objects] == ['cat']


@pytest.mark.parametrize(
    ('text', 'difficult'),
    [('true', True), ('False', False), (' 1 ', True), ('', False)],
)
def test_difficult_in_words(tmp_path, text, difficult):
    text = OBJECT.format(f'<difficult>{text}</difficult>')
    assert read_voc_xml(write(tmp_path, text)).objects[0][1] is difficult


def test_counting_from_0(tmp_path):
    path = write(tmp_path, OBJECT.format(''))
    assert read_voc_xml(path, 0).objects[0].box == (3, 1.5, 4, 5)


def test_objects_without_box(tmp_path):
    path = write(tmp_path, '<object><name>cat</name></object>')
    assert read_voc_xml(path).objects == [('cat', False, None)]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('<object>', 'a.xml: XML does not parse'),
        (OBJECT.format('').replace('cat', ''), 'object 1 has no name'),
        (OBJECT.format('').replace('3</xmin', 'x</xmin'), "xmin is 'x'"),
        (OBJECT.format('').replace('<ymax>4</ymax>', ''), 'ymax is None'),
        (OBJECT.format('').replace('3</xmax', '2</xmax'), 'inverted box'),
        (OBJECT.format('').replace('3</xmin', 'nan</xmin'), "xmin is 'nan'"),
        (OBJECT.format('<difficult>2</difficult>'), "difficult is '2'"),
    ],
)
def test_broken_files(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as error:
        read_voc_xml(write(tmp_path, text))
    assert '\n' not in str(error.value)


def test_empty_and_missing_file(tmp_path):
    path = tmp_path / 'a.xml'
    with pytest.raises(FileNotFoundError, match='a.xml: annotation file'):
        read_voc_xml(str(path))
    path.write_bytes(b'')
    with pytest.raises(ValueError, match='a.xml: XML does not parse'):
        read_voc_xml(str(path))


def test_an_unknown_encoding(tmp_path):
    path = tmp_path / 'a.xml'
    path.write_text('<?xml version="1.0" encoding="nonsense"?><annotation/>')
    with pytest.raises(ValueError, match='a.xml: XML does not parse'):
        read_voc_xml(str(path))
