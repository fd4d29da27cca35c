# What pipelines of all methods begin with, and what several stages say.
made = dict(evaluate='{dir}/labels', pictures='{dir}/labels')
label_maps = dict(run='tool', tool='pseudo_labels.py', **made)
judge = dict(run='tool', tool='analysis_tools/eval_seeds.py')
stages = dict(
    # Prepares the data, or draws them.
    data=dict(
        run='tool', tool='{data_tool}', args=['{data_args}'], optional=True
    ),
    # Saliency maps where the data have none.
    generated=dict(
        run='tool',
        tool='dataset_converters/make_saliency.py',
        args=[
            '{images}',
            '{dir}/maps',
            '--num-workers={num_workers}',
            '--onnx={onnx}',
        ],
        optional=True,
    ),
)
