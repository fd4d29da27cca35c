"""Every command gets broken files: one line that names one, nothing worse.

Each input is a file of a small, sound data set that is broken in one way. The
command that reads it runs in a fork of this process, with a bound on its time
and on its memory.
"""

import gc
import importlib
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple
from unittest import mock

import cv2
import pytest
from PIL import Image

from broken_files import (
    ACCUMULATED,
    BINARY,
    BREAKS,
    CAMS,
    CHECKPOINT,
    CONFIGS,
    IMAGE,
    JSON_VALUES,
    LISTED,
    MAPS,
    MASK,
    PROPOSAL,
    RESUMED,
    ROWS,
    SALIENCY,
    TEXT,
    XML,
    replace_in_json,
)
from forks import run_stage
from mmwsl.pipeline import running
from sound_files import write_all
from tool_calls import load_tool

pytestmark = pytest.mark.slow
# Of a core, and bytes; and what may pass on a clock before a command is stuck.
SECONDS, MEMORY = 20, 2 * 2**30
PATIENCE = 120
BREAKS_OF_FILE = 3


class Target(NamedTuple):
    """A file that a command reads, how to break it, and whether it may pass.

    The command is a key of ``COMMANDS``, the kinds are keys of ``BREAKS``.
    """

    command: str
    file: str
    kinds: Tuple[str, ...]
    may_pass: bool = False


