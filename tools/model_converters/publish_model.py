"""Make a file to hand on of a checkpoint of a training.

``python tools/model_converters/publish_model.py IN_FILE OUT_FILE`` leaves what
predicts, and writes the first digits of the file's sha256 into its name.
"""

import argparse
import hashlib
import io
from pathlib import Path

from mmwsl.apis import ToolParser
from mmwsl.apis.classifiers import check_checkpoint
from mmwsl.utils.checkpoints import check_form, read_checkpoint, weights_of
from mmwsl.utils.files import write_whole
from mmwsl.version import __version__

import torch

# Of a training's notes: how to predict, and where the weights come from.
# Others, such as those of hooks, name files of the machine.
KEPT = ('cfg', 'dataset_meta', 'epoch', 'iter', 'seed', 'mmengine_version')

parser = ToolParser(
    'Make a file to hand on of a checkpoint: its weights, config, classes and '
    'versions, without optimizer, schedules and logs. OUT_FILE gets the first '
    '8 digits of its sha256 before the suffix'
)
parser.add_argument('in_file', help='checkpoint of a training')
parser.add_argument('out_file', type=Path, help='file to write, *.pth')


@parser.command
def main(args: argparse.Namespace) -> None:
    """Write the file, and say what it is called."""
    check_checkpoint(args.out_file)
    source = args.in_file
    content = read_checkpoint(source)
    check_form(content, source)
    state = weights_of(content.get('state_dict'), source)
    notes = content.get('meta') or {}
    meta = {key: notes[key] for key in KEPT if key in notes}
    buffer = io.BytesIO()
    torch.save(
        dict(meta=dict(meta, mmwsl_version=__version__), state_dict=state),
        buffer,
    )
    data = buffer.getvalue()
    digits = hashlib.sha256(data).hexdigest()[:8]
    out = args.out_file.with_name(f'{args.out_file.stem}-{digits}.pth')
    if out.exists():
        raise ValueError(f'{out}: is there already, with this very content.')
    write_whole(str(out), data)
    before = Path(source).stat().st_size
    print(
        f'{out}: {len(data) / 2**20:.1f} MB instead of {before / 2**20:.1f} MB'
    )


if __name__ == '__main__':
    raise SystemExit(main())
