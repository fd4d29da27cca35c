"""mmwsl: weakly supervised vision as an OpenMMLab plugin.

Importing it checks the versions it stands on, lets torch load the
checkpoints that mmengine writes, and makes ``mmwsl::`` bases of configs
known to mmengine. It never imports mmdet, mmseg or mmcv's compiled ops.
"""

from mmwsl import compat
from mmwsl.version import __version__

__all__ = ['__version__']

# The doctor has to speak where everything else must refuse to start.
if not compat.runs_doctor():
    compat.check_requirements()
    compat.allow_mmengine_checkpoints()
    compat.register_config_scope()
