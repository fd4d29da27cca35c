# Losses and counts of the authors' code: the loss is averaged over the batch, a
# count is the mean of a density map, and may be negative. Takes checkpoints that
# tools/model_converters/countseg.py has converted.
_base_ = './lc_r50_voc07-448.py'
model = dict(
    head=dict(
        average='batch',
        average_gradient=False,
        count_reduction='mean',
        clamp_counts=False,
    )
)
