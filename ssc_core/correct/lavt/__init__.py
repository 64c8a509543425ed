"""LAVT: a Swin backbone that reads the sentence at every stage, and a light decoder (Yang et al., CVPR 2022)."""
