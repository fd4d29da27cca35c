"""Compare data loading with the training step that waits for it.

``python tools/benchmarks/data_loading.py CONFIG`` reads batches through the
config's training loader, with its workers and nothing else running, then
trains on one batch again and again, and reports how many times faster the
loading is. Above 1 the loader keeps up, but workers and training share the
cores; the third figure is the share of time that real training steps wait.
"""

import time
from itertools import islice
from typing import Any, Iterator, Optional, Sequence

from mmwsl.apis import (
    ToolParser,
    add_cfg_options,
    friendly_errors,
    load_config,
)
from mmwsl.registry import MODELS

from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner


def endless(loader: Any) -> Iterator[Any]:
    """Yield batches, epoch after epoch."""
    while True:
        yield from loader


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the comparison and print the ratios."""
    parser = ToolParser(__doc__)
    parser.add_argument('config')
    parser.add_argument('--batches', type=int, default=12)
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    with friendly_errors():
        cfg = load_config(args.config, args.cfg_options)
        init_default_scope(cfg.default_scope)
        loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
        model = MODELS.build(cfg.model).to(get_device())
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    model.train()

    batches = endless(loader)
    # Workers have to start, and prefetched batches would cost nothing.
    prefetched = 2 * max(1, loader.num_workers) + 2
    batch = list(islice(batches, prefetched))[-1]
    start = time.perf_counter()
    for _ in islice(batches, args.batches):
        pass
    loading = (time.perf_counter() - start) / args.batches

    model.train_step(batch, wrapper)['loss'].item()
    start = time.perf_counter()
    for _ in range(args.batches):
        model.train_step(batch, wrapper)['loss'].item()
    training = (time.perf_counter() - start) / args.batches

    # What was prefetched meanwhile costs no wait.
    batch = list(islice(batches, prefetched))[-1]
    waited, start = 0.0, time.perf_counter()
    for _ in range(args.batches):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        model.train_step(batch, wrapper)['loss'].item()
    together = time.perf_counter() - start

    size = loader.batch_size
    print(f'loading alone: {size / loading:.1f} images/s')
    print(f'training alone: {size / training:.1f} images/s')
    print(f'loading is {training / loading:.1f} times faster')
    print(f'training waits {waited / together:.1%} of the time')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
