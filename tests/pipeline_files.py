"""Pipelines of small scripts, which stand for training and testing."""

import json
from pathlib import Path
from typing import Any, Dict, List, Optional

from mmwsl.pipeline import Pipeline, read_pipeline, run_pipeline

# Counts its calls; begins anew or goes on; can be told to fail.
TRAIN = """
import json, pathlib, sys
config = pathlib.Path(sys.argv[1])
work = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
log = work / '20260101_000000' / 'vis_data'
log.mkdir(parents=True, exist_ok=True)
text = ' '.join(sys.argv[2:])
(work / 'epoch_2.pth').write_text(text)
(work / 'last_checkpoint').write_text(str(work / 'epoch_2.pth'))
entries = [
    dict(lr=0.1, loss=2.5, epoch=1, memory=3), dict(mAP=40.0, step=1),
    dict(lr=0.1, loss=1.5, epoch=2, memory=3), dict(mAP=50.0, step=2, time=1),
]
lines = [json.dumps(entry) for entry in entries]
(log / 'scalars.json').write_text('\\n'.join(lines) + '\\n{"lr": 0.')
print('trained', text)
"""
TEST = """
import json, pathlib, sys
checkpoint = pathlib.Path(sys.argv[2]).read_text()
work = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
log = work / '20260101_000000'
log.mkdir(parents=True, exist_ok=True)
scores = dict(mIoU=30.0, data_time=0.1, time=float('nan'))
(log / '20260101_000000.json').write_text(json.dumps(scores))
(work / 'used.txt').write_text(checkpoint)
"""
EVALUATE = """
import json, pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index('--out') + 1])
out.write_text(json.dumps(dict(mIoU=60.0, mRecall=None)))
print(sys.argv[1:])
"""
# write.py FILE TEXT: appends a line, and writes a metric.
WRITE = """
import json, pathlib, sys
path = pathlib.Path(sys.argv[1])
with open(path, 'a') as file:
    file.write(sys.argv[2] + '\\n')
lines = len(path.read_text().splitlines())
(path.parent / 'metrics.json').write_text(json.dumps(dict(lines=lines)))
"""
FAIL = """
import sys
print('before')
print('error: the weights are gone', file=sys.stderr)
print('(see above)', file=sys.stderr)
sys.exit(3)
"""
CONFIG = "work_dir = None\ndata_root = 'old'\nmodel = dict(path='old/a')\n"

WRITER: Dict[str, Any] = dict(
    name='one', run='tool', tool='write.py', args=['{dir}/text.txt', '{word}']
)
USER: Dict[str, Any] = dict(
    name='two', run='tool', tool='write.py', args=['{dir}/b.txt', '{one.dir}']
)
LAST: Dict[str, Any] = dict(
    name='three', run='tool', tool='write.py', args=['{dir}/c.txt', 'c']
)
TRAINING: Dict[str, Any] = dict(
    name='net',
    run='train',
    config='net.py',
    cfg_options={'data_root': '{word}'},
)
TESTING: Dict[str, Any] = dict(
    name='maps', run='test', config='net.py', checkpoint='{net.checkpoint}'
)


def write_tools(root: Path) -> Path:
    """Write the scripts and a config, and return the folder of scripts."""
    tools = root / 'tools'
    (tools / 'analysis_tools').mkdir(parents=True, exist_ok=True)
    for name, text in (
        ('train.py', TRAIN),
        ('test.py', TEST),
        ('write.py', WRITE),
        ('fail.py', FAIL),
        ('analysis_tools/eval_seeds.py', EVALUATE),
    ):
        (tools / name).write_text(text)
    (root / 'net.py').write_text(CONFIG)
    return tools


def write_pipeline(root: Path, stages: List[Any], **more: Any) -> Path:
    """Write a pipeline file with the variable ``word``."""
    content = {'word': 'a', 'stages': stages, **more}
    lines = [f'{key} = {value!r}' for key, value in content.items()]
    path = root / 'pipeline.py'
    path.write_text('\n'.join(lines) + '\n')
    return path


def read(
    root: Path,
    stages: List[Any],
    options: Optional[Dict[str, Any]] = None,
    **more: Any,
) -> Pipeline:
    """Write and read a pipeline whose folder is ``root/work``."""
    tools = write_tools(root)
    path = write_pipeline(root, stages, **more)
    return read_pipeline(path, options, str(root / 'work'), str(tools))


def run(
    root: Path,
    stages: List[Any],
    options: Optional[Dict[str, Any]] = None,
    first: Optional[str] = None,
    last: Optional[str] = None,
    **more: Any,
) -> Path:
    """Run a pipeline and return its folder."""
    run_pipeline(read(root, stages, options, **more), first, last)
    return root / 'work'


def summary(folder: Path) -> Dict[str, Dict[str, Any]]:
    """What the summary says of each stage."""
    content = json.loads((folder / 'summary.json').read_text())
    return {stage['name']: stage for stage in content['stages']}
