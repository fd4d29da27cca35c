"""Reading config files."""

from pathlib import Path
from typing import Any, Dict, Optional, Union

from mmengine.config import Config


def load_config(
    path: Union[str, Path], cfg_options: Optional[Dict[str, Any]] = None
) -> Config:
    """Read a config file and merge options of the command line into it.

    Top-level text variables, such as ``data_root``, can be set like any
    other option: mmengine has replaced their uses by their values when the
    file is read, so every text that equals the old value, or begins with it
    and a slash, takes the new one.

    Args:
        path: Config file, or ``package::file`` for one that an installed
            package carries, such as ``mmwsl::cam/cam_r18_toy.py``.
        cfg_options: Dotted keys and values, as from mmengine's DictAction.

    Returns:
        The config.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the package is not installed.
        ValueError: If mmengine knows no package of that name, or if an
            option names a top-level number, which would have no effect.

    Example:
        ``--cfg-options data_root=/data/VOC2012`` moves the training, the
        validation and the test set.
    """
    if '::' in str(path):
        # Config.fromfile knows packages in _base_ alone, and mmengine.hub
        # would install a missing one.
        try:
            path = Config._get_cfg_path(str(path), '')[0]
        except AssertionError as error:
            raise ValueError(f'{path}: {error}') from error
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: there is no such config file.')
    return apply_options(Config.fromfile(str(path)), cfg_options)


def apply_options(
    cfg: Config, cfg_options: Optional[Dict[str, Any]] = None
) -> Config:
    """Merge options into a config that has been read.

    Args:
        cfg: The config, which may be changed.
        cfg_options: As of :func:`load_config`.

    Returns:
        The config with the options.

    Raises:
        ValueError: As of :func:`load_config`.
    """
    options = dict(cfg_options or {})
    for name, value in options.items():
        old = cfg.get(name) if '.' not in name else None
        if isinstance(old, (int, float)) and not isinstance(old, bool):
            raise ValueError(
                f'{name}={value}: the number is used where the config file '
                'is read, so set the places that it went to, such as '
                'train_cfg.max_epochs or model.head.num_classes.'
            )
        if isinstance(old, str) and old and isinstance(value, str):
            replaced = _replace(cfg.to_dict(), old, value)
            cfg = Config(replaced, filename=cfg.filename)
    cfg.merge_from_dict(options)
    return cfg


def _replace(node: Any, old: str, new: str) -> Any:
    """Copy a nested config with one text value replaced by another."""
    if isinstance(node, dict):
        return {key: _replace(value, old, new) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_replace(value, old, new) for value in node)
    if isinstance(node, str):
        if node == old:
            return new
        if node.startswith(f'{old}/'):
            return new + node[len(old) :]
    return node
