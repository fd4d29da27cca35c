import pytest

from mmwsl.datasets.voc_xml import read_voc_xml

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


def test_size(tmp_path):
    size = '<size><width>{}</width><height>5</height></size>'
    assert read_voc_xml(write(tmp_path, size.format(4))).size == (5, 4)
    with pytest.raises(ValueError, match='a.xml: image size is 0 x 5'):
        read_voc_xml(write(tmp_path, size.format(0)))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('<object>', 'a.xml: XML does not parse'),
        (OBJECT.format('').replace('cat', ''), 'object 1 has no name'),
        (OBJECT.format('').replace('3</xmin', 'x</xmin'), "xmin is 'x'"),
        (OBJECT.format('').replace('<ymax>4</ymax>', ''), 'ymax is None'),
        (OBJECT.format('').replace('3</xmax', '2</xmax'), 'inverted box'),
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
