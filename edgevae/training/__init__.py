"""Training of the networks in `edgevae.nn`, with Lightning: a folder of videos or images in, a checkpoint out."""
