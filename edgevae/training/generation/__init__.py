"""Train a generator of clips against critics of frames and of clips, on Moving MNIST."""
