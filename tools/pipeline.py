"""Run the stages of a method: ``python tools/pipeline.py CONFIG``.

Stages that are finished are skipped, and one that was broken off goes on:
after a failure or a kill the same command does the rest. docs/pipeline.md
says how a pipeline file is written and what is on disk afterwards.
"""

import argparse
from pathlib import Path
from typing import Optional, Sequence

from mmwsl.apis import (
    ToolParser,
    add_cfg_options,
    friendly_errors,
)
from mmwsl.pipeline import read_pipeline, run_pipeline, show_plan


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser('Run the stages of a method')
    parser.add_argument('config', help='pipeline file')
    parser.add_argument(
        '--work-dir',
        help='folder of all stages, by default work_dirs/NAME_OF_THE_CONFIG',
    )
    parser.add_argument(
        '--from',
        dest='first',
        metavar='STAGE',
        help='start here; the stages before it are taken as they are',
    )
    parser.add_argument(
        '--to', dest='last', metavar='STAGE', help='end with this stage'
    )
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='print what would be done, and do nothing',
    )
    add_cfg_options(
        parser,
        'VARIABLE=VALUE of the pipeline file, STAGE.KEY=VALUE for the '
        'config of a stage, page.KEY=VALUE for the page',
    )
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the stages that are not finished."""
    args = parse_args(argv)
    tools = str(Path(__file__).resolve().parent)
    with friendly_errors('stopped; the same command goes on from here'):
        pipeline = read_pipeline(
            args.config, args.cfg_options, args.work_dir, tools
        )
        run = show_plan if args.dry_run else run_pipeline
        run(pipeline, args.first, args.last)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
