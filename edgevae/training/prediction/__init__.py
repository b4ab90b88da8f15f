"""Train a predictor: Moving MNIST, in the latents of a code of patches."""
