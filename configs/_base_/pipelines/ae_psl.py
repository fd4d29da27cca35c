# AE-PSL from image labels to the second segmentor. Pipelines of data sets set
# the variables; stages=dict(NAME=None) leaves a stage out.
net = 'mobilenet-v2_voc12-2007'
data_root = 'data/voc12_2007'
# Or {generated.dir}/maps, which are made of the images.
saliency = '{data_root}/SaliencyMaps'
classes = 'voc'
num_workers = 2
# Of the toy data.
train_images = 600
val_images = 150
# What all configs get, what segmentors begin with, and how their label maps
# are made.
common = dict(data_root='{data_root}')
segment = dict()
psl_plus_label_options = dict()
# PSL+ goes on from PSL's weights, and learns from these label maps.
again = dict(load_from='{psl.checkpoint}')
psl_plus_labels_from = '{kept.dir}/labels'
# Masks judge the stages; none of them learns from masks.
masks = '{data_root}/SegmentationClass'
evaluate = dict(masks='{masks}', classes='{classes}', split='train')
# Regions are judged by these masks.
region_masks = '{masks}'
judged = [
    '--classes={classes}',
    '--list={data_root}/ImageSets/Segmentation/train.txt',
    '--out={dir}/metrics.json',
]
of_all_pixels = ['{masks}', '{judged}', '--ignored=background']
# What several stages say.
labels = dict(evaluate='{dir}/labels', pictures='{dir}/labels')
judge = dict(run='tool', tool='analysis_tools/eval_seeds.py')
net_config = 'ae_psl/psl_{net}.py'
first = dict(config=net_config, checkpoint='{psl.checkpoint}')
second = dict(config=net_config, checkpoint='{psl_plus.checkpoint}')
# Trainings end with the scores on the validation images without a CRF, which
# the tests have.
stages = dict(
    # Draws the toy pictures, if data_root is '{data.dir}/toy'.
    data=dict(
        run='tool',
        tool='dataset_converters/toy_to_voc.py',
        args=[
            '{dir}/toy',
            '--train={train_images}',
            '--val={val_images}',
            '--png',
            '--overwrite',
        ],
        optional=True,
    ),
    generated=dict(
        run='tool',
        tool='dataset_converters/make_saliency.py',
        args=[
            '{data_root}/JPEGImages',
            '{dir}/maps',
            '--num-workers={num_workers}',
        ],
        optional=True,
    ),
    erase=dict(
        run='train',
        config='ae_psl/erase_{net}.py',
        cfg_options=['{common}', {'train_cfg.saliency_dir': '{saliency}'}],
        **labels,
    ),
    regions=dict(
        run='tool',
        tool='analysis_tools/eval_regions.py',
        args=['{erase.dir}/regions', '{region_masks}', '{judged}'],
    ),
    # Of all pixels, where the score above is of labelled ones alone.
    all_pixels=dict(**judge, args=['{erase.dir}/labels', '{of_all_pixels}']),
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
        **labels,
    ),
    # Background that erasing left out of the first training stays out.
    kept=dict(
        run='tool',
        tool='pseudo_labels.py',
        args=[
            'keep',
            '{erase.dir}/labels',
            '{psl_labels.dir}/labels',
            '{dir}/labels',
            '--truth={masks}',
        ],
        **labels,
    ),
    kept_all_pixels=dict(
        **judge, args=['{kept.dir}/labels', '{of_all_pixels}']
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
        **labels,
    ),
)
