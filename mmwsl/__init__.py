"""mmwsl: weakly supervised vision as an OpenMMLab plugin.

Importing it checks the versions it stands on, lets mmengine read checkpoints
without executing them, and makes ``mmwsl::`` bases of configs known to it.
It never imports mmdet, mmseg or mmcv's compiled ops.
"""

from mmwsl import compat
from mmwsl.version import __version__

__all__ = ['__version__']

# The doctor has to speak where everything else must refuse to start.
if not compat.runs_doctor():
    compat.stop_tools_quietly()
    compat.check_requirements()
    from mmwsl.utils.checkpoints import use_in_mmengine

    use_in_mmengine()
    compat.register_config_scope()