COMMANDS: Dict[str, str] = {
    'check voc': 'analysis_tools/check_dataset.py voc.py',
    'check coco': 'analysis_tools/check_dataset.py coco.py',
    'check csv': 'analysis_tools/check_dataset.py csv.py',
    'check folder': 'analysis_tools/check_dataset.py folder.py',
    'check wsol': 'analysis_tools/check_dataset.py wsol.py',
    'browse': 'analysis_tools/browse_dataset.py voc.py --split test '
    '--out-dir OUT',
    'seeds': 'analysis_tools/eval_seeds.py cams masks --classes names.txt '
    '--saliency saliency --background saliency',
    'saliency': 'analysis_tools/eval_saliency.py saliency masks --masks',
    'regions': 'analysis_tools/eval_regions.py regions masks --classes '
    'names.txt',
    'instances': 'analysis_tools/eval_instances.py results.json --config '
    'coco.py',
    'maps': 'analysis_tools/eval_maps.py maps --metadata wsol --scores '
    'scores.csv --size 0',
    'scores': 'analysis_tools/eval_scores.py scores.csv --labels labels.csv '
    '--classes names.txt',
    'scores npz': 'analysis_tools/eval_scores.py scores.npz --labels '
    'labels.csv --classes names.txt',
    'counts': 'analysis_tools/eval_counts.py counts.csv --labels truth.csv '
    '--classes names.txt',
    'proposals': 'analysis_tools/eval_proposals.py coco.py proposals',
    'convert': 'dataset_converters/convert_proposals.py proposals OUT/all '
    '--to .npz',
    'convert mat': 'dataset_converters/convert_proposals.py mat OUT/all '
    '--to .npz',
    'crf': 'analysis_tools/crf.py images cams OUT/crf',
    'initial': 'pseudo_labels.py initial cams saliency OUT/initial',
    'mine': 'pseudo_labels.py mine cams initial OUT/mined',
    'mask': 'pseudo_labels.py mask cams initial initial saliency OUT/masked',
    'make saliency': 'dataset_converters/make_saliency.py images OUT/maps '
    '--num-superpixels 20',
    'make proposals': 'dataset_converters/make_proposals.py voc.py OUT/props '
    '--num-superpixels 20',
    'to wsol, voc': 'dataset_converters/to_wsol.py OUT/wsol --voc voc '
    '--list ImageSets/Main/test.txt --classes names.txt',
    'to wsol, coco': 'dataset_converters/to_wsol.py OUT/wsol --coco '
    'coco.json --images images --write-images',
    'check masks': 'analysis_tools/check_dataset.py loc.py',
    'check segmentor': 'analysis_tools/check_dataset.py segmentor.py',
    'read': 'analysis_tools/browse_dataset.py readers.py --split train '
    '--out-dir OUT --number 3',
    'convert npy': 'dataset_converters/convert_proposals.py npy OUT/all',
    'convert json': 'dataset_converters/convert_proposals.py json OUT/all',
    'convert list': 'dataset_converters/convert_proposals.py proposals.json '
    'OUT/all',
    'maps, masks': 'analysis_tools/eval_maps.py maps --metadata loc --masks '
    '. --size 0',
    'calibrate': 'analysis_tools/calibrate_thresholds.py peaks.py model.pth',
    'saliency of config': 'dataset_converters/make_saliency.py wsol.py '
    'OUT/maps --splits test --num-superpixels 20',
    'plan': 'pipeline.py pipe.py --work-dir pipe --dry-run',
    'page': 'pipeline.py pipe.py --work-dir pipe --to one',
    'train': 'train.py training.py --work-dir OUT',
    'resume': 'train.py training.py --work-dir work --resume',
    'resume from': 'train.py training.py --work-dir OUT --resume '
    'work/epoch_1.pth',
    'weights': 'train.py weights.py --work-dir OUT',
    'package': 'train.py package.py --work-dir OUT',
    'hub': 'train.py hub.py --work-dir OUT',
    'demo': 'image_demo.py images/a.jpg voc.py model.pth --out-dir OUT',
    'test': 'test.py voc.py model.pth --work-dir OUT',
}
# What commands import when they first need it: here once, not in each fork.
IMPORTED = (
    'filelock',
    'jinja2',
    'matplotlib.pyplot',
    'mmseg.datasets',
    'mmseg.models',
    'mpl_toolkits.axes_grid1',
    'scipy.sparse.csgraph',
)
# A download, which messages call by another name.
HUB = 'hub/checkpoints/resnet18-f37072fd.pth'
TARGETS: List[Target] = [
    Target('check voc', 'images/b.jpg', IMAGE),
    Target('check voc', 'voc/Annotations/b.xml', (*TEXT, 'half')),
    Target(
        'check voc', 'voc/Annotations/a.xml', tuple(f'xml: {n}' for n in XML)
    ),
    Target('check voc', 'voc/ImageSets/Main/test.txt', TEXT),
    Target('check voc', 'masks/b.png', MASK),
    Target('check voc', 'voc.py', CONFIGS),
    Target('check coco', 'coco.json', (*TEXT, 'half', 'deep')),
    Target('check csv', 'labels.csv', LISTED),
    Target('check folder', 'folder/dog/b.jpg', IMAGE),
    Target('check wsol', 'wsol/class_labels.txt', ROWS),
    Target('check wsol', 'wsol/image_sizes.txt', ROWS),
    Target('check wsol', 'wsol/localization.txt', LISTED),
    Target('check wsol', 'wsol/image_ids.txt', TEXT),
    Target('browse', 'images/b.jpg', IMAGE),
    Target('seeds', 'cams/b.npz', CAMS),
    Target('seeds', 'masks/b.png', MASK),
    Target('seeds', 'saliency/b.png', SALIENCY),
    Target('seeds', 'names.txt', ('empty', 'noise', 'zeros', 'folder')),
    Target('saliency', 'saliency/b.png', SALIENCY),
    Target('regions', 'regions/step_1/b.npz', PROPOSAL),
    Target('regions', 'regions/steps.csv', TEXT),
    Target('instances', 'results.json', (*TEXT, 'half', 'deep')),
    Target('maps', 'maps/b.npy', MAPS),
    Target('maps', 'scores.csv', ROWS),
    Target('scores', 'scores.csv', ROWS),
    Target('scores', 'labels.csv', LISTED),
    Target('scores npz', 'scores.npz', BINARY),
    Target('counts', 'counts.csv', ROWS),
    Target('counts', 'truth.csv', LISTED),
    Target('proposals', 'proposals/b.npz', PROPOSAL),
    Target('convert', 'proposals/b.npz', PROPOSAL),
    Target('convert mat', 'mat/b.mat', BINARY),
    Target('crf', 'cams/b.npz', CAMS),
    Target('crf', 'images/b.jpg', IMAGE),
    Target('initial', 'cams/b.npz', CAMS),
    Target('initial', 'saliency/b.png', SALIENCY),
    Target('mine', 'initial/b.png', MASK[:-1]),
    Target('mask', 'initial/b.png', MASK[:-1]),
    Target('make saliency', 'images/b.jpg', IMAGE),
    Target('make proposals', 'images/b.jpg', IMAGE),
    Target('to wsol, voc', 'voc/Annotations/b.xml', (*TEXT, 'half')),
    Target('to wsol, coco', 'coco.json', (*TEXT, 'half', 'deep')),
    Target('demo', 'images/a.jpg', IMAGE),
    Target('demo', 'model.pth', CHECKPOINT),
    Target('test', 'model.pth', CHECKPOINT),
    Target('test', 'model.py', CONFIGS[:-2]),
    # Masks of other sizes are scaled, as in the benchmark.
    Target('check masks', 'saliency/b.png', (*BINARY, 'huge picture')),
    Target('check masks', 'loc/localization.txt', TEXT),
    Target('check masks', 'loc/class_names.txt', ('empty', 'zeros', 'folder')),
    Target('check masks', 'loc/image_paths.txt', TEXT[1:]),
    Target('maps, masks', 'saliency/b.png', (*BINARY, 'huge picture')),
    Target('check segmentor', 'masks/b.png', MASK),
    Target('check segmentor', 'images/b.jpg', BINARY),
    Target('check segmentor', 'voc/ImageSets/Main/test.txt', TEXT),
    Target('read', 'attention.npz', ACCUMULATED),
    Target('read', 'regions/step_1/b.npz', PROPOSAL),
    Target('read', 'saliency/b.png', SALIENCY),
    Target('read', 'proposals/b.npz', PROPOSAL),
    Target('read', 'proposals.json', (*TEXT, 'half', 'deep')),
    Target('convert npy', 'npy/b.npy', BINARY),
    Target('convert json', 'json/b.json', (*TEXT[:-1], 'half', 'deep')),
    Target('convert list', 'proposals.json', (*TEXT, 'half', 'deep')),
    Target('calibrate', 'model.pth', BINARY),
    Target('calibrate', 'images/b.jpg', ('empty', 'half', 'huge picture')),
    Target('plan', 'pipe/one/stage.json', (*TEXT, 'half', 'deep')),
    Target('plan', 'pipe/two/started.json', (*TEXT, 'half', 'deep')),
    Target('page', 'pipe/one/labels/b.png', MASK, may_pass=True),
    Target('page', 'images/b.jpg', IMAGE, may_pass=True),
    # It goes on from the newest checkpoint that is whole, or begins anew.
    Target(
        'resume',
        'work/last_checkpoint',
        ('empty', 'noise', 'folder'),
        may_pass=True,
    ),
    Target(
        'resume',
        'work/epoch_1.pth',
        ('half', 'lfs', 'state: code'),
        may_pass=True,
    ),
    Target('resume from', 'work/epoch_1.pth', RESUMED),
    Target('weights', 'packs/heavy/weights.pth', CHECKPOINT),
    Target('package', 'packs/heavy/weights.pth', BINARY[:4]),
    Target('hub', HUB, BINARY[:3]),
]

