"""Train a prior: clips of moving digits, in the latents of a VAE that was trained before."""
