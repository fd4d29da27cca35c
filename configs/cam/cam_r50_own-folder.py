# Copy this file and set data_root, the class names and num_classes.
_base_ = [
    '../_base_/models/cam_r50.py',
    '../_base_/datasets/own_folder.py',
    '../_base_/schedules/adamw_12e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    # One label an image; with several (CSV) set multi_label=True and use
    # MultiLabelMetric.
    head=dict(num_classes=2, multi_label=False, keep='predicted'),
)