# What may be named in place of a config file: a key, a value or a base.
KEYS = ('test_dataloader', 'colour', 'ann_prefix', 'nothing.py', 'UnVOC')
# Where the JSON files say what nobody can do without.
NEEDED = {
    'coco.json': (
        'images',
        'annotations',
        'categories',
        'file_name',
        'image_id',
        'category_id',
        'name',
        'bbox',
        'segmentation',
    ),
    'results.json': ('image_id', 'category_id', 'segmentation', 'score'),
    'proposals.json': ('segmentation',),
    'pipe/one/stage.json': (),
    'pipe/two/started.json': (),
}


class Outcome(NamedTuple):
    """How a command ended: its exit code, and all that it printed.

    ``seconds`` are those of a core, ``memory`` the bytes that it added to
    what it began with.
    """

    code: int
    text: str
    seconds: float
    memory: int


def run(command: str, root: Path, out: Path) -> Outcome:
    """Run a command in a fork."""
    name, *args = COMMANDS[command].split()
    there = [x.replace('OUT', str(out)) for x in args]
    log = out.with_name('log.txt')
    # A fork lacks the threads of OpenCV and would wait for them; at one, not
    # at zero, OpenCV ends them at once.
    cv2.setNumThreads(1)
    begin = time.monotonic()
    # A fork begins with the memory of all tests before.
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    before = pages * os.sysconf('SC_PAGE_SIZE')
    child = os.fork()
    if not child:
        gc.freeze()
        os.chdir(root)
        os.environ['TORCH_HOME'] = str(root)
        sys.path.insert(0, str(root / 'packs'))
        stream = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        sys.stdout = os.fdopen(1, 'w')
        sys.stderr = os.fdopen(2, 'w')
        code: Any = 99
        try:
            code = load_tool(name).main(there)
        except SystemExit as stop:
            code = stop.code
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(code or 0))
    ended = 0
    while not ended:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if not ended and time.monotonic() - begin > PATIENCE:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    return Outcome(
        os.waitstatus_to_exitcode(status),
        log.read_text(errors='replace'),
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * 1024 - before,
    )


