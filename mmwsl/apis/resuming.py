"""Going on with a run that was killed."""

import os
from pathlib import Path
from typing import Union
from zipfile import is_zipfile

from mmwsl.utils.files import write_whole


def mend_last_checkpoint(work_dir: Union[str, Path]) -> bool:
    """Mend the file that names the checkpoint to resume from.

    mmengine writes ``last_checkpoint`` after each checkpoint, and a run that
    is killed at that moment leaves it without a name. One that keeps a
    single checkpoint removes what the file names before it writes the next.
    The file will name the newest checkpoint that is whole; without any it is
    removed, and the run begins anew.

    Args:
        work_dir: Folder of the run.

    Returns:
        Whether there is a checkpoint to resume from.
    """
    path = Path(work_dir, 'last_checkpoint')
    if not path.is_file():
        return False
    if os.path.isfile(path.read_text().strip()):
        return True
    found = [*Path(work_dir).glob('epoch_*.pth')]
    found += Path(work_dir).glob('iter_*.pth')
    # The directory of an archive is written last.
    found = [file for file in found if is_zipfile(file)]
    if not found:
        path.unlink()
        return False
    newest = max(found, key=lambda file: (file.stat().st_mtime_ns, str(file)))
    write_whole(str(path), str(newest).encode())
    return True
