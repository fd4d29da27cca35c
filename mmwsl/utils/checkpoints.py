"""Reading checkpoint files without trusting them."""

import math
import os
import pickle
import tarfile
from collections import Counter, OrderedDict
from functools import lru_cache
from typing import IO, Any, Callable, Dict, Mapping, Optional, Tuple, Union
from urllib.parse import urlparse
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import is_model_wrapper
from mmengine.optim.scheduler import OneCycleParamScheduler
from mmengine.runner import checkpoint as mmengine_checkpoint

# The methods that pickles of mmengine's own classes look up.
_METHODS = {
    HistoryBuffer: ('min', 'max', 'current', 'mean'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}
# The unpickler in Python, whose opcodes can be overridden.
_Python: Any = vars(pickle)['_Unpickler']
# Stands for numpy.ndarray, which would take foreign memory if called.
_ARRAY = object()
# Stands for torch.UntypedStorage, which would do the same.
_STORAGE = object()

# The kinds of what mmengine saves.
_FORM: Dict[str, Any] = {
    '': dict,
    'state_dict': dict,
    'meta': dict,
    'meta.epoch': int,
    'meta.iter': int,
    'meta.dataset_meta': dict,
    'meta.dataset_meta.classes': (list, tuple),
    'message_hub': dict,
    'message_hub.log_scalars': dict,
    'message_hub.runtime_info': dict,
    'message_hub.resumed_keys': dict,
    'optimizer': dict,
    'optimizer.param_groups': list,
    'optimizer.state': dict,
    'param_schedulers': (list, dict),
}


def read_checkpoint(
    file: Union[str, os.PathLike, IO[bytes]],
    map_location: Any = 'cpu',
    **_: Any,
) -> Any:
    """Read what ``torch.save`` wrote; nothing in the file is executed.

    Besides tensors and plain containers it may hold what mmengine saves:
    log histories, numbers and numeric arrays of numpy, and the functions of
    one-cycle schedules. torch's own allow-list is neither used nor changed,
    and the rules are the same under every version of torch. Arguments of
    :func:`torch.load` other than ``map_location`` have no effect.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint, cut off, or holds anything else.
    """
    if isinstance(file, (str, os.PathLike)):
        file = os.path.expanduser(file)
        if not os.path.isfile(file):
            raise FileNotFoundError(f'{file}: there is no such checkpoint.')
        _check_kind(str(file))
    forced = os.environ.pop('TORCH_FORCE_WEIGHTS_ONLY_LOAD', None)
    try:
        return torch.load(
            file,
            map_location=map_location,
            pickle_module=_rules(_record_sizes(file)),
            # This module's unpickler is stricter.
            weights_only=False,
        )
    except Exception as error:
        # Of torch's texts the first line says enough.
        why = str(error).strip().split('\n')[0] or type(error).__name__
        raise ValueError(
            f'{file}: the checkpoint cannot be read: {why}'
        ) from error
    finally:
        if forced is not None:
            os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = forced


def read_url(
    url: str,
    model_dir: Optional[str] = None,
    map_location: Any = 'cpu',
    progress: bool = True,
    **_: Any,
) -> Any:
    """Download a checkpoint to torch's cache, and read it from there."""
    folder = model_dir or os.path.join(torch.hub.get_dir(), 'checkpoints')
    path = os.path.join(folder, os.path.basename(urlparse(url).path))
    if not os.path.isfile(path):
        os.makedirs(folder, exist_ok=True)
        torch.hub.download_url_to_file(url, path, progress=progress)
    return read_checkpoint(path, map_location)


def use_in_mmengine() -> None:
    """Let mmengine read every checkpoint with :func:`read_checkpoint`.

    That of mmengine 0.10 leaves ``torch.load`` to its defaults: before torch
    2.6 a file may run any code, and since then mmengine's own are refused.
    """
    vars(mmengine_checkpoint).update(torch=_Torch(), load_url=read_url)


def unwrap(model: Any) -> Any:
    """Return a model without the wrapper that distributes it."""
    return model.module if is_model_wrapper(model) else model


def weights_of(content: Any, path: str) -> Dict[str, Any]:
    """Return the weights that are in a checkpoint, by their names.

    Raises:
        ValueError: If there are none, or one is not finite.
    """
    state = content
    if isinstance(content, dict):
        state = content.get('state_dict', content)
    if not isinstance(state, dict) or not all(
        isinstance(key, str) for key in state
    ):
        raise ValueError(
            f'{path}: the checkpoint holds no weights (state_dict).'
        )
    broken = first_not_finite(state)
    if broken is not None:
        raise ValueError(f'{path}: {broken} is not finite in the checkpoint.')
    return state


def load_state(
    model: torch.nn.Module,
    content: Any,
    path: str,
    strict: bool = False,
    same_layout: bool = False,
) -> None:
    """Fill a model with all of a checkpoint.

    Args:
        model: The model.
        content: What :func:`read_checkpoint` returned.
        path: Of the checkpoint, for messages.
        strict: Whether tensors that the model lacks are an error as well.
        same_layout: Whether modules may take the tensors for those of their
            own version, of which torchvision's MNASNet asks to be told.

    Raises:
        ValueError: If a tensor is missing, of another shape or not finite;
            mmengine would go on with random weights.
    """
    state: Any = {
        k[len('module.') :] if k.startswith('module.') else k: v
        for k, v in weights_of(content, path).items()
    }
    for name in model.state_dict():
        if not isinstance(state.get(name, torch.empty(0)), torch.Tensor):
            raise ValueError(
                f'{path}: {name} is a {type(state[name]).__name__} in the '
                'checkpoint, not a tensor.'
            )
    if same_layout:
        # An empty one knows the versions.
        layout = model.state_dict()
        layout.clear()
        layout.update(state)
        state = layout
    try:
        keys = model.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError, AttributeError) as error:
        # torch lists every tensor that does not fit; one is enough.
        lines = str(error).split('\n')[:2]
        text = ' '.join(' '.join(lines).split()) or type(error).__name__
        raise ValueError(f'{path}: {text}') from error
    missing = [
        key
        for key in keys.missing_keys
        if not key.endswith('num_batches_tracked')
    ]
    if missing:
        raise ValueError(
            f'{path}: the checkpoint lacks {len(missing)} of the tensors of '
            f'the model, the first is {missing[0]}.'
        )
    if strict and keys.unexpected_keys:
        raise ValueError(
            f'{path}: the checkpoint has {len(keys.unexpected_keys)} tensors '
            f'that the model lacks, the first is {keys.unexpected_keys[0]}.'
        )


