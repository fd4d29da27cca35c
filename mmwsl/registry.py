"""The registries of mmwsl: children of mmengine's, scope ``mmwsl``.

A type without prefix is looked up here first and then in mmengine's root,
where mmcv's transforms live. Parts of sibling packages carry their prefix,
for example ``mmseg.IoUMetric``.
"""

from mmengine import registry as root
from mmengine.registry import Registry


def _child(parent: Registry, location: str) -> Registry:
    """Make the child whose modules are imported at the first look-up."""
    return Registry(
        parent.name, parent=parent, scope='mmwsl', locations=[location]
    )


MODELS = _child(root.MODELS, 'mmwsl.models')
TASK_UTILS = _child(root.TASK_UTILS, 'mmwsl.models')
DATASETS = _child(root.DATASETS, 'mmwsl.datasets')
TRANSFORMS = _child(root.TRANSFORMS, 'mmwsl.datasets.transforms')
METRICS = _child(root.METRICS, 'mmwsl.evaluation')
HOOKS = _child(root.HOOKS, 'mmwsl.engine')
LOOPS = _child(root.LOOPS, 'mmwsl.engine')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'mmwsl.engine')
VISUALIZERS = _child(root.VISUALIZERS, 'mmwsl.visualization')

# mmengine warns at every look-up in a tree that does not know the scope.
# These children hold nothing; they only tell it where to go on. Without a
# place to import from, mmengine would look for a mmwsl.utils and warn again.
_EMPTY = [
    _child(parent, 'mmwsl.registry')
    for parent in (
        root.DATA_SAMPLERS,
        root.EVALUATOR,
        root.FUNCTIONS,
        root.LOG_PROCESSORS,
        root.MODEL_WRAPPERS,
        root.OPTIM_WRAPPER_CONSTRUCTORS,
        root.OPTIMIZERS,
        root.PARAM_SCHEDULERS,
        root.RUNNERS,
        root.VISBACKENDS,
        root.WEIGHT_INITIALIZERS,
    )
]
