import pytest

from mmwsl.datasets.label_lists import (
    parse_labels,
    read_csv,
    read_label_file,
)


def test_lines_have_their_numbers(tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text('path,label\n\n a.jpg , cat|dog \n"b, c.jpg",\n,,\n')
    lines = [(3, ['a.jpg', 'cat|dog']), (4, ['b, c.jpg', ''])]
    assert read_label_file(str(path), 'list') == (lines, None, False)


@pytest.mark.parametrize(
    ('cells', 'expected'),
    [
        (['a', 'cat'], [('cat', None)]),
        (
            ['a', 'cat| dog', '', 'cow'],
            [(x, None) for x in ['cat', 'dog', 'cow']],
        ),
        (['a', ''], [('', None)]),
        (['a', 'cat', '3'], [('cat', 3)]),
        (['a', 'cat', '3.0'], [('cat', 3)]),
        (['a', 'cat', '0'], [('cat', 0)]),
        (['a', 'cat', 'dog'], [('cat', None), ('dog', None)]),
        (['a', '7', '3'], [('7', 3)]),
        (['a', 'cat', '0' * 17 + '3'], [('cat', 3)]),
        (['a', '7'], [('7', None)]),
        (['a', '7|9', ''], [('7', None), ('9', None)]),
        (['a', 'cat', ''], [('cat', None)]),
        (['a', '', ''], [('', None)]),
        (['a', '\u4e09', '\u4e94'], [('\u4e09', None), ('\u4e94', None)]),
    ],
)
def test_labels_and_counts(cells, expected):
    assert parse_labels('list.csv: line 1', cells) == expected


@pytest.mark.parametrize(
    ('cells', 'message'),
    [
        (['a'], '1 column, expected path,label'),
        (['a', 'cat', '-1'], "count '-1' is not a whole number"),
        (['a', 'cat', '1.5'], "count '1.5' is not a whole number"),
        (['a', '', '2'], 'a count without class'),
        (['a', 'cat', '\u00b2'], "count '\u00b2' is not a whole number"),
        (['a', 'cat', '\u00bd'], "count '\u00bd' is not a whole number"),
        (['a', 'cat', '9' * 5000], "count '9{5000}' has more than 18"),
        (['a', 'cat', '1', '5'], "'1' is a number, so the line must be path,"),
        (['a', 'cat|dog', '2'], "'2' is a number, so"),
        (['a', 'cat', '', '2'], "'2' is a number, so"),
        (['a', '2', 'cat'], "'2' is a number, so"),
        (['a', 'cat', '2', 'dog', '3'], "'2' is a number, so"),
        (['a', '7|9', 'cat'], "'7' is a number, so"),
    ],
)
def test_broken_lines(cells, message):
    with pytest.raises(ValueError, match=f'^list.csv: line 1: {message}'):
        parse_labels('list.csv: line 1', cells)


@pytest.mark.parametrize(
    'line', ['"b.jpg,dog', '"b.jpg"x,dog', 'b.jpg,"dog', 'b' * 200000]
)
def test_quotes_do_not_swallow_lines(tmp_path, line):
    path = tmp_path / 'list.csv'
    path.write_text(f'a.jpg,cat\n{line}\nc.jpg,"cow"\n')
    with pytest.raises(ValueError, match='list.csv: line 2: '):
        read_csv(str(path), 'list')


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('path,cat,dog\na,1,0\nb,0,1', [[('cat', None)], [('dog', None)]]),
        ('name,cat,dog\na,1.0,no\nb,0,0.0', [[('cat', None)], [('', None)]]),
        ('path,cat,\na,1\nb,0,', [[('cat', None)], [('', None)]]),
        (
            'path,cat,dog\na,3,1\nb,0,2',
            [[('cat', 3), ('dog', 1)], [('cat', 0), ('dog', 2)]],
        ),
        ('path,class,count\na,7,9\nb,7,8', [[('7', 9)], [('7', 8)]]),
        ('path,label\na,1\nb,0', [[('1', None)], [('0', None)]]),
        ('path,x,y\na,p,q\nb,p,', [[('p', None), ('q', None)], [('p', None)]]),
    ],
)
def test_tables(tmp_path, text, expected):
    path = tmp_path / 'list.csv'
    path.write_text(text)
    file = read_label_file(str(path), 'list')
    assert [parse_labels('', x, file) for _, x in file.lines] == expected


