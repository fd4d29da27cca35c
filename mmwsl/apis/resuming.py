"""Going on with a run that was killed."""

import logging
from pathlib import Path
from typing import Union

from mmengine.logging import print_log

from mmwsl.utils.checkpoints import is_whole
from mmwsl.utils.files import write_whole


def mend_last_checkpoint(work_dir: Union[str, Path]) -> bool:
    """Mend the file that names the checkpoint to resume from.

    mmengine writes ``last_checkpoint`` after each checkpoint, and a run that
    is killed at that moment leaves it without a name. One that keeps a
    single checkpoint removes what the file names before it writes the next.
    A checkpoint itself may be cut off. The file will name the newest one that
    is whole; without any it is removed, and the run begins anew.

    Args:
        work_dir: Folder of the run.

    Returns:
        Whether there is a checkpoint to resume from.
    """
    path = Path(work_dir, 'last_checkpoint')
    if not path.is_file():
        return False
    named = path.read_text(errors='replace').strip()
    if is_whole(named):
        return True
    found = [*Path(work_dir).glob('epoch_*.pth')]
    found += Path(work_dir).glob('iter_*.pth')
    found.sort(key=lambda file: (file.stat().st_mtime_ns, str(file)))
    whole = next(filter(is_whole, reversed(found)), None)
    print_log(
        f'{path} names {named or "no file"}, which is not there or not '
        f'whole; going on from {whole or "the beginning"}.',
        'current',
        logging.WARNING,
    )
    if whole is None:
        path.unlink()
        return False
    write_whole(str(path), str(whole).encode())
    return True
