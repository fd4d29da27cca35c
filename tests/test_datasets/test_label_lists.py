import pytest

from mmwsl.datasets.label_lists import csv_lines, is_number, parse_labels


def test_lines_have_their_numbers(tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text('path,label\n\n a.jpg , cat|dog \n"b, c.jpg",\n,,\n')
    assert list(csv_lines(str(path), 'list')) == [
        (3, ['a.jpg', 'cat|dog']),
        (4, ['b, c.jpg', '']),
    ]


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.csv: list does not'):
        list(csv_lines(str(tmp_path / 'none.csv'), 'list'))


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
