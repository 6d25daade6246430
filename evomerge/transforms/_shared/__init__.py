"""Mathematics of the transformations: functions of tensors that know no files and no models."""
