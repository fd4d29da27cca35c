"""Tests of files that appear whole or not at all."""

import os
from unittest.mock import Mock

import pytest

from mmwsl.pseudo_labels.whole_file import write_whole


def test_writes_and_replaces(tmp_path, monkeypatch):
    path = tmp_path / 'a' / 'b.bin'
    write_whole(str(path), b'first')
    write_whole(str(path), b'second')
    assert path.read_bytes() == b'second'
    assert [p.name for p in path.parent.iterdir()] == ['b.bin']
    monkeypatch.chdir(tmp_path)
    write_whole('plain', b'x')
    assert (tmp_path / 'plain').read_bytes() == b'x'


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / 'a'
    path.write_bytes(b'old')
    monkeypatch.setattr(os, 'replace', Mock(side_effect=OSError('disk full')))
    with pytest.raises(OSError, match='disk full'):
        write_whole(str(path), b'new')
    assert [p.name for p in tmp_path.iterdir()] == ['a']
    assert path.read_bytes() == b'old'
