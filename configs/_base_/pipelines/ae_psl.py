# AE-PSL from image labels to the second segmentor. Pipelines add what is known
# of the data, as voc_data.py or own_data.py beside this file;
# stages=dict(NAME=None) leaves a stage out.
_base_ = '_first.py'
net = 'mobilenet-v2_voc12-2007'
# What segmentors begin with, and how their label maps are made.
segment = dict()
psl_plus_label_options = dict()
# PSL+ goes on from PSL's weights, and learns from these label maps.
again = dict(load_from='{psl.checkpoint}')
psl_plus_labels_from = '{kept.dir}/labels'
# Regions are judged by these masks.
region_masks = '{masks}'
judged = [
    '--classes={classes}',
    '--list={data_root}/ImageSets/Segmentation/train.txt',
    '--out={dir}/metrics.json',
]
of_all_pixels = ['{masks}', '{judged}', '--ignored=background']
# What several stages say.
net_config = 'ae_psl/psl_{net}.py'
first = dict(config=net_config, checkpoint='{psl.checkpoint}')
second = dict(config=net_config, checkpoint='{psl_plus.checkpoint}')
# Trainings end with the scores on the validation images without a CRF, which
# the tests have.
stages = dict(
    erase=dict(
        run='train',
        config='ae_psl/erase_{net}.py',
        cfg_options=['{common}', {'train_cfg.saliency_dir': '{saliency}'}],
        **_base_.made,
    ),
    regions=dict(
        run='tool',
        tool='analysis_tools/eval_regions.py',
        args=['{erase.dir}/regions', '{region_masks}', '{judged}'],
    ),
    # Of all pixels, where the score above is of labelled ones alone.
    all_pixels=dict(
        **_base_.judge, args=['{erase.dir}/labels', '{of_all_pixels}']
    ),
    psl=dict(
        run='train',
        config=net_config,
        cfg_options=[
            '{common}',
            '{segment}',
            dict(labels='{erase.dir}/labels'),
        ],
    ),
    psl_val=dict(
        run='test',
        **first,
        cfg_options=['{common}', '{segment}'],
    ),
    psl_labels=dict(
        run='predict',
        **first,
        cfg_options='{common}',
        **_base_.made,
    ),
    # Background that erasing left out of the first training stays out.
    kept=dict(
        **_base_.label_maps,
        args=[
            'keep',
            '{erase.dir}/labels',
            '{psl_labels.dir}/labels',
            '{dir}/labels',
            '{truth}',
        ],
    ),
    kept_all_pixels=dict(
        **_base_.judge, args=['{kept.dir}/labels', '{of_all_pixels}']
    ),
    psl_plus=dict(
        run='train',
        config=net_config,
        cfg_options=[
            '{common}',
            '{segment}',
            dict(labels='{psl_plus_labels_from}'),
            '{again}',
        ],
    ),
    psl_plus_val=dict(
        run='test',
        **second,
        cfg_options=['{common}', '{segment}'],
    ),
    # What the second segmentor sees in the training images.
    psl_plus_labels=dict(
        run='predict',
        **second,
        cfg_options=['{common}', '{psl_plus_label_options}'],
        **_base_.made,
    ),
)