@pytest.fixture(scope='module')
def sound(tmp_path_factory: Any) -> Path:
    for name in IMPORTED:
        importlib.import_module(name)
    Image.init()
    root = tmp_path_factory.mktemp('sound')
    write_all(root)
    with mock.patch.object(running, 'run_logged', run_stage):
        for command, out in (('train', 'work'), ('page', 'out')):
            ended = run(command, root, root / out)
            assert ended.code == 0, ended.text[-2000:]
    note = json.loads((root / 'pipe/one/stage.json').read_text())
    (root / 'pipe/two').mkdir()
    begun = json.dumps({**note, 'began': 0.0})
    (root / 'pipe/two/started.json').write_text(begun)
    return root


@pytest.mark.parametrize('command', COMMANDS)
def test_sound_files_pass(command: str, sound: Path, tmp_path: Path) -> None:
    ended = run(command, sound, tmp_path / 'out')
    assert ended.code == 0, ended.text[-2000:]


def check(
    ended: Outcome, file: str, may_pass: bool, more: Sequence[str] = ()
) -> None:
    """Assert that a command ended as it should on a broken file."""
    assert 'Traceback' not in ended.text, ended.text[-3000:]
    assert ended.seconds < SECONDS
    assert ended.memory < MEMORY
    if may_pass and ended.code == 0:
        return
    assert ended.code == 1, ended.text[-3000:]
    lines = ended.text.splitlines()
    said = [x for x in lines if x.startswith(('error: ', 'broken: '))]
    assert sum(x.startswith('error: ') for x in said) < 2, said
    words = [Path(file).stem, *(KEYS if file.endswith('.py') else ())]
    words += ['torchvision://resnet18'] if file == HUB else []
    # A name that one file has and another one lacks.
    words += ['unheard', *more]
    assert any(word in x for x in said for word in words), said
    # What no check of ours has foreseen names its place in the code.
    assert not any('site-packages' in x or 'mmwsl/' in x for x in said), said


def chosen(target: Target) -> List[str]:
    """Some of the breaks, the same ones each time: all take too long."""
    seed = random.Random(f'{target.command} {target.file}')
    return seed.sample(target.kinds, min(len(target.kinds), BREAKS_OF_FILE))


BROKEN = [
    (t.command, t.file, x, t.may_pass) for t in TARGETS for x in chosen(t)
]


@pytest.mark.parametrize(('command', 'file', 'kind', 'may_pass'), BROKEN)
def test_broken_file(
    command: str,
    file: str,
    kind: str,
    may_pass: bool,
    sound: Path,
    tmp_path: Path,
) -> None:
    path = (sound / file).resolve()
    content = path.read_bytes()
    path.unlink()
    try:
        if kind == 'folder':
            path.mkdir()
        else:
            path.write_bytes(BREAKS[kind](content))
        ended = run(command, sound, tmp_path / 'out')
    finally:
        if path.is_dir():
            path.rmdir()
        path.write_bytes(content)
    check(ended, file, may_pass)
    assert not list(tmp_path.rglob('escaped'))
    assert not (sound / 'escaped').exists()


def places(prefix: str, *names: str) -> List[Tuple[Any, ...]]:
    """Places in JSON, such as ``annotations.0.bbox``."""
    return [
        tuple(int(x) if x.isdigit() else x for x in f'{prefix}{n}'.split('.'))
        for n in names
    ]


