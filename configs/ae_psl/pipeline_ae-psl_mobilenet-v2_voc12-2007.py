# AE-PSL from image labels to the second segmentor:
# python tools/pipeline.py configs/ae_psl/pipeline_ae-psl_mobilenet-v2_voc12-2007.py
data_root = 'data/voc12_2007'
# Or {generated.dir}/maps, which are made of the images.
saliency = '{data_root}/SaliencyMaps'
weights = 'weights/mobilenet_v2_imagenet.pth'
classes = (
    'aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,'
    'dog,horse,motorbike,person,pottedplant,sheep,sofa,train,tvmonitor'
)
common = {'data_root': '{data_root}', 'weights': '{weights}'}
# Masks judge the stages; none of them learns from masks.
evaluate = dict(
    masks='{data_root}/SegmentationClass', classes='{classes}', split='train'
)
of_all_pixels = [
    '{data_root}/SegmentationClass',
    '--classes={classes}',
    '--list={data_root}/ImageSets/Segmentation/train.txt',
    '--ignored=background',
    '--out={dir}/metrics.json',
]
segmentor = 'psl_mobilenet-v2_voc12-2007.py'
# PSL+ goes on from PSL's weights.
again = {
    'load_from': '{psl.checkpoint}',
    'train_cfg.max_epochs': 10,
    'param_scheduler.0.end': 10,
}
# Trainings end with the scores on the validation images without a CRF, which
# the tests have.
stages = [
    dict(
        name='generated',
        run='tool',
        tool='dataset_converters/make_saliency.py',
        args=['{data_root}/JPEGImages', '{dir}/maps', '--num-workers=2'],
        optional=True,
    ),
    dict(
        name='erase',
        run='train',
        config='erase_mobilenet-v2_voc12-2007.py',
        cfg_options={**common, 'train_cfg.saliency_dir': '{saliency}'},
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
    dict(
        name='regions',
        run='tool',
        tool='analysis_tools/eval_regions.py',
        args=[
            '{erase.dir}/regions',
            '{data_root}/SegmentationClass',
            '--classes={classes}',
            '--list={data_root}/ImageSets/Segmentation/train.txt',
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
        cfg_options={**common, 'labels': '{erase.dir}/labels'},
    ),
    dict(
        name='psl_val',
        run='test',
        config=segmentor,
        checkpoint='{psl.checkpoint}',
        cfg_options=common,
    ),
    dict(
        name='psl_labels',
        run='test',
        config='psl-predict_mobilenet-v2_voc12-2007.py',
        checkpoint='{psl.checkpoint}',
        cfg_options={**common, 'out_dir': '{dir}'},
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
            '--truth={data_root}/SegmentationClass',
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
            **common,
            'labels': '{kept.dir}/labels',
            **again,
        },
    ),
    dict(
        name='psl_plus_val',
        run='test',
        config=segmentor,
        checkpoint='{psl_plus.checkpoint}',
        cfg_options=common,
    ),
    # What the second segmentor sees in the training images.
    dict(
        name='psl_plus_labels',
        run='test',
        config='psl-predict_mobilenet-v2_voc12-2007.py',
        checkpoint='{psl_plus.checkpoint}',
        cfg_options={**common, 'out_dir': '{dir}'},
        evaluate='{dir}/labels',
        pictures='{dir}/labels',
    ),
]
page = dict(number=6)
