"""The CUDA driver from Python: probed without loading anything, then used through cuda-python or pycuda."""
