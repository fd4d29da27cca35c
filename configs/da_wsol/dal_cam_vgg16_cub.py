_base_ = [
    '../_base_/models/dal_vgg16.py',
    '../_base_/datasets/wsol_cub.py',
    '../_base_/schedules/wsol_50e.py',
    '../_base_/default_runtime.py',
]
# Our choice, as the paper has no VGG-16: the schedule and the rate of
# ResNet-50, and the weight decay that VGG-16 was trained with.
optim_wrapper = dict(optimizer=dict(weight_decay=5e-4))
custom_hooks = [dict(type='EpochSeedHook'), dict(type='HeadEpochHook')]
