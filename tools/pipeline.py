"""Run the stages of a method: ``python tools/pipeline.py CONFIG``.

Stages that are finished are skipped, and one that was broken off goes on:
after a failure or a kill the same command does the rest. docs/pipeline.md
says how a pipeline file is written and what is on disk afterwards.
"""

import argparse
from pathlib import Path

from mmwsl.apis import ToolParser
from mmwsl.pipeline import read_pipeline, run_pipeline, show_plan

parser = ToolParser(
    'Run the stages of a method',
    stopped='stopped; the same command goes on from here',
)
parser.add_argument('config', help='pipeline file')
parser.option(
    '--work-dir',
    None,
    'folder of all stages, by default work_dirs/NAME_OF_THE_CONFIG',
)
parser.option(
    '--from',
    None,
    'start here; the stages before it are taken as they are',
    dest='first',
    metavar='STAGE',
)
parser.option(
    '--to', None, 'end with this stage', dest='last', metavar='STAGE'
)
parser.option('--dry-run', False, 'print what would be done, and do nothing')
parser.cfg_options(
    'VARIABLE=VALUE of the pipeline file, STAGE.KEY=VALUE for the config of a '
    'stage, page.KEY=VALUE for the page'
)


@parser.command
def main(args: argparse.Namespace) -> None:
    """Run the stages that are not finished."""
    tools = str(Path(__file__).resolve().parent)
    pipeline = read_pipeline(
        args.config, args.cfg_options, args.work_dir, tools
    )
    run = show_plan if args.dry_run else run_pipeline
    run(pipeline, args.first, args.last)


if __name__ == '__main__':
    raise SystemExit(main())
