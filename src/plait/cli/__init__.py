"""The command `plait`. Each command is loaded when it is called, so that the first answer comes quickly."""