MASK_PLACES = ('segmentation', 'segmentation.0', 'segmentation.0.0')
JSON_PLACES = [
    *places('', 'images', 'annotations', 'categories'),
    *places('images.0.', 'id', 'file_name', 'width', 'height'),
    *places('categories.0.', 'id', 'name'),
    *places('annotations.0.', 'image_id', 'category_id', 'bbox', 'bbox.0'),
    *places('annotations.0.', 'iscrowd', *MASK_PLACES),
]
RESULT_PLACES = places('0.', 'image_id', 'category_id', 'score', *MASK_PLACES)
PROPOSAL_PLACES = [
    *places('0.', 'image_id', 'score', 'segmentation'),
    *places('0.segmentation.', 'size', 'counts'),
]
NOTE_PLACES = [
    *places('', 'run', 'seconds', 'attempts'),
    *places('', 'identity', 'identity.settings', 'identity.uses'),
]
JSON_BREAKS = [
    (command, file, key, value)
    for command, file, places in (
        ('check coco', 'coco.json', JSON_PLACES),
        ('instances', 'coco.json', JSON_PLACES),
        ('instances', 'results.json', RESULT_PLACES),
        ('convert list', 'proposals.json', PROPOSAL_PLACES),
        ('plan', 'pipe/one/stage.json', [*NOTE_PLACES, ('metrics',)]),
        ('plan', 'pipe/two/started.json', [*NOTE_PLACES, ('began',)]),
    )
    for key in places
    for value in JSON_VALUES
]


@pytest.mark.parametrize(
    ('command', 'file', 'key', 'value'),
    random.Random(0).sample(JSON_BREAKS, len(JSON_BREAKS) // 5),
)
def test_broken_json(
    command: str,
    file: str,
    key: Tuple[Any, ...],
    value: Any,
    sound: Path,
    tmp_path: Path,
) -> None:
    path = sound / file
    content = path.read_bytes()
    path.write_bytes(replace_in_json(content, key, value))
    try:
        ended = run(command, sound, tmp_path / 'out')
    finally:
        path.write_bytes(content)
    texts = ('file_name', 'name')
    right = value == 'x' and key[-1] in texts
    # Any number orders results; those of other images are counted and said.
    if file == 'results.json':
        right |= key[-1] == 'score' and isinstance(value, (int, float))
        right |= key[-1] == 'image_id' and isinstance(value, (str, int, float))
    needed = key[-1] in NEEDED[file] and value != [] and not right
    # A file may be right, and not fit its image or the command.
    check(ended, file, not needed, ['images/a.jpg'])


# OUT stands for the folder that the command writes.
NAMES = (
    '../escaped',
    'x/../../escaped',
    '..\\escaped',
    'OUT/../escaped',
    'C:escaped',
    'x\0y',
    '..',
)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(
    ('command', 'file', 'old'),
    [
        ('convert list', 'proposals.json', 'b'),
        ('to wsol, coco', 'coco.json', 'b.jpg'),
        ('to wsol, voc', 'voc/ImageSets/Main/test.txt', 'b'),
        ('make proposals', 'voc/ImageSets/Main/test.txt', 'b'),
        ('saliency of config', 'wsol/image_ids.txt', 'b.jpg'),
        ('check csv', 'labels.csv', 'b.jpg'),
        ('instances', 'results.json', 'b'),
        ('check masks', 'loc/localization.txt', 'saliency/b.png'),
        ('check masks', 'loc/image_paths.txt', 'b.jpg,b'),
    ],
)
def test_names_stay_in_their_folder(
    command: str, file: str, old: str, name: str, sound: Path, tmp_path: Path
) -> None:
    path = sound / file
    content = path.read_text()
    name = name.replace('OUT', str(tmp_path / 'out'))
    if file.endswith('.json'):
        old, name = json.dumps(old), json.dumps(name)
    assert old in content
    path.write_text(content.replace(old, name, 1))
    before = set(sound.rglob('*'))
    try:
        ended = run(command, sound, tmp_path / 'out')
    finally:
        path.write_text(content)
    # Results of other images are left out.
    check(ended, file, may_pass=command == 'instances')
    assert set(sound.rglob('*')) == before
    assert {x.name for x in tmp_path.iterdir()} <= {'out', 'log.txt'}
