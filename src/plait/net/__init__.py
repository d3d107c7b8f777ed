"""The shells: where pure cores meet sockets."""
