"""Breaking files, each in one way."""

import gzip
import io
import json
import os
import zipfile
import zlib
from typing import Any, Callable, Dict, Tuple

import numpy as np
import torch
from PIL import Image


def text_break(change: Callable[[str], str]) -> Callable[[bytes], bytes]:
    def apply(content: bytes) -> bytes:
        changed = change(content.decode())
        assert changed != content.decode()
        return changed.encode()

    return apply


def huge_picture(_: bytes) -> bytes:
    """A PNG of a few bytes whose header says 60000 x 60000."""
    buffer = io.BytesIO()
    Image.new('L', (8, 8)).save(buffer, 'PNG')
    data = bytearray(buffer.getvalue())
    data[16:24] = (60000).to_bytes(4, 'big') * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, 'big')
    return bytes(data)


def picture(array: np.ndarray, suffix: str = 'PNG') -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, suffix)
    return buffer.getvalue()


def arrays(**content: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **content)
    return buffer.getvalue()


def array(content: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, content)
    return buffer.getvalue()


def npz(**changes: Any) -> Callable[[bytes], bytes]:
    """Replace arrays of an archive; None drops one."""

    def apply(content: bytes) -> bytes:
        with np.load(io.BytesIO(content)) as archive:
            found = {name: archive[name] for name in archive.files}
        for name, value in changes.items():
            old = found.pop(name)
            if value is not None:
                found[name] = value(old)
        return arrays(**found)

    return apply


class Code:
    """What a pickle would run."""

    def __reduce__(self) -> Tuple[Any, ...]:
        return os.mkdir, ('escaped',)


