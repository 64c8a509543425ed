"""Training of the micro world's small models: GroundingDINO, SAM, CLIP, and the pre-trained parts of LAVT."""
