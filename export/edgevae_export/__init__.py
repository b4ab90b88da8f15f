"""From a checkpoint to a bundle: export to ONNX, clean up, check against PyTorch."""
