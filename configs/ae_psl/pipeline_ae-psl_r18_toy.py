# AE-PSL on toy pictures, which the first stage draws:
# python tools/pipeline.py configs/ae_psl/pipeline_ae-psl_r18_toy.py
train_images = 600
val_images = 150
# Or {generated.dir}/maps, which are made of the images.
saliency = '{data.dir}/toy/SaliencyMaps'
classes = 'ant,bee,cod,doe,emu,fox'
toy = {'data_root': '{data.dir}/toy'}
# What the segmentors begin with.
begin = {**toy, 'weights': '{erase.dir}/step_1.pth'}
# Masks judge the stages; none of them learns from masks.
evaluate = dict(
    masks='{data.dir}/toy/SegmentationClass',
    classes='{classes}',
    split='train',
)
of_all_pixels = [
    '{data.dir}/toy/SegmentationClass',
    '--classes={classes}',
    '--list={data.dir}/toy/ImageSets/Segmentation/train.txt',
    '--ignored=background',
    '--out={dir}/metrics.json',
]
segmentor = 'psl_r18_toy.py'
# PSL+ goes on from PSL's weights.
again = {
    'load_from': '{psl.checkpoint}',
    'train_cfg.max_epochs': 5,
    'param_scheduler.0.total_steps': 5,
}
# Trainings end with the scores on the validation images without a CRF, which
# the tests have.
stages = [
    dict(
        name='data',
        run='tool',
        tool='dataset_converters/toy_to_voc.py',
        args=[
            '{dir}/toy',
            '--train={train_images}',
            '--val={val_images}',
            '--png',
            '--overwrite',
        ],
    ),
    dict(
        name='generated',
        run='tool',
        tool='dataset_converters/make_saliency.py',
        args=['{data.dir}/toy/JPEGImages', '{dir}/maps', '--num-workers=2'],
        optional=True,
    ),
    dict(
        name='erase',
        run='train',
        config='erase_r18_toy.py',
        cfg_options={**toy, 'train_cfg.saliency_dir': '{saliency}'},
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    dict(
        name='bodies',
        run='tool',
        tool='analysis_tools/eval_regions.py',
        args=[
            '{erase.dir}/regions',
            '{data.dir}/toy/SegmentationBody',
            '--classes={classes}',
            '--list={data.dir}/toy/ImageSets/Segmentation/train.txt',
            '--out={dir}/metrics.json',
        ],
    ),
    # Of all pixels, where the score above is of labelled ones alone.
    dict(
        name='all_pixels',
        run='tool',
        tool='analysis_tools/eval_seeds.py',
        args=['{erase.dir}/labels', *of_all_pixels],
    ),
    dict(
        name='psl',
        run='train',
        config=segmentor,
        cfg_options={**begin, 'labels': '{erase.dir}/labels'},
    ),
    dict(
        name='psl_val',
        run='test',
        config=segmentor,
        checkpoint='{psl.checkpoint}',
        cfg_options=begin,
    ),
    dict(
        name='psl_labels',
        run='test',
        config='psl-predict_r18_toy.py',
        checkpoint='{psl.checkpoint}',
        cfg_options={**toy, 'out_dir': '{dir}'},
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    # Background that erasing left out of the first training stays out.
    dict(
        name='kept',
        run='tool',
        tool='pseudo_labels.py',
        args=[
            'keep',
            '{erase.dir}/labels',
            '{psl_labels.dir}/labels',
            '{dir}/labels',
            '--truth={data.dir}/toy/SegmentationClass',
        ],
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    dict(
        name='kept_all_pixels',
        run='tool',
        tool='analysis_tools/eval_seeds.py',
        args=['{kept.dir}/labels', *of_all_pixels],
    ),
    dict(
        name='psl_plus',
        run='train',
        config=segmentor,
        cfg_options={
            **begin,
            'labels': '{kept.dir}/labels',
            **again,
        },
    ),
    dict(
        name='psl_plus_val',
        run='test',
        config=segmentor,
        checkpoint='{psl_plus.checkpoint}',
        cfg_options=begin,
    ),
    # What the second segmentor sees in all pixels of the training images.
    dict(
        name='psl_plus_labels',
        run='test',
        config='psl-predict_r18_toy.py',
        checkpoint='{psl_plus.checkpoint}',
        cfg_options={
            **toy,
            'out_dir': '{dir}',
            'custom_hooks.2.min_probability': 0.0,
        },
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
]
page = dict(
    number=6,
    image_dir='{data.dir}/toy/JPEGImages',
    mask_dir='{data.dir}/toy/SegmentationClass',
)