def check_form(content: Any, path: str, resume: bool = False) -> None:
    """Check that what mmengine saves is what mmengine will take.

    Args:
        content: What :func:`read_checkpoint` returned.
        path: Of the checkpoint, for messages.
        resume: Whether more than weights and classes will be taken.

    Raises:
        ValueError: If a part is of another kind; names it.
    """
    for key, kinds in _FORM.items():
        if not (resume or key in ('', 'state_dict') or 'meta' in key):
            continue
        part = content
        for name in key.split('.') if key else ():
            part = part.get(name) if isinstance(part, dict) else None
        good = isinstance(part, kinds)
        if kinds is int:
            good = good and part >= 0
        elif key.endswith('classes'):
            good = good and all(isinstance(name, str) for name in part)
        if not good and part is not None:
            raise ValueError(
                f'{path}: {key or "the content"} of the checkpoint is '
                f'{repr(part)[:60]}, which no training saves.'
            )


def first_not_finite(state: Mapping[str, Any]) -> Optional[str]:
    """Return the name of the first tensor with NaN or infinity."""
    for name, value in state.items():
        if (
            isinstance(value, torch.Tensor)
            and value.is_floating_point()
            # The sum needs no mask, but may overflow.
            and not value.sum().isfinite()
            and not value.isfinite().all()
        ):
            return name
    return None


