"""What a comparison of numbers may leave to rounding, on whatever processor.

Processors add the terms of a sum in their own order and fuse products or not, so two of them differ by a few eps of the
scale of what is summed, once for every operation that carries the error on. Bounds are small multiples of that; a fault
is larger by orders of magnitude. A test that gives no bound takes torch's for float32 (1.3e-6 of the value, 11 eps,
plus 1e-5) or pytest's (1e-6, 8 eps): a few operations on numbers of order 1.
"""

import torch

EPS32 = torch.finfo(torch.float32).eps
EPS64 = torch.finfo(torch.float64).eps
