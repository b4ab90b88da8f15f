"""VAEs of diffusers as what is exported: one file a family, chosen by `_class_name` in `config.json`."""