def pth(change: Callable[[Dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """Change what a checkpoint holds."""

    def apply(content: bytes) -> bytes:
        found = torch.load(io.BytesIO(content), weights_only=False)
        buffer = io.BytesIO()
        torch.save(change(found), buffer)
        return buffer.getvalue()

    return apply


def with_weights(change: Callable[[str, torch.Tensor], Any]) -> Any:
    """Change the first tensor of a checkpoint; None drops it."""

    def apply(content: Dict[str, Any]) -> Dict[str, Any]:
        state = content.get('state_dict', content)
        name = next(iter(state))
        state[name] = change(name, state[name])
        if state[name] is None:
            del state[name]
        return content

    return pth(apply)


def npz_bomb(_: bytes) -> bytes:
    """An array whose header promises 2**40 bytes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header,
        dict(descr='|u1', fortran_order=False, shape=(1, 2**20, 2**20)),
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as archive:
        for name in ('maps', 'bits', 'arr_0'):
            archive.writestr(f'{name}.npy', header.getvalue())
        archive.writestr('labels.npy', array(np.array([0])))
        archive.writestr('size.npy', array(np.array([2**20, 2**20])))
    return out.getvalue()


def replace_in_json(content: bytes, key: Tuple[Any, ...], value: Any) -> bytes:
    data = json.loads(content)
    node = data
    for step in key[:-1]:
        node = node[step]
    if value is KeyError:
        del node[key[-1]]
    else:
        node[key[-1]] = value
    return json.dumps(data).encode()


LFS = (
    b'version https://git-lfs.github.com/spec/v1\n'
    b'oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1\nsize 12345\n'
)
BYTES: Dict[str, Callable[[bytes], bytes]] = {
    'empty': lambda data: b'',
    'half': lambda data: data[: len(data) // 2],
    'html': lambda data: b'<!DOCTYPE html><html>404 Not Found</html>\n',
    'lfs': lambda data: LFS,
    'noise': lambda data: np.random.default_rng(0).bytes(len(data)),
    'zeros': lambda data: bytes(len(data)),
    'gzip': gzip.compress,
    'utf-16': lambda data: b'\xff\xfe' + data.decode().encode('utf-16-le'),
    'no text': lambda data: b'\xe9\xff\x00' + data[:-1],
}
BINARY = ('empty', 'half', 'html', 'lfs', 'noise', 'zeros', 'gzip')
TEXT = ('empty', 'html', 'lfs', 'noise', 'zeros', 'gzip', 'no text', 'folder')
PICTURES: Dict[str, Callable[[bytes], bytes]] = {
    'huge picture': huge_picture,
    'other size': lambda data: picture(np.ones((9, 7), np.uint8)),
    'colours': lambda data: picture(
        np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    ),
    'out of range': lambda data: picture(np.full((48, 64), 77, np.uint8)),
    'not finite': lambda data: picture(
        np.full((48, 64), np.nan, np.float32), 'TIFF'
    ),
}
MASK = (*BINARY, 'huge picture', 'other size', 'colours', 'out of range')
SALIENCY = (*BINARY, 'huge picture', 'other size', 'not finite')
IMAGE = (*BINARY, 'huge picture')
ARRAYS: Dict[str, Callable[[bytes], bytes]] = {
    'maps nan': npz(maps=lambda x: x * np.nan),
    'maps texts': npz(maps=lambda x: x.astype('U4')),
    'labels fractions': npz(labels=lambda x: x + 0.5),
    'labels more': npz(labels=lambda x: np.array([0, 1])),
    'bomb': npz_bomb,
    'objects': lambda data: arrays(
        maps=np.array([dict()], object), labels=np.array([0])
    ),
}
PROPOSALS: Dict[str, Callable[[bytes], bytes]] = {
    'bits missing': npz(bits=None),
    'bits short': npz(bits=lambda x: x[:, :-9]),
    'size nan': npz(size=lambda x: x * np.nan),
    'bomb': npz_bomb,
}
PLAIN: Dict[str, Callable[[bytes], bytes]] = {
    'array nan': lambda data: array(np.full((48, 64), np.nan, np.float32)),
    'array deep': lambda data: array(np.ones((2, 3, 4, 5), np.float32)),
    'array objects': lambda data: array(np.array([dict()], object)),
}
CSV: Dict[str, Callable[[bytes], bytes]] = {
    'open quote': text_break(lambda x: x.replace('\nb', '\n"b', 1)),
    'cell missing': text_break(lambda x: x.rsplit(',', 1)[0] + '\n'),
    'cell more': text_break(lambda x: x.rstrip() + ',1,2\n'),
    **{
        f'number {value[:5]}': text_break(
            lambda x, value=value: f'{x.rstrip().rpartition(",")[0]},{value}\n'
        )
        for value in ('nan', '9' * 400)
    },
    'name unknown': text_break(lambda x: x.replace('\nb', '\nunheard', 1)),
    'name double': text_break(lambda x: x + x.splitlines()[-1] + '\n'),
    'long cell': text_break(lambda x: x + 'x' * 200000 + '\n'),
}
XML: Dict[str, Callable[[bytes], bytes]] = {
    'name missing': text_break(lambda x: x.replace('name>', 'nom>')),
    'box nan': text_break(lambda x: x.replace('>21<', '>nan<')),
    'box beyond': text_break(lambda x: x.replace('>50<', '>500<')),
    'other size': text_break(lambda x: x.replace('>64<', '>640<')),
    'bomb': lambda data: (
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
        + b''.join(
            b'<!ENTITY %c "%s">' % (98 + i, b'&%c;' % (97 + i) * 50)
            for i in range(8)
        )
        + b']><annotation><object><name>&i;</name></object></annotation>'
    ),
}
STATE: Dict[str, Callable[[bytes], bytes]] = {
    'nothing': pth(lambda x: {}),
    'a text': pth(lambda x: 'weights'),
    'state a list': pth(lambda x: {**x, 'state_dict': [1]}),
    'code': pth(lambda x: {**x, 'more': Code()}),
    'weights gone': with_weights(lambda name, x: None),
    'weights flat': with_weights(lambda name, x: x.flatten()),
    'weights nan': with_weights(lambda name, x: x * np.nan),
}
RUN: Dict[str, Callable[[bytes], bytes]] = {
    'meta a list': pth(lambda x: {**x, 'meta': [1]}),
    'epoch a text': pth(lambda x: {**x, 'meta': {**x['meta'], 'epoch': 'x'}}),
    'hub a text': pth(lambda x: {**x, 'message_hub': 'x'}),
    'optimizer empty': pth(lambda x: {**x, 'optimizer': {}}),
}
ATTENTION: Dict[str, Callable[[bytes], bytes]] = {
    'ids double': npz(ids=lambda x: x[[0, 1, 1]]),
    'counts negative': npz(counts=lambda x: x - 2),
    'labels others': npz(labels=lambda x: x + 7),
    'sizes differ': npz(shapes=lambda x: np.array([[6, 8], [8, 6], [6, 8]])),
    'shapes huge': npz(shapes=lambda x: x * 10**9),
    'values nan': npz(values=lambda x: x * np.nan),
    'values fewer': npz(values=lambda x: x[:-1]),
}
JSON_VALUES = (None, 'x', -7, 1e308, [], {}, [[]], KeyError, [None], 10**30)
DEEP = b'[' * 100000 + b']' * 100000
BREAKS: Dict[str, Callable[[bytes], bytes]] = {
    **BYTES,
    **PICTURES,
    **{f'cam: {k}': v for k, v in ARRAYS.items()},
    **{f'proposal: {k}': v for k, v in PROPOSALS.items()},
    **{f'array: {k}': v for k, v in PLAIN.items()},
    **{f'csv: {k}': v for k, v in CSV.items()},
    **{f'xml: {k}': v for k, v in XML.items()},
    **{f'state: {k}': v for k, v in STATE.items()},
    **{f'run: {k}': v for k, v in RUN.items()},
    **{f'attention: {k}': v for k, v in ATTENTION.items()},
    'deep': lambda data: DEEP,
}
CAMS = (*BINARY, *(f'cam: {k}' for k in ARRAYS))
ROWS = (*TEXT, *(f'csv: {k}' for k in CSV))
# Images with several lines are sound there.
LISTED = tuple(kind for kind in ROWS if kind != 'csv: name double')

CONFIG: Dict[str, Callable[[bytes], bytes]] = {
    'syntax': lambda data: data + b'x = (1,\n',
    'division': lambda data: data + b'x = 1 / 0\n',
    'own base': lambda data: b"_base_ = ['./voc.py', './model.py']\n",
    'set is a text': lambda data: b"test_dataloader = 'x'\n",
    'type unheard': text_break(lambda x: x.replace("type='", "type='Un")),
    'root a number': text_break(
        lambda x: x.replace('data_root=', 'data_root=3, ann_prefix=')
    ),
}
BREAKS.update({f'config: {name}': value for name, value in CONFIG.items()})
CONFIGS = (*TEXT, *(f'config: {name}' for name in CONFIG))
CHECKPOINT = (*BINARY, *(f'state: {name}' for name in STATE))
RESUMED = (*CHECKPOINT, *(f'run: {name}' for name in RUN))
ACCUMULATED = (*BINARY, *(f'attention: {name}' for name in ATTENTION))
PROPOSAL = (*BINARY, *(f'proposal: {name}' for name in PROPOSALS))
MAPS = (*BINARY, *(f'array: {name}' for name in PLAIN))
