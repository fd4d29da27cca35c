"""Models and their parts; importing registers them."""

from mmwsl.models.backbones import *  # noqa: F403
from mmwsl.models.classifiers import *  # noqa: F403
from mmwsl.models.data_preprocessors import *  # noqa: F403
from mmwsl.models.decode_heads import *  # noqa: F403
from mmwsl.models.heads import *  # noqa: F403
from mmwsl.models.layers import *  # noqa: F403
from mmwsl.models.losses import *  # noqa: F403
from mmwsl.models.necks import *  # noqa: F403
from mmwsl.models.task_modules import *  # noqa: F403