@pytest.mark.parametrize('sign', [';', '\t'])
@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('a b.jpg;cat|dog\n"c;d.jpg";cow', [['cat', 'dog'], ['cow']]),
        # A name with a comma, even in most lines.
        (
            'path;label\na, b.jpg;red, round\nc;x, y',
            [['red, round'], ['x, y']],
        ),
        ('path;cat;dog\na;1,0;0,0\nb;0,0;1,0', [['cat'], ['dog']]),
        ('path;cat;dog\na;1.0;0.0\nb;0.0;1.0', [['cat'], ['dog']]),
        ('path;cat;dog\na;TRUE;FALSE\nb;false;true', [['cat'], ['dog']]),
    ],
)
def test_other_signs_between_columns(tmp_path, text, expected, sign):
    path = tmp_path / 'list.csv'
    path.write_text(text.replace('"c;d', 'c d').replace(';', sign))
    for delimiter in ('', sign):
        file = read_label_file(str(path), 'list', delimiter=delimiter)
        found = [parse_labels('', x, file) for _, x in file.lines]
        assert [[label for label, _ in labels] for labels in found] == expected


def test_a_sign_of_some_lines_separates_nothing(tmp_path):
    path = tmp_path / 'list.csv'
    # Where several stand in all lines it is the comma.
    path.write_text('a;1.jpg,cat\nb;2.jpg,dog\n')
    assert read_csv(str(path), 'list')[0] == (1, ['a;1.jpg', 'cat'])
    path.write_text('a.jpg,cat;dog\nb.jpg,cow\n')
    assert read_csv(str(path), 'list')[0] == (1, ['a.jpg', 'cat;dog'])
    path.write_text('"a;1.jpg",cat\n"b;2.jpg"\n')
    assert read_csv(str(path), 'list')[1] == (2, ['b;2.jpg'])


@pytest.mark.parametrize(
    ('columns', 'expected'),
    [
        (dict(path='file', label='tag', count='n'), [('cat', 2)]),
        (dict(path='file', label='tag'), [('cat', None)]),
        (dict(path='file', label=['x', 'y']), [('y', None)]),
    ],
)
def test_columns_by_name(tmp_path, columns, expected):
    path = tmp_path / 'list.csv'
    path.write_text('id,tag,n,x,y,file\n5,cat,2,0,1,a.jpg\n')
    file = read_label_file(str(path), 'list', columns)
    ((number, cells),) = file.lines
    assert (number, cells[0]) == (2, 'a.jpg')
    assert parse_labels('', cells, file) == expected


def test_other_columns_are_those_of_a_table(tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text('cat,dog,file\n0,3,a.jpg\n1,0,b.jpg\n')
    file = read_label_file(str(path), 'list', dict(path='file'))
    assert file.classes == ['cat', 'dog']
    assert file.lines == [(2, ['a.jpg', '0', '3']), (3, ['b.jpg', '1', '0'])]


@pytest.mark.parametrize(
    ('columns', 'message'),
    [
        (dict(path='name'), r"list.csv: line 1 has no column 'name'"),
        (dict(path='file', label=['cow']), "line 1 has no column 'cow'"),
        (dict(label='tag'), 'columns name path, label and count, not no path'),
        (dict(path='file', tag='x'), r"not \['tag'\]"),
    ],
)
def test_wrong_columns(tmp_path, columns, message):
    path = tmp_path / 'list.csv'
    path.write_text('file,tag\na.jpg,cat\n')
    with pytest.raises(ValueError, match=message):
        read_label_file(str(path), 'list', columns)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('path,cat,cat\na,1,0', "line 1: the name 'cat'"),
        ('path,cat,dog\na,1', 'line 2: 1 numbers under 2'),
        ('path,cat,dog\na,1,0.5', "line 2: dog: count '0.5'"),
        ('path,cat,dog\na,1,-1', "line 2: dog: count '-1'"),
        ('path,cat,dog\na,1,\nb,,', "line 2: dog: count ''"),
        ('path,cat,dog\na,1,nan', "line 2: dog: count 'nan'"),
    ],
)
def test_broken_tables(tmp_path, text, message):
    path = tmp_path / 'list.csv'
    path.write_text(text)

    def read():
        file = read_label_file(str(path), 'list')
        for number, cells in file.lines:
            parse_labels(f'{path}: line {number}', cells, file)

    with pytest.raises(ValueError, match=f'list.csv: {message}'):
        read()


@pytest.mark.parametrize('lines', ['a.jpg,1,0\nb.jpg,0,1\n', 'a.jpg,3,1\n'])
def test_two_numbers_need_a_header(tmp_path, lines):
    path = tmp_path / 'labels.csv'
    path.write_text(lines)
    with pytest.raises(ValueError, match=r'labels\.csv: .*path,class,count'):
        read_label_file(str(path), 'list')
    path.write_text('path,class,count\n' + lines)
    assert read_label_file(str(path), 'list').classes is None
