import pytest

from mmwsl.datasets.label_lists import (
    is_number,
    parse_labels,
    read_csv,
    read_label_file,
)


def test_lines_have_their_numbers(tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text('path,label\n\n a.jpg , cat|dog \n"b, c.jpg",\n,,\n')
    lines = [(3, ['a.jpg', 'cat|dog']), (4, ['b, c.jpg', ''])]
    assert read_label_file(str(path), 'list') == (lines, None, False)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.csv: list does not'):
        read_csv(str(tmp_path / 'none.csv'), 'list')


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
        (['a', 'cat', '0'], [('cat', 0)]),
        (['a', 'cat', 'dog'], [('cat', None), ('dog', None)]),
        (['a', 'cat', '3', '', ''], [('cat', 3)]),
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
        (['a', 'cat', '1e3'], "count '1e3' is not a whole number"),
        (['a', '', '2'], 'a count without class'),
        (['a', 'cat', '\u00b2'], "count '\u00b2' is not a whole number"),
        (['a', 'cat', '\u00bd'], "count '\u00bd' is not a whole number"),
        (['a', 'cat', '9' * 23], "count '9{23}' has more than 18 digits"),
        (['a', 'cat', '9' * 5000], "count '9{5000}' has more than 18"),
        (['a', 'cat', '1', '5'], "'1' is a number, so the line must be path,"),
        (['a', 'cat', '1|5'], "'1' is a number, so"),
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


def test_numbers():
    assert [is_number(x) for x in ('1', '-2.5', 'nan', 'cat', '')] == [
        True,
        True,
        True,
        False,
        False,
    ]


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