class _Torch:
    """torch, as mmengine's reader of checkpoints sees it."""

    load = staticmethod(read_checkpoint)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def _check_kind(path: str) -> None:
    """Refuse files that ``torch.save`` has not written."""
    with open(path, 'rb') as file:
        start = file.read(40)
    if not start:
        raise ValueError(f'{path} is no checkpoint: the file is empty.')
    if start.startswith(b'PK'):
        try:
            names = ZipFile(path).namelist()
        except BadZipFile as error:
            raise ValueError(
                f'{path}: the checkpoint is cut off: its end is missing.'
            ) from error
        if any(name.endswith('constants.pkl') for name in names):
            raise ValueError(f'{path} is a TorchScript, not a checkpoint.')
    # The format before torch 1.6, and not the one before torch 0.2.
    elif start[0] != 0x80 or tarfile.is_tarfile(path):
        text = start.split(b'\n')[0].decode('utf-8', 'replace')
        raise ValueError(f'{path} is no checkpoint (it begins with {text!r}).')


def _record_sizes(file: Any) -> Optional[Dict[str, int]]:
    """Return the number of bytes of each record of a zipped checkpoint."""
    start = None if isinstance(file, str) else file.tell()
    sizes = None
    if is_zipfile(file):
        infos = ZipFile(file).infolist()
        # The first folder is a name that torch leaves out.
        records = {i.filename.partition('/')[2]: i.file_size for i in infos}
        if len(records) < len(infos):
            raise pickle.UnpicklingError('two of its parts have one name')
        sizes = records
    if start is not None:
        file.seek(start)
    return sizes


class Unpickler(_Python):
    """Build tensors, containers and what mmengine saves; nothing else."""

    dispatch: Dict[int, Callable] = dict(_Python.dispatch)
    # Bytes of the records that storages are read from, where known.
    sizes: Optional[Dict[str, int]] = None

    def find_class(self, module: str, name: str) -> Any:
        """Return what may stand for a name; others are refused."""
        try:
            return _allowed()[f'{module}.{name}']
        except KeyError:
            raise pickle.UnpicklingError(
                f'it names {module}.{name}, which no checkpoint needs'
            ) from None

    def load_newobj_ex(self) -> None:
        """Refuse what hands keywords over: no checkpoint has it."""
        raise pickle.UnpicklingError('refused an object made with keywords')

    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex

    def load_build(self) -> None:
        """Fill an object that has been made, if that is harmless."""
        state = self.stack.pop()
        item = self.stack[-1]
        if type(item) is np.ndarray:
            _fill_array(item, *state)
        elif isinstance(item, np.dtype):
            # A dtype that was made from its code needs nothing more.
            if state[1] not in ('|', item.newbyteorder('<').str[0]):
                raise pickle.UnpicklingError('numbers of another byte order')
        elif type(item) in (OrderedDict, HistoryBuffer):
            vars(item).update(state)
        else:
            raise pickle.UnpicklingError(f'refused to fill a {type(item)}')

    dispatch[pickle.BUILD[0]] = load_build

    def load_binpersid(self) -> None:
        """Let torch read a storage that is as large as its record."""
        pid = self.stack.pop()
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != 'storage':
            raise pickle.UnpicklingError(f'refused the reference {pid!r}')
        kind, size = pid[1], 1
        if kind is _STORAGE:
            kind = torch.UntypedStorage
        else:
            size = torch._utils._element_size(kind.dtype)
        # torch before 2.10 would read memory beyond the record.
        if self.sizes is not None and not (
            0 <= pid[4] * size <= self.sizes.get(f'data/{pid[2]}', 0)
        ):
            raise pickle.UnpicklingError(
                f'a tensor has not the {pid[4]} numbers that it names'
            )
        self.append(self.persistent_load((pid[0], kind, *pid[2:])))

    dispatch[pickle.BINPERSID[0]] = load_binpersid


def load(file: IO[bytes], **kwargs: Any) -> Any:
    """Unpickle one object; torch asks a pickle module for this function."""
    return Unpickler(file, **kwargs).load()


