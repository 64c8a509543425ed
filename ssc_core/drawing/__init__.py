"""Drawing over photos: outlines and numbers, and the colours and type of every picture."""
