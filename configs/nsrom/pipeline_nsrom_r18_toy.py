# NSROM on toy pictures, which the first stage draws:
# python tools/pipeline.py configs/nsrom/pipeline_nsrom_r18_toy.py
train_images = 600
val_images = 150
# Or {generated.dir}/maps, which are made of the images.
saliency = '{data.dir}/toy/SaliencyMaps'
classes = 'ant,bee,cod,doe,emu,fox'
common = {'data_root': '{data.dir}/toy'}
# Masks judge the stages; none of them learns from masks, nor from copies.
truth = '--truth={data.dir}/toy/SegmentationClass'
evaluate = dict(
    masks='{data.dir}/toy/SegmentationClass',
    classes='{classes}',
    split='train',
)
seeds = [
    '{data.dir}/toy/SegmentationClass',
    '--classes={classes}',
    '--out={dir}/metrics.json',
]
# What the segmentors begin with.
segment = {**common, 'weights': '{classifier.checkpoint}'}
segmentor = 'seg_r18_toy.py'
# Trainings end with the scores on the validation images.
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
        name='classifier',
        run='train',
        config='cls_r18_toy.py',
        cfg_options=common,
    ),
    dict(
        name='cams',
        run='test',
        config='cams_r18_toy.py',
        checkpoint='{classifier.checkpoint}',
        cfg_options={**common, 'out_dir': '{dir}'},
        pictures='{dir}/maps',
    ),
    dict(
        name='cam_saliency',
        run='tool',
        tool='analysis_tools/eval_seeds.py',
        args=[
            '{cams.dir}/maps',
            *seeds,
            '--background=saliency',
            '--saliency={saliency}',
        ],
    ),
    dict(
        name='integral',
        run='train',
        config='oa_r18_toy.py',
        cfg_options={
            **common,
            'attention': '{classifier.dir}/attention.npz',
        },
    ),
    dict(
        name='oa_cams',
        run='test',
        config='oa-cams_r18_toy.py',
        checkpoint='{integral.checkpoint}',
        cfg_options={**common, 'out_dir': '{dir}'},
        pictures='{dir}/maps',
    ),
    dict(
        name='initial',
        run='tool',
        tool='pseudo_labels.py',
        args=['initial', '{oa_cams.dir}/maps', '{saliency}', '{dir}/labels'],
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    dict(
        name='initial_all_pixels',
        run='tool',
        tool='analysis_tools/eval_seeds.py',
        args=['{initial.dir}/labels', *seeds, '--ignored=wrong'],
    ),
    dict(
        name='mined',
        run='tool',
        tool='pseudo_labels.py',
        args=[
            'mine',
            '{cams.dir}/maps',
            '{initial.dir}/labels',
            '{dir}/labels',
            '{truth}',
        ],
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    dict(
        name='mined_all_pixels',
        run='tool',
        tool='analysis_tools/eval_seeds.py',
        args=['{mined.dir}/labels', *seeds, '--ignored=wrong'],
    ),
    dict(
        name='segmentor_1',
        run='train',
        config=segmentor,
        cfg_options={**segment, 'labels': '{mined.dir}/labels'},
    ),
    dict(
        name='predictions',
        run='test',
        config='seg-predict_r18_toy.py',
        checkpoint='{segmentor_1.checkpoint}',
        cfg_options={**common, 'out_dir': '{dir}'},
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    dict(
        name='masked',
        run='tool',
        tool='pseudo_labels.py',
        args=[
            'mask',
            '{cams.dir}/maps',
            '{mined.dir}/labels',
            '{predictions.dir}/labels',
            '{saliency}',
            '{dir}/labels',
            '{truth}',
        ],
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    dict(
        name='masked_all_pixels',
        run='tool',
        tool='analysis_tools/eval_seeds.py',
        args=['{masked.dir}/labels', *seeds, '--ignored=wrong'],
    ),
    dict(
        name='segmentor_2',
        run='train',
        config=segmentor,
        cfg_options={**segment, 'labels': '{masked.dir}/labels'},
    ),
    dict(
        name='predictions_2',
        run='test',
        config='seg-predict_r18_toy.py',
        checkpoint='{segmentor_2.checkpoint}',
        cfg_options={**common, 'out_dir': '{dir}'},
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
]
page = dict(
    number=6,
    image_dir='{data.dir}/toy/JPEGImages',
    mask_dir='{data.dir}/toy/SegmentationClass',
)
