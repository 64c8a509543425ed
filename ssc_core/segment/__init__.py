"""Stage 1, Segment: sentences to classes, classes to boxes, boxes to masks, masks to the candidates of each ref."""
