"""Stage 2, Select: score the candidates of every ref against its sentences, and choose one."""
