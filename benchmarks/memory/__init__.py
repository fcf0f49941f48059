"""A GPU that is not there: counts what a training step on full-size SDXL keeps on the device, without one."""