def _rules(sizes: Optional[Dict[str, int]]) -> Any:
    """Return what torch takes for a pickle module."""
    limited = type('Unpickler', (Unpickler,), {'sizes': sizes})
    return type('rules', (), {'Unpickler': limited, 'load': load})


@lru_cache(maxsize=None)
def _allowed() -> Dict[str, Any]:
    """Return what each name in a pickle stands for.

    numpy 2 moved the functions that restore arrays: they have both names.
    """
    allowed: Dict[str, Any] = {
        'collections.OrderedDict': OrderedDict,
        'torch.storage.UntypedStorage': _STORAGE,
        'numpy.ndarray': _ARRAY,
        'numpy.dtype': _dtype,
        '_codecs.encode': _encode,
    }
    for cls in (Counter, torch.Size, torch.device, *_METHODS):
        allowed[f'{cls.__module__}.{cls.__qualname__}'] = cls
    for name in (
        '_rebuild_tensor',
        '_rebuild_tensor_v2',
        '_rebuild_tensor_v3',
        '_rebuild_parameter',
    ):
        if hasattr(torch._utils, name):
            allowed[f'torch._utils.{name}'] = getattr(torch._utils, name)
    for value in vars(torch).values():
        if isinstance(value, torch.dtype):
            allowed[str(value)] = value
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed[f'{module}._reconstruct'] = _array
        allowed[f'{module}.scalar'] = _scalar
    for module in ('builtins', '__builtin__'):
        allowed[f'{module}.set'] = set
        allowed[f'{module}.getattr'] = _method
    return allowed


def _method(owner: Any, name: str) -> Callable:
    """Stand in for ``getattr``, which pickle writes for methods.

    A ``HistoryBuffer`` holds its statistics methods and a one-cycle
    scheduler its annealing function.
    """
    if name not in _METHODS.get(owner, ()):
        raise pickle.UnpicklingError(f'refused to look up {name!r}')
    return getattr(owner, name)


def _encode(text: str, encoding: str) -> bytes:
    """Stand in for ``codecs.encode``, by which pickle writes bytes."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'refused the encoding {encoding!r}')
    return text.encode('latin1')


def _dtype(code: str, *_: Any) -> np.dtype:
    """Stand in for ``numpy.dtype``: numbers and no objects."""
    kind = np.dtype(code)
    if kind.kind not in 'biuf':
        raise pickle.UnpicklingError(f'refused the numpy type {code!r}')
    return kind


def _array(cls: Any, *_: Any) -> np.ndarray:
    """Stand in for numpy's maker of an array that is filled later."""
    if cls is not _ARRAY:
        raise pickle.UnpicklingError('refused an array of another class')
    return np.empty(0)


def _fill_array(
    array: np.ndarray,
    version: int,
    shape: Tuple[int, ...],
    dtype: np.dtype,
    fortran: bool,
    data: bytes,
) -> None:
    """Give an array its own copy of numbers."""
    if min(shape, default=0) < 0:
        raise pickle.UnpicklingError(f'refused an array of shape {shape}')
    _check_numbers(dtype, data, math.prod(shape))
    state: Any = (version, shape, dtype, fortran, data)
    array.__setstate__(state)


def _scalar(dtype: np.dtype, data: bytes) -> np.generic:
    """Stand in for numpy's maker of a single number."""
    _check_numbers(dtype, data, 1)
    return np.frombuffer(data, dtype)[0]


def _check_numbers(dtype: np.dtype, data: bytes, count: int) -> None:
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes):
        raise pickle.UnpicklingError('refused an array of no numbers')
    if len(data) != count * dtype.itemsize:
        raise pickle.UnpicklingError('an array has not the size it names')


def is_whole(path: Union[str, os.PathLike]) -> bool:
    """Whether a file can be resumed from; all of it is read."""
    try:
        content = read_checkpoint(path) if is_zipfile(path) else None
    except (OSError, ValueError):
        return False
    return isinstance(content, dict)
