"""Files that another stage may wait for."""

import os


def write_whole(path: str, content: bytes) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path: File to write; its folder is created.
        content: What it will hold.
    """
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    temporary = f'{path}.{os.getpid()}.tmp'
    try:
        with open(temporary, 'wb') as file:
            file.write(content)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
