# Losses and counts of the authors' code of LC: the loss is averaged over the
# batch, a count is the mean of a density map, and may be negative.
countseg = dict(
    average='batch',
    average_gradient=False,
    count_reduction='mean',
    clamp_counts=False,
)
